"""From a run to a folder that can be shared, and whether such a folder is as it should be."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import reacgan
from reacgan import hub, publish
from reacgan.config import ConfigError, DataConfig
from reacgan.evaluation.scores import Score, append_scores, read_scores
from reacgan.files import without_paths
from reacgan.hub.folder import read_config
from reacgan.hub.licences import TERMS, terms_of
from reacgan.models.norm_statistics import put_statistics
from reacgan.records import sealed
from reacgan.sharing import check, renew
from reacgan.sharing.card import limits, missing
from reacgan.sharing.record import command_of, cost_of, record_of, seconds_of
from reacgan.sharing.samples import fixed_samples
from reacgan.sharing.scores import evaluate_command, real_beside, scores_of
from test_hub import make, rewrite


def score(
    metric, value, *, seen=256, subject="run", better="higher", checkpoint="as it is", **more
):
    protocol = {
        "extractor": {"name": "domain", "weights": "ab" * 32},
        "fake": {"images": 596, "labels": "reference" if seen else "as given", "seed": 0},
        "reference": {
            "images": 596,
            "digest": "26e96b48c30a607a",
            "split": "test",
            "name": "digits",
        },
        "selection": {"checkpoint": checkpoint},
        "metric": more.pop("settings", {}),
        "software": {"torch": "2.13.0"},
    }
    return Score(metric, value, better, protocol, subject=subject, images_seen=seen, **more)


SCORES = [
    score("recall", 0.5, settings={"k": 5}, time="2026-01-01"),
    score("recall", 0.75, settings={"k": 5}, time="2026-01-02", low=0.7, high=0.8),
    score("recall", 0.95, seen=None, subject="real images (training)", settings={"k": 5}),
    score("recall", 0.1, seen=128, settings={"k": 5}, time="2026-01-03"),
    score("fid", 1.0, checkpoint="each", better="lower"),
    score("memorised_share", 0.05, settings={"chance": 0.01}, better="lower", notes=("a | note",)),
]


@pytest.fixture
def run(run_folder, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(run_folder, copied)
    append_scores(copied / "scores.jsonl", SCORES)
    told = json.loads((copied / "environment.json").read_text())
    told["command"] = [
        "/opt/x/reacgan",
        "train",
        "digits/reacgan",
        "--out",
        "/x/y",
        "--images",
        "256",
    ]
    (copied / "environment.json").write_text(json.dumps(told))
    return copied


@pytest.fixture
def shared(run, tmp_path):
    return publish(run, tmp_path / "out" / "tiny-digits", dtype="bfloat16")


def good(found):
    return {one.name: one.passed for one in found}


def test_all_that_belongs_to_it_is_there(run, shared):
    names = {one.name for one in shared.iterdir()}
    wanted = {
        *("README.md", "config.json", "model.safetensors", "discriminator.safetensors"),
        *("samples.png", "samples.safetensors", "scores.jsonl", "moving.safetensors"),
    }
    assert wanted <= names <= wanted | {"curve.png"}
    assert all(good(check(shared)).values()), check(shared)
    model, judge = reacgan.from_pretrained(shared, device="cpu", discriminator=True)
    whole = hub.load_discriminator(run, device="cpu").state_dict()
    for name, value in judge.state_dict().items():
        assert torch.allclose(value, whole[name], rtol=2**-8, atol=0), name
    kept = load_file(shared / "samples.safetensors")
    assert torch.equal(fixed_samples(model)["images"], kept["images"])
    assert kept["images"].shape == (16, 1, 8, 8) and kept["labels"].tolist()[9:12] == [9, 0, 1]
    assert read_config(shared)["name"] == "tiny-digits"


def test_the_same_run_gives_the_same_folder(run, shared, tmp_path):
    again = publish(run / "model", tmp_path / "again", name="tiny-digits", dtype="bfloat16")
    for one in shared.iterdir():
        assert one.read_bytes() == (again / one.name).read_bytes(), one.name


def test_a_published_folder_is_published_again_without_its_run(shared, tmp_path):
    """What this version writes comes out as it was; new scores take the place of the old ones."""
    again = renew(shared, tmp_path / "again")
    assert sorted(one.name for one in again.iterdir()) == sorted(
        one.name for one in shared.iterdir()
    )
    for one in shared.iterdir():
        assert one.read_bytes() == (again / one.name).read_bytes(), one.name
    more = renew(shared, shared, scores=[score("recall", 0.5, settings={"k": 5}, time="2027")])
    assert more == shared.resolve()
    card = (shared / "README.md").read_text(encoding="utf-8")
    assert "| Recall ↑ | 0.5 |" in card and "memorised" not in card
    assert all(good(check(shared)).values()), check(shared)


def test_a_folder_of_an_earlier_version_is_renewed(shared, tmp_path):
    """It did not say whether its statistics fit: now it does, and holds those that do."""
    old = hub.load(shared, device="cpu")
    moving = load_file(shared / "moving.safetensors")
    put_statistics(old.generator, moving)
    hub.save(
        replace(old, norms=None),
        shared,
        beside={"README.md": (shared / "README.md").read_text(encoding="utf-8")},
        dtype="bfloat16",
        discriminator=hub.load_discriminator(shared, device="cpu"),
        facts={"name": "tiny-digits"},
    )
    assert "statistics" not in read_config(shared)
    new = renew(shared, tmp_path / "new")
    assert read_config(new)["statistics"]["kind"] == "own"
    assert {name: value.tolist() for name, value in moving.items()} == {
        name: value.tolist() for name, value in load_file(new / "moving.safetensors").items()
    }
    assert all(good(check(new)).values()), check(new)


def test_what_is_not_published_is_not_renewed(run, tmp_path):
    with pytest.raises(ConfigError, match="no published folder"):
        renew(run, tmp_path / "out")


def test_the_card_says_what_is_known(shared):
    card = (shared / "README.md").read_text(encoding="utf-8")
    assert missing(card) == []
    for told in (
        "\nlicense: cc-by-4.0\n",
        "CC BY 4.0",
        "| Recall ↑ | 0.75 | 0.7 to 0.8 | 0.95 | k 5 |",
        "596 fakes against the whole test split",
        "reacgan evaluate tiny-digits --extractor domain --real",
        "\nreacgan train digits/reacgan --images 256\n",
        "256 (repeats counted)",
        "before these were stored in bfloat16",
        "Recall is 0.75, where as many real images have 0.95",
        "some are close to copies",
        "Memorised share: a \\| note",
        "One training run (seed 0)",
        "`domain`",
    ):
        assert told in card, told
    assert "0.1 " not in card and "| fid" not in card  # of another state; what chose a state
    assert [one.value for one in read_scores(shared / "scores.jsonl")] == [0.75, 0.95, 0.05]


def test_nothing_tells_of_the_machine(run, shared, tmp_path):
    config = json.loads((run / "model" / "config.json").read_text())
    config["experiment"]["data"]["path"] = str(tmp_path / "photos")
    (run / "model" / "config.json").write_text(json.dumps(sealed(config)))
    told = json.loads((run / "environment.json").read_text())
    told["command"] = [
        "/home/me/bin/reacgan",
        "train",
        "--data",
        "/home/me/my photos",
        "--out=/x/y",
    ]
    (run / "environment.json").write_text(json.dumps(told))
    for folder in (shared, publish(run, tmp_path / "second")):
        for one in folder.iterdir():
            if one.suffix in (".md", ".json", ".jsonl"):
                text = one.read_text(encoding="utf-8")
                assert str(tmp_path) not in text and "/home/" not in text, one
    assert read_config(folder)["experiment"]["data"]["path"] == "photos"
    assert "reacgan train --data 'my photos'\n" in (folder / "README.md").read_text()


def test_a_run_that_was_not_evaluated(run, tmp_path):
    (run / "scores.jsonl").unlink()
    shutil.rmtree(run / "checkpoints")
    folder = publish(run, tmp_path / "bare", licence="mit")
    card = (folder / "README.md").read_text()
    assert "was not evaluated" in card and "Not evaluated: nothing is known" in card
    assert (
        "\nlicense: mit\n" in card
        and "model-index" not in card
        and not (folder / "discriminator.safetensors").exists()
    )
    assert all(good(check(folder)).values())


def test_what_cannot_be_published(run, shared, tmp_path):
    with pytest.raises(ConfigError, match=r"tiny-digits: not of a run .*give the run's folder"):
        publish(shared, tmp_path / "again")
    with pytest.raises(ConfigError, match=r"none.jsonl: no such file; give the scores.jsonl"):
        publish(run, tmp_path / "again", scores=tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match=r"is not a model folder; choose another place"):
        publish(run, run)


def test_every_kind_of_damage_is_found(shared):
    def broken(expected):
        found = {one.name for one in check(shared) if not one.passed}
        assert found == expected, check(shared)

    (shared / "evil.pkl").write_bytes(b"")
    broken({"files"})
    (shared / "evil.pkl").unlink()
    kept = (shared / "scores.jsonl").read_bytes()
    (shared / "scores.jsonl").write_bytes(kept + b"\n")
    broken({"digests"})
    (shared / "scores.jsonl").write_bytes(kept)
    card = (shared / "README.md").read_text(encoding="utf-8")
    (shared / "README.md").write_text(card.replace("## Limits", "## Glory"), encoding="utf-8")
    broken({"card"})
    (shared / "README.md").unlink()
    broken({"card"})
    (shared / "README.md").write_text(card, encoding="utf-8")
    judge = shared / "discriminator.safetensors"
    held = judge.read_bytes()
    judge.write_bytes(held[:-1] + b"\x01")
    broken({"digests", "discriminator"})
    judge.write_bytes(held)
    (shared / "model.safetensors").write_bytes(b"")
    broken({"digests", "generator", "samples"})


@pytest.mark.parametrize(("apart", "fine"), [(0, True), (2, True), (3, False)])
def test_samples_agree_to_a_tolerance(shared, apart, fine):
    file = shared / "samples.safetensors"
    kept = load_file(file)
    pixel = kept["images"][3, 0, 2, 2]
    kept["images"][3, 0, 2, 2] = int(pixel) + (apart if pixel < 128 else -apart)
    save_file(kept, file)
    rewrite(shared, files={})
    found = next(one for one in check(shared) if one.name == "samples")
    assert found.passed is fine and f"at most {apart} of 255" in found.message


def test_samples_of_another_model(shared):
    kept = load_file(shared / "samples.safetensors")
    kept["labels"] = kept["labels"].roll(1)
    save_file(kept, shared / "samples.safetensors")
    found = next(one for one in check(shared) if one.name == "samples")
    assert not found.passed and "other classes or seeds" in found.message
    (shared / "samples.safetensors").unlink()
    found = next(one for one in check(shared) if one.name == "samples")
    assert not found.passed and "publish the run again" in found.message


def test_the_model_in_the_package_is_whole():
    found = check("digits-reacgan")
    assert all(good(found).values()), found


def test_paths_become_names():
    held = {
        "a": ["/home/me/photos", 3, None],
        "b": ("C:\\data\\x", "digits/reacgan"),
        "c": "of /data/deep/set (train)",
        "d": "https://example.org/a/b",
        "e": "1/2",
    }
    assert without_paths(held) == {
        "a": ["photos", 3, None],
        "b": ("x", "digits/reacgan"),
        "c": "of set (train)",
        "d": "https://example.org/a/b",
        "e": "1/2",
    }


def test_time_is_that_of_the_lines_up_to_the_state(run):
    lines = [
        {"images_seen": 100, "images_per_second": 10.0},
        {"images_seen": 100, "event": "samples"},
        {"images_seen": 300, "images_per_second": 20.0},
        {"images_seen": 200, "images_per_second": 50.0},  # went back
        {"images_seen": 300, "images_per_second": 25.0},
        {"images_seen": 400, "images_per_second": 1.0},
    ]
    record = replace(record_of(run), journal=lines)
    assert seconds_of(record, 300) == 100 / 10 + 200 / 20 + 100 / 25
    rows = dict(
        cost_of(replace(record, experiment={"training": {"images": 3000, "batch": 16}}), 300)
    )
    assert rows["planned"] == "3,000: this state is at 10% of it"


@pytest.mark.parametrize(
    ("told", "command"),
    [
        (
            ["/a/bin/reacgan", "train", "x", "--out", "--out", "--seed", "1"],
            "reacgan train x --seed 1",
        ),
        (["/lib/reacgan/__main__.py", "train", "--out=/a"], "reacgan train"),
        (["C:\\env\\reacgan.exe", "train"], "reacgan train"),
        (["/lib/pytest/__main__.py", "tests"], None),
        (["my_script.py", "x"], None),
        (["/a/notreacgan", "train"], None),
        ([], None),
        (None, None),
    ],
)
def test_the_command_that_trained(run, told, command):
    assert command_of(replace(record_of(run), environment={"command": told})) == command


def test_real_images_only_beside_the_same_protocol():
    chosen = scores_of(SCORES, 256)
    (recall,) = (one for one in chosen if one.metric == "recall" and one.images_seen)
    assert real_beside(recall, chosen).value == 0.95
    other = replace(recall, protocol={**recall.protocol, "metric": {"k": 3}})
    assert real_beside(other, chosen) is None


def test_the_command_repeats_the_protocol():
    held = score("fid", 1.0)
    held = replace(
        held,
        protocol={
            **held.protocol,
            "extractor": {"name": "inception"},
            "fake": {"images": 100, "labels": "balanced", "seed": 1},
            "generator": {
                "batch_norm": "standing",
                "psi": 0.7,
                "langevin": {"steps": 5, "rate": 0.1, "noise": 1.0, "decay": 1.0},
            },
        },
    )
    command = evaluate_command(held, "m", DataConfig(name="folder"), real=False)
    assert command == (
        "reacgan evaluate m --reference IMAGES --num 100 --labels balanced --seed 1 "
        "--statistics standing --psi 0.7 --langevin 5 --langevin-rate 0.1"
    )


def test_an_unfinished_training_is_a_limit():
    model = make()
    assert "Training is not complete: 12% of the planned 100,000" in limits(model, [], 100_000)
    assert "not complete" not in limits(model, [], 12_345)


def test_terms_of_every_set():
    from reacgan.data import DATASETS

    own = {"folder", "archive", "csv", "jsonl", "shards", "hub"}
    assert set(TERMS) == set(DATASETS) - own
    for name in DATASETS:
        terms = terms_of(DataConfig(name=name, path="hub:a/b" if name == "hub" else None))
        assert terms.title and terms.licence
        assert (terms.weights == "other") == bool(terms.restriction)
    assert terms_of(DataConfig(name="hub", path="hub:a/b")).identifiers == ("a/b",)


def test_the_commands(run, tmp_path, reacgan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = reacgan("weights", "publish", run, "--out", "w/mine", "--dtype", "bfloat16")
    assert code == 0 and Path("w/mine/config.json").exists(), err
    code, out, _ = reacgan("weights", "check", "w/mine")
    assert code == 0 and out.count("ok") == 6
    Path("w/mine/scores.jsonl").unlink()
    code, out, _ = reacgan("weights", "check", "w/mine")
    assert code == 1 and "FAILED digests" in out
    code, _, err = reacgan("weights", "push", "w/mine", "me/mine")
    assert code == 1 and "scores.jsonl: not readable" in err


def test_a_run_that_is_not_published_is_checked_too(run, tmp_path, reacgan):
    for path in (run, run / "model"):
        code, out, err = reacgan("weights", "check", path)
        lines = dict(line.split(None, 2)[1::-1] for line in out.splitlines())
        assert code == 0 and lines["samples"] == lines["card"] == "none", err
        assert "FAILED" not in out and out.count("not published") == 2
    damaged = shutil.copytree(run / "model", tmp_path / "model")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    code, out, _ = reacgan("weights", "check", damaged)
    assert code == 1 and "FAILED digests" in out


def test_a_name_is_a_word(tmp_path):
    with pytest.raises(ConfigError, match="name is '../x'; allowed: letters, digits"):
        publish("digits-reacgan", tmp_path / "model", name="../x")
