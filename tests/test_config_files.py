"""Configuration files as people write them: endings, encodings, tabs, numbers, keys that stand twice."""

from __future__ import annotations

import json

import pytest

from reacgan.config import ConfigError, load_experiment, parse_assignments
from reacgan.experiments import experiment

JSON = '{\n\t"data": {"name": "digits"},\n\t"training": {"images": 1e3, "batch": 1.6e1}\n}\n'
YAML = "data: {name: digits}\ntraining:\n  images: 1e3\n  batch: 1.6E+1\ng_optimizer: {lr: 2e-4}\n"


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.yml", "a.conf", "a.txt", "a"])
@pytest.mark.parametrize("text", [JSON, YAML, "\ufeff" + JSON, JSON.replace("\n", "\r\n")])
def test_json_and_yaml_of_any_ending_hold_the_same_numbers(reacgan, tmp_path, name, text):
    file = tmp_path / name
    file.write_bytes(text.encode())
    held = load_experiment(file)
    assert (held.training.images, held.training.batch, held.data.name) == (1000, 16, "digits")
    assert type(held.training.images) is int


def test_a_file_of_any_ending_is_trained(reacgan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.conf").write_text(experiment("digits/reacgan").to_json().replace("  ", "\t"))
    code, out, err = reacgan("experiments", "show", "mine.conf", "--json")
    assert code == 0, err
    assert json.loads(out)["name"] == "digits/reacgan"
    code, _, err = reacgan("train", "mine.conf", "--images", "1")  # which reads it, and says so
    assert code == 1 and "training.images is 1, less than one cycle" in err


def test_whole_numbers_in_scientific_notation_are_whole():
    given = parse_assignments(
        ["a=1e3", "b=1.5e3", "c=2e-4", "d=2.0", "e=1E+2", "f=[1e1, 2]", "g=1e"]
    )
    wanted = {"a": 1000, "b": 1500, "c": 2e-4, "d": 2.0, "e": 100, "f": [10, 2], "g": "1e"}
    assert given == wanted
    kinds = {key: type(value) for key, value in given.items()}
    assert kinds == {"a": int, "b": int, "c": float, "d": float, "e": int, "f": list, "g": str}
    assert type(parse_assignments(["a=1e300"])["a"]) is float
    glyphs = parse_assignments(["data.name=glyphs", "data.path=5e1"])
    assert experiment("glyphs/reacgan").replace(**glyphs).data.path == "50"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("training:\n  batch: 8\n  seed: 1\n  batch: 16\n", (2, 4)),
        ('{\n\t"training": {\n\t\t"batch": 8,\n\t\t"seed": 1,\n\t\t"batch": 16\n\t}\n}', (3, 5)),
        ("name: x\n'name': y\n", (1, 2)),
    ],
)
@pytest.mark.parametrize("ending", ["json", "yaml", "conf"])
def test_a_key_that_stands_twice_is_refused_by_its_lines(tmp_path, text, lines, ending):
    file = tmp_path / f"twice.{ending}"
    file.write_text(text)
    key = "name" if "name" in text else "batch"
    wanted = rf"twice.{ending}: '{key}' stands twice \(lines {lines[0]} and {lines[1]}\); keep one"
    with pytest.raises(ConfigError, match=wanted):
        load_experiment(file)
    with pytest.raises(ConfigError, match="--set .*'a' stands twice"):
        parse_assignments(["x={a: 1, a: 2}"])


def test_merged_keys_of_yaml_are_no_keys_that_stand_twice(tmp_path):
    text = "data: &base {name: digits, resolution: 8}\nmodel: {}\n"
    (tmp_path / "a.yaml").write_text(
        text.replace("model: {}", "data2: {<<: *base, resolution: 16}")
    )
    with pytest.raises(ConfigError, match="data2: unknown key"):
        load_experiment(tmp_path / "a.yaml")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes(JSON.encode(encoding))
    with pytest.raises(ConfigError, match=r"a.json: not readable: it is UTF-16.*save it as UTF-8"):
        load_experiment(tmp_path / "a.json")


def test_another_encoding_is_named_by_its_line(tmp_path):
    (tmp_path / "a.yaml").write_bytes("data: {name: digits}\nname: café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"line 2 is not UTF-8 \(byte 0xe9\); save it as UTF-8"):
        load_experiment(tmp_path / "a.yaml")


def test_broken_json_is_told_as_json(tmp_path):
    for name in ("a.json", "a.conf"):
        (tmp_path / name).write_text('{\n\t"training": {"batch": 8,,}\n}')
        with pytest.raises(ConfigError, match=r"not readable as JSON: .* line 2 column"):
            load_experiment(tmp_path / name)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.batch", "true"),
        ("training.seed", "no"),
        ("g_optimizer.lr", "on"),
        ("report.diagnose_every", "true"),
        ("scores.num", "false"),
        ("model.codes", "{discrete: [true]}"),
        ("data.resolution", "true"),
        ("model.head.margin", "true"),
        ("model.generator.width", "yes"),
        ("model.generator.attention_after", "[true]"),
        ("penalties.r1.weight", "true"),
    ],
)
def test_booleans_are_no_numbers(reacgan, key, value):
    code, _, err = reacgan("train", "digits/reacgan", "--dry-run", "--set", f"{key}={value}")
    assert code == 1
    assert err.startswith(f"reacgan: {key}")
    assert any(shown in err for shown in ("True", "False", repr(value)))


def test_booleans_stay_what_they_are(reacgan):
    words = ["data.flip=true", "model.generator.spectral_norm=off", "speed.compile=false"]
    code, out, err = reacgan("experiments", "show", "digits/reacgan", "--json", "--set", *words)
    assert code == 0, err
    held = json.loads(out)
    assert (held["data"]["flip"], held["speed"]["compile"]) == (True, False)
    assert held["model"]["generator"]["spectral_norm"] is False


def test_words_that_yaml_takes_for_booleans_are_words(tmp_path):
    """watch.action=off is what the page on watching tells; for what is yes or no they still do."""
    assert parse_assignments(["watch.action=off"]) == {"watch.action": "off"}
    held = experiment("digits/reacgan").replace(
        **parse_assignments(["watch.action=off", "data.flip=yes", "speed.resident=off"])
    )
    assert (held.watch.action, held.data.flip, held.speed.resident) == ("off", True, False)
    file = tmp_path / "mine.yaml"
    file.write_text("watch: {action: off}\ndata: {name: digits, flip: on}\n")
    loaded = load_experiment(file)
    assert (loaded.watch.action, loaded.data.flip) == ("off", True)
    assert parse_assignments(["a=true", "b=False"]) == {"a": True, "b": False}
