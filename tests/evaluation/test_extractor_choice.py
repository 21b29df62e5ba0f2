"""Which extractor `evaluate` takes where none is named: what is said, first, and what is never replaced."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import reacgan as package
from random_inception import patterns, random_weights
from reacgan.data import ImageData
from reacgan.evaluation import read_scores
from reacgan.evaluation.choice import choose_extractor, say_cost
from reacgan.evaluation.plan import Plan, build_metrics, origin_of
from reacgan.evaluation.reference import Reference
from reacgan.evaluation.targets import GeneratorTarget
from reacgan.extractors import train_classifier
from reacgan.extractors.inception import FEATURES, PUBLISHED
from reacgan.extractors.weights import kept_at
from reacgan.metrics.moments import Moments
from reacgan.models.trained import TrainedState
from reacgan.progress import listening

CPU = torch.device("cpu")
QUICK = ["--metrics", "fid", "--num", "40", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def images(count, classes=2):
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(count) % classes
    return ImageData(pixels, labels, tuple("abc"[:classes]), f"{count} images")


def plan(count, *, classes=2, training=True):
    data = images(count, classes)
    known = images(64, classes) if training else None
    reference = Reference(data, facts={"split": "test"}, known_training=known)
    return Plan(reference, build_metrics("fid"), explicit=False, origin=origin_of(reference))


def chosen(of, caplog, count=None, **options):
    with caplog.at_level(logging.WARNING, "reacgan.evaluation"):
        network = choose_extractor(of, count, options=options, device=CPU)
    (record,) = caplog.records
    return network, record.getMessage()


def at_hand():
    """Weights of Inception in the cache, as they lie there after a download."""
    kept = kept_at(PUBLISHED)
    kept.parent.mkdir(parents=True, exist_ok=True)
    weights = random_weights()
    from reacgan.extractors.weights import _digest

    facts = {"digest": _digest({name: weights[name] for name in sorted(weights)}), "source": None}
    save_file(weights, kept, metadata={"weights": json.dumps(facts)})


def test_few_images_are_for_the_classifier(caplog):
    at_hand()
    name, said = chosen(plan(FEATURES), caplog, 5000)
    assert name == "domain"
    assert "the reference has 2,048 images, too few for the 2,048 features of Inception" in said
    assert said.endswith("--extractor inception takes FID's own network")


def test_few_images_to_score(caplog):
    assert "scored are 100 images, too few" in chosen(plan(FEATURES + 1), caplog, 100)[1]


def test_weights_that_are_not_at_hand(caplog):
    name, said = chosen(plan(FEATURES + 1), caplog, 5000)
    assert name == "domain"
    assert "the weights of Inception cannot be fetched here: " in said
    assert said.endswith("--extractor inception says how to get them")
    assert "\n" not in said


def test_inception_where_nothing_is_against_it(caplog):
    at_hand()
    network, said = chosen(plan(FEATURES + 1), caplog, 5000)
    assert network.name == "inception"
    assert said.endswith("--extractor domain needs no download")


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (lambda: plan(100, classes=1), "there is one class only"),
        (lambda: plan(100, training=False), "no training images are known"),
        (
            lambda: Plan(
                reference := Reference(
                    None, Moments(50, torch.zeros(2048), torch.eye(2048)), labelled=False
                ),
                build_metrics("fid"),
                explicit=False,
                origin=origin_of(reference),
            ),
            "the reference is a file of statistics",
        ),
    ],
)
def test_where_no_classifier_can_be_trained(caplog, of, reason):
    at_hand()
    network, said = chosen(of(), caplog, 100)
    assert network.name == "inception" and f"domain is no choice here: {reason}" in said


def test_neither_of_them(caplog):
    with pytest.raises(package.ConfigError, match=r"^curl .*\n .*fetches the weights of inception"):
        choose_extractor(plan(100, classes=1), 100, options={}, device=CPU)


def test_options_tell_which_one_is_meant(caplog, tmp_path):
    assert chosen(plan(5000), caplog, 5000, epochs=2)[0] == "domain"
    save_file(random_weights(), tmp_path / "inception.safetensors")
    caplog.clear()
    weights = str(tmp_path / "inception.safetensors")
    assert chosen(plan(100), caplog, 100, weights=weights)[0].name == "inception"


@pytest.mark.slow  # the classifier's own 600 steps
def test_the_python_interface_chooses_alike(caplog):
    pictures = patterns(80, 8)
    labels = np.arange(80) % 2
    real = ImageData(pictures.numpy(), labels, ("a", "b"), "real")
    with caplog.at_level(logging.WARNING, "reacgan.evaluation"):
        result = package.evaluate(
            [pictures[:40]], real, metrics="fid", training=real, device="cpu", resolution=8
        )
    assert result.scores[0].protocol["extractor"]["name"] == "domain"
    assert "extractor domain" in caplog.text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param(
            [],
            "domain (a classifier of your images): the reference has 596",
            marks=pytest.mark.slow,
        ),
        (["--set", "extractor.epochs=1"], "domain: epochs is an option of it"),
    ],
)
def test_it_is_said_first_and_only_once(reacgan, run_folder, tmp_path, options, reason):
    words = ["evaluate", run_folder, "--out", tmp_path / "out", *QUICK, *options]
    code, _, err = reacgan(*words, "--checkpoint", "all")
    assert code == 0, err
    first, *rest = err.splitlines()
    assert first.startswith(f"extractor {reason}")
    assert not any(line.startswith("extractor ") for line in rest)
    scores = read_scores(tmp_path / "out" / "scores.jsonl")
    assert {score.protocol["extractor"]["name"] for score in scores} == {"domain"}
    code, out, err = reacgan(*words, "--quiet")
    assert (code, err) == (0, "") and "domain extractor" in out


def test_a_named_one_is_never_replaced(reacgan, run_folder, tmp_path):
    code, out, err = reacgan(
        "evaluate", run_folder, "--out", tmp_path / "out", *QUICK, "--extractor", "inception"
    )
    assert (code, out) == (1, "")
    assert [line[:14] for line in err.splitlines()[-2:]] == ["reacgan: curl ", "  fetches the "]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wish", ["inception", "{name: domain, epochs: 1}"])
def test_the_wish_of_a_run_is_respected(reacgan, tmp_path, wish):
    from commands import TINY

    out = tmp_path / "run"
    words = ["train", "digits/reacgan", "--images", "64", "--quiet", "--out", out, *TINY]
    assert reacgan(*words, f"scores.extractor={wish}")[0] == 0
    code, _, err = reacgan("evaluate", out, *QUICK)
    name = "inception" if wish == "inception" else "domain"
    assert f"extractor {name}: the run's own scores are by it (scores.extractor)" in err
    assert code == (1 if name == "inception" else 0)
    if name == "domain":
        (score,) = read_scores(out / "scores.jsonl")
        assert score.protocol["extractor"]["epochs"] == 1


class Heard:
    def __init__(self):
        self.said = []

    def changed(self, stage):
        pass

    def say(self, text):
        self.said.append(text)


def test_what_a_classifier_costs_is_said_where_it_is_worth_it():
    listener = Heard()
    with listening(listener):
        say_cost(plan(3000), {}, None, 5.0)
        assert listener.said == []
        say_cost(plan(3000), {"epochs": 40}, 1001, 300.0)
        say_cost(plan(3000), {}, 60, 300.0)
    said, of_few = listener.said
    assert "--num" not in of_few and of_few.endswith("(such scores compare only with each other)")
    assert "training the classifier of 64 images takes about 5 min here, once" in said
    assert "--set extractor.epochs=20 " in said and "--num 1000" in said


def test_the_cost_is_timed_on_the_first_steps_and_never_where_it_is_kept(tmp_path):
    expected = []
    options = {"epochs": 10, "batch": 8, "width": 2, "cache": tmp_path, "expect": expected.append}
    first = train_classifier(images(16), **options)
    again = train_classifier(images(16), **options)
    plain = train_classifier(images(16), **{**options, "cache": None, "expect": None})
    assert len(expected) == 1 and 0 < expected[0] < 600
    for one in (again, plain):
        for key, value in first.state_dict().items():
            assert torch.equal(value, one.state_dict()[key])


def test_a_run_that_has_hardly_begun_is_warned_of():
    model = package.load("digits-reacgan", device="cpu")
    asked = []

    def early(seen):
        state = TrainedState("mine", replace(model, images_seen=seen))
        return GeneratorTarget(state).early(lambda: asked.append(seen))

    assert "mine has hardly begun to learn: 1,500 images seen, 1.0% of the plan" in early(1_500)
    assert early(model.images_seen) == "" and asked == [1_500]
