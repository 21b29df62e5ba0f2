"""``--json``: every command that has it answers with one object alone, whatever the terminal."""

from __future__ import annotations

import io
import json
import shlex
import signal
import subprocess
import sys
from importlib import metadata

import pytest

from commands import leaves
from reacgan.cli import build_app, main
from reacgan.cli.answers import asks_for_json, print_json
from reacgan.config import load_experiment
from test_terminal import COMMANDS, NAMES, places, words_of  # noqa: F401 - places is a fixture

WITH_JSON = [
    name
    for name, app in leaves(build_app())
    if any("--json" in argument.names for argument in app.assemble_argument_collection())
]


def parsed(text):
    """Strictly one object and a newline: no NaN, nothing before or after."""

    def refuse(constant):
        raise AssertionError(constant)

    assert text.endswith("}\n") and text.startswith("{")
    return json.loads(text, parse_constant=refuse)


WITHOUT = {
    "train": "its facts are files: journal.jsonl, scores.jsonl; --dry-run prints JSON as it is",
    "experiments run": "it may print commands to run, or wait for jobs; the report has its facts",
}


def test_train_says_where_its_facts_are(reacgan):
    code, out, err = reacgan("train", "digits/reacgan", "--json")
    for text in (parsed(out)["error"], " ".join(err.replace("│", " ").split())):
        assert "Unknown option: --json." in text and "reacgan.journal(RUN) reads them" in text
        assert "journal.jsonl and scores.jsonl" in text and "--log csv" in text
    assert code == 2
    code, _, err = reacgan("train", "digits/reacgan", "--jsn")
    assert code == 2 and "journal" not in err


def test_commands_without_it_have_a_reason():
    assert {name for name, _ in leaves(build_app())} - set(WITH_JSON) == set(WITHOUT)


@pytest.mark.parametrize("command", WITH_JSON)
def test_one_object_alone(reacgan, places, tmp_path, monkeypatch, command):  # noqa: F811
    monkeypatch.setenv("TERM", "dumb")
    code, out, err = reacgan(*words_of(command, places, tmp_path / "OUT"), "--json")
    assert code == COMMANDS[command][1], err
    answer = parsed(out)
    assert ("error" in answer) == bool(code and "passed" not in answer)
    if "error" in answer:
        assert err.splitlines()[0] == f"reacgan: {answer['error'].splitlines()[0]}"


@pytest.mark.parametrize("command", WITH_JSON)
def test_a_mistake_is_an_object_too(reacgan, command):
    code, out, err = reacgan(*command.split(), "--no-such-option", "--json")
    assert code == 2 and "no-such-option" in parsed(out)["error"] and "no-such-option" in err


def test_what_was_written_is_named(reacgan, places, tmp_path):  # noqa: F811
    words = words_of("sample", places, tmp_path / "OUT")
    answer = parsed(reacgan(*words, "--json")[1])
    files = sorted((tmp_path / "OUT").rglob("*.png"))
    sheets = answer["sheets"] if "sheets" in answer else [answer["sheet"]]
    named = [*(image["file"] for image in answer["images"]), *sheets]
    assert sorted(named) == [str(file) for file in files]
    assert {image["class"] for image in answer["images"]} == set(NAMES)
    report = parsed(reacgan(*words_of("report", places, tmp_path / "OUT"), "--json")[1])["report"]
    assert report == str(tmp_path / "OUT" / "кот.html") and (tmp_path / "OUT" / "кот.html").exists()
    walk = parsed(reacgan(*words_of("walk", places, tmp_path / "OUT"), "--json")[1])
    assert walk["files"] == [str(tmp_path / "OUT" / "direction-1.png")]


def test_a_plan_is_that_of_the_file(reacgan, places, tmp_path):  # noqa: F811
    words = words_of("new", places, tmp_path / "OUT")
    answer = parsed(reacgan(*words, "--json")[1])
    found = parsed(reacgan("data", "inspect", places["PHOTOS"], "--json")[1])
    assert answer["found"] == {name: found[name] for name in found if name != "refused_list"}
    plan = load_experiment(answer["file"]).model_dump(mode="json")
    assert answer["experiment"]["training"] == plan["training"]
    assert answer["timing"] is None and all(choice["reason"] for choice in answer["choices"])
    assert answer["next"] == shlex.join(["reacgan", "train", answer["file"]])


def test_sets_and_files_are_described(reacgan, places, tmp_path):  # noqa: F811
    words = words_of("generate", places, tmp_path / "OUT")
    answer = parsed(reacgan(*words, "--json")[1])
    assert answer["complete"] and answer["counts"] == dict.fromkeys(NAMES, 2)
    manifest = json.loads((tmp_path / "OUT" / "manifest.json").read_text("utf-8"))
    assert (answer["digest"], answer["images"]) == (manifest["digest"], 4)
    assert parsed(reacgan(*words, "--json")[1])["resumed"] == 4
    answer = parsed(reacgan(*words_of("export", places, tmp_path / "OUT"), "--json")[1])
    assert answer["bytes"] == (tmp_path / "OUT" / "кот.safetensors").stat().st_size > 0
    answer = parsed(reacgan(*words_of("augment-study", places, tmp_path / "study"), "--json")[1])
    assert answer["arms"][0]["name"] == "real"
    assert str(tmp_path / "study" / "study.json") in answer["files"]


@pytest.mark.slow
def test_the_page_says_where_it_is():
    words = ["app", "digits-reacgan", "--port", "0", "--device", "cpu", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "reacgan", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    answer = parsed(text)
    assert answer["models"] == ["digits-reacgan"]
    assert answer["address"].startswith("http://127.0.0.1:")


def test_scores_are_those_of_the_file(reacgan, places, tmp_path):  # noqa: F811
    answer = parsed(reacgan(*words_of("evaluate", places, tmp_path / "OUT"), "--json")[1])
    lines = (tmp_path / "OUT" / "scores.jsonl").read_text("utf-8").splitlines()
    assert answer["scores"] == [json.loads(line) for line in lines]
    assert answer["file"] == str(tmp_path / "OUT" / "scores.jsonl")


def test_utf_8_where_standard_output_is_something_else(places, monkeypatch):  # noqa: F811
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "cp1252", errors="replace"))
    with pytest.raises(SystemExit):
        main(["data", "inspect", places["PHOTOS"], "--json"])
    assert set(parsed(raw.getvalue().decode("utf-8"))["classes"]) == set(NAMES)


def test_numbers_that_json_has_no_word_for(capsys):
    print_json({"a": float("nan"), "b": (float("inf"), 1.5)})
    assert parsed(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}


def test_a_word_after_two_dashes_is_no_option():
    assert asks_for_json(["cache", "--json"]) and asks_for_json(["cache", "--json=true"])
    assert not asks_for_json(["data", "inspect", "--", "--json"])


def test_doctor_names_every_extra_and_what_is_supported(reacgan):
    answer = parsed(reacgan("doctor", "--json")[1])
    extras = set(metadata.metadata("reacgan").get_all("Provides-Extra")) - {"dev", "parity"}
    assert set(answer["extras"]) == extras
    plots = answer["extras"]["plots"]
    assert plots["installed"]["matplotlib"] == metadata.version("matplotlib") and plots["purpose"]
    assert answer["torch_supported"].startswith(">=2.") and answer["python_supported"] == ">=3.10"
    text = reacgan("doctor")[1]
    assert f"(supported: {answer['torch_supported']})" in text
    if answer["extras"]["extractors"]["missing"]:
        assert "missing: transformers; pip install 'reacgan[extractors]'" in text
