"""The YAML at the top of a card, read as the Hugging Face hub's own client reads it."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index

from reacgan import hub
from reacgan.config import ConfigError, DataConfig
from reacgan.data import DATASETS
from reacgan.evaluation.scores import Score
from reacgan.hub.licences import LICENCES, licence_of, terms_of
from reacgan.hub.places import known_models
from reacgan.sharing.card import missing
from reacgan.sharing.scores import model_index
from test_hub import make

HEX = "ab" * 32


def score(metric, value, *, extractor="domain", subject="run", seen=256, better="lower", name=None):
    protocol = {
        "extractor": {"name": extractor, "weights": HEX},
        "fake": {"images": 596, "labels": "reference", "seed": 0},
        "reference": {"images": 500, "split": "test", "name": name or "digits"},
        "metric": {"k": 5} if metric == "recall" else {},
        "software": {"torch": "2.13.0"},
    }
    return Score(metric, value, better, protocol, subject=subject, images_seen=seen)


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


def of_data(name, path=None):
    from dataclasses import replace

    model = make()
    changes = {"data.name": name, "data.path": path}
    return replace(model, experiment=model.experiment.replace(**changes))


@pytest.mark.parametrize("name", DATASETS)
def test_a_card_for_every_set(name):
    facts = metadata(hub.card(of_data(name, "hub:a/b" if name == "hub" else None)))
    assert facts["license"] in LICENCES
    assert (facts["license"] == "other") == ("license_name" in facts)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", facts.get("license_name", "none"))
    # Only what is a repository of the hub, never our own name of a set.
    assert all("/" in one for one in facts.get("datasets", ["a/b"]))
    terms = terms_of(DataConfig(name=name, path="hub:a/b" if name == "hub" else None))
    assert facts.get("datasets", []) == list(terms.identifiers)
    ModelCardData(**facts)


def test_data_on_disk_are_no_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos/set").mkdir(parents=True)
    assert "datasets" not in metadata(hub.card(of_data("hub", "photos/set")))
    assert "datasets" not in metadata(hub.card(of_data("hub", "hub:mnist")))
    assert metadata(hub.card(of_data("hub", "hub:me/pets")))["datasets"] == ["me/pets"]
    assert "datasets" not in metadata(hub.card(of_data("folder", "photos")))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("mit", ("mit", None)),
        ("openrail++", ("openrail++", None)),
        ("other:my-terms_1.0", ("other", "my-terms_1.0")),
    ],
)
def test_licences(named, expected):
    assert licence_of(named) == expected
    facts = metadata(hub.card(make(), licence=named))
    assert (facts["license"], facts.get("license_name")) == expected
    assert f"| these weights | {expected[0]}" in hub.card(make(), licence=named)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("apache2.0", "licence is 'apache2.0'; did you mean 'apache-2.0'[?] Allowed: one that"),
        ("MIT", "licence is 'MIT'"),
        ("see the page", r"licence is 'see the page'\. Allowed: .* or other:NAME for other terms"),
        ("other", "licence is 'other'"),
        ("other:My terms", "NAME of a-z, 0-9, and . _ -"),
        ("", "licence is ''"),
    ],
)
def test_what_the_hub_does_not_list(named, message, run_folder, tmp_path):
    from reacgan import publish

    with pytest.raises(ConfigError, match=message):
        hub.card(make(), licence=named)
    with pytest.raises(ConfigError, match=message):
        publish(run_folder, tmp_path / "out", licence=named)
    assert not (tmp_path / "out").exists()


def test_scores_as_the_hub_reads_them():
    data = DataConfig(name="digits", resolution=8, channels=1)
    scores = [
        score("fid", 4.484969899),
        score("recall", 0.5, better="higher"),
        score("fid", 21.5, extractor="inception"),
        score("recall", 0.9, subject="real images (training)", seen=None),
        score("kid", 0.1, name="others"),
        score("is", float("nan"), better="higher"),
    ]
    index = model_index(scores, "mine", data)
    read = ModelCardData(**{"model-index": index}, license="mit")
    assert read.model_name == "mine"
    found = [(one.dataset_type, one.metric_type, one.metric_value) for one in read.eval_results]
    assert found == [
        ("digits", "fid-domain", 4.48497),
        ("digits", "recall-domain", 0.5),
        ("digits", "fid", 21.5),
        ("others", "kid-domain", 0.1),
    ]
    assert all(one.task_type == "unconditional-image-generation" for one in read.eval_results)
    first = read.eval_results[0]
    assert (first.dataset_split, first.verified) == ("test", False)
    assert first.dataset_args["extractor"] == "domain" and first.dataset_args["protocol"]
    assert first.dataset_args["generated_images"] == 596
    assert eval_results_to_model_index("mine", read.eval_results)
    assert model_index(scores[3:4], "mine", data) == []
    photos = DataConfig(name="cifar10", resolution=32, channels=3)
    known = model_index([score("fid", 1.0, name="cifar10")], "mine", photos)
    assert known[0]["results"][0]["dataset"]["type"] == "uoft-cs/cifar10"


def test_what_is_published_has_all_of_it(run_folder, tmp_path):
    from reacgan import publish

    folder = publish(run_folder, tmp_path / "mine", scores=[score("fid", 2.5)], dtype="bfloat16")
    card = (folder / "README.md").read_text(encoding="utf-8")
    facts = metadata(card)
    assert facts["model-index"][0]["results"][0]["metrics"][0]["value"] == 2.5
    assert "datasets" not in facts and missing(card) == []
    for name in ("model", "discriminator", "samples"):
        content = (folder / f"{name}.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        assert json.loads(content[8 : 8 + size])["__metadata__"] == {"format": "pt"}, name


def test_a_card_is_looked_through():
    card = hub.card(make(), sections={"Scores": "x"})
    lacking = missing(card)
    assert not any("license" in one for one in lacking)
    foreign = card.replace("license: cc-by-4.0", "license: my-own")
    assert "a license of the hub's list (it is 'my-own')" in missing(foreign)
    assert "license_name" in missing(card.replace("license: cc-by-4.0", "license: other"))
    assert "license" in missing(card.replace("license: cc-by-4.0", "license: ["))
    assert {"library_name", "tags"} <= set(missing("# no metadata"))


@pytest.mark.parametrize("name", known_models())
def test_the_cards_that_come_along(name):
    card = (known_models()[name] / "README.md").read_text(encoding="utf-8")
    assert missing(card) == []
    ModelCardData(**metadata(card))
