"""The diagnosis of the conditioning loss: right numbers, every head, and no trace of it in the run."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from accumulation import trainer_for
from members import begin_adapted, every_head
from test_resume import assert_same_bits, state_of
from test_run import train
from tiny import experiment, images
from torch.nn import functional as F

from reacgan.assembly import complete
from reacgan.heads.base import HeadOutput
from reacgan.history import read_records
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.monitor.diagnosis import diagnose
from reacgan.training.state import TrainState
from reacgan.training.step.losses import images_for_discriminator

PLAIN = {"model.backbone.spectral_norm": False, "augment.name": "identity"}


def built(**changes):
    """A trainer in the run's own precision."""
    settings = complete(experiment(**changes))
    engine, data = Engine.of(settings, "cpu"), images()
    state = TrainState.build(settings, data.num_classes, engine)
    begin_adapted(state.adaptive)
    return Trainer(settings, state, data, engine)


def seen_by_hand(trainer):
    """Features [N, F] and labels of the real images that D sees next."""
    pixels, labels = trainer.steps.real()
    with torch.no_grad():
        return trainer.state.discriminator.backbone(pixels), labels


def snapshot(trainer):
    """Everything that a run is continued from, and the switches of its networks."""
    tensors = {
        f"{part}/{name}": held.detach().clone()
        for part, held_by in trainer.state.tensors().items()
        for name, held in held_by.items()
    }
    networks = trainer.state.generator, trainer.state.discriminator
    switches = [
        (name, module.training, getattr(module, "iterate", None), getattr(module, "track", None))
        for network in networks
        for name, module in network.named_modules()
    ]
    required = [held.requires_grad for network in networks for held in network.parameters()]
    without = [held.grad is None for network in networks for held in network.parameters()]
    return tensors, (switches, required, without, trainer.state.images_seen)


def no_gradients(trainer):
    for network in (trainer.state.generator, trainer.state.discriminator):
        for held in network.parameters():
            held.grad = None


def assert_untouched(before, after):
    assert before[1] == after[1]
    assert before[0].keys() == after[0].keys()
    for name, held in before[0].items():
        assert torch.equal(held, after[0][name]), name


@pytest.mark.parametrize("cycles", [0, 2])
def test_the_classifiers_gradient_is_the_closed_form(cycles):
    """Of cross-entropy: with respect to W sum (p - y) h / N, to h_i (p_i - y_i) W / N."""
    trainer = trainer_for("auxiliary", **PLAIN)
    for _ in range(cycles):
        trainer.cycle(Journal(None, 0))
    features, labels = seen_by_hand(trainer)
    weight = trainer.state.discriminator.head.classifier.weight.detach()
    probability = (features @ weight.T).softmax(dim=1)
    off = probability - F.one_hot(labels, 3)
    found = diagnose(trainer.steps)
    assert found.keys() == {
        "classifier_gradient", "feature_gradient", "feature_norm", "true_class", "right"
    }  # fmt: skip
    expected = {
        "classifier_gradient": (off.T @ features / len(labels)).norm(),
        "feature_gradient": (off @ weight).norm(dim=1).mean(),
        "feature_norm": features.norm(dim=1).mean(),
        "true_class": probability[range(len(labels)), labels].mean(),
        "right": (probability.argmax(dim=1) == labels).double().mean(),
    }
    for name, value in expected.items():
        # The share of right ones is counted in float32.
        assert found[name] == pytest.approx(value.item(), rel=1e-7 if name == "right" else 1e-12)


def test_of_d2dce_it_is_that_of_the_formula():
    trainer = trainer_for("d2dce", **PLAIN)
    features, labels = seen_by_hand(trainer)
    head = copy.deepcopy(trainer.state.discriminator.head)
    features.requires_grad_()
    points = F.normalize(head.embedding(features), dim=1)
    vectors = F.normalize(head.class_vectors.weight, dim=1)
    near = points @ vectors.T
    attraction = (near[range(len(labels)), labels] - head.margin).clamp(max=0) / head.temperature
    pairs = (points @ points.T - (1 - head.margin)).clamp(min=0) / head.temperature
    apart = (pairs.exp() * (labels[:, None] != labels[None, :])).sum(dim=1)
    loss = ((attraction.exp() + apart).log() - attraction).mean()
    wanted = [features, head.embedding.weight, head.embedding.bias, head.class_vectors.weight]
    of_features, *slopes = torch.autograd.grad(loss, wanted)
    probability = (near / head.temperature).softmax(dim=1)
    found = diagnose(trainer.steps)
    assert found["classifier_gradient"] == pytest.approx(
        torch.cat([slope.flatten() for slope in slopes]).norm().item(), rel=1e-10
    )
    each = of_features.norm(dim=1).mean().item() * len(labels)
    assert found["feature_gradient"] == pytest.approx(each, rel=1e-10)
    own = probability[range(len(labels)), labels]
    assert found["true_class"] == pytest.approx(own.mean().item(), rel=1e-10)


KNOWS = {"auxiliary", "contrastive", "d2dce", "multihinge", "twin", "discriminative"}


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", every_head())
def test_every_head_is_diagnosed(name, precision):
    trainer = built(**{**every_head()[name], "training.precision": precision})
    trainer.cycle(Journal(None, 0))  # before it, spectral norms know nothing of their weights
    no_gradients(trainer)
    before = snapshot(trainer)
    found = diagnose(trainer.steps)
    assert_untouched(before, snapshot(trainer))
    assert found["feature_norm"] > 0
    inner = name.rpartition("-over-")[2] if "-over-" in name else name
    has_loss = inner in KNOWS or name.startswith("infogan")
    assert ("classifier_gradient" in found) == has_loss
    # Of real images Q says nothing.
    assert (found.get("feature_gradient", 0) > 0) == (inner in KNOWS)
    assert ("true_class" in found) == ("right" in found) == (inner in KNOWS)
    for value in found.values():
        assert 0 <= value < float("inf")
    if inner in KNOWS:
        assert found["classifier_gradient"] > 0
        assert 0 < found["true_class"] < 1


@pytest.mark.parametrize(
    ("name", "weight", "rows"),
    [
        ("multihinge", "classes", slice(0, 3)),  # the last is that of fakes
        ("discriminative-over-auxiliary", "inner.classifier", slice(0, None, 2)),  # real ones
    ],
)
def test_what_a_head_believes_is_of_the_real_classes(name, weight, rows):
    trainer = trainer_for(**{**every_head()[name], **PLAIN})
    features, labels = seen_by_hand(trainer)
    layer = trainer.state.discriminator.head.get_submodule(weight)
    probability = layer(features)[:, rows].softmax(dim=1)
    own = probability[range(len(labels)), labels].mean().item()
    assert diagnose(trainer.steps)["true_class"] == pytest.approx(own, rel=1e-12)


def test_what_stands_still_in_the_head_goes_on_standing_still():
    trainer = trainer_for("auxiliary")
    trainer.state.discriminator.head.requires_grad_(False)
    before = snapshot(trainer)
    assert diagnose(trainer.steps)["classifier_gradient"] > 0
    assert_untouched(before, snapshot(trainer))


TOUCHY = {
    "spectral norm in G": {"model.generator.name": "plain"},
    "batch norm in D": {"model.backbone": {"name": "dcgan", "norm": "batch", "width": 4}},
    "accumulate": {"model.generator.name": "plain", "training.accumulate": 2},
    "latents that move": {"loss.latent_optimisation": {}},
    "posing": {"apa.every": 1, "apa.speed": 200},
    "transition": {"loss.transition.end": 64},
    "frozen stages": {"training.freeze_d": 1},
    "adaptive": {"augment.name": "ada", "augment.probability": 0.5},
}


@pytest.mark.parametrize("case", TOUCHY)
def test_nothing_is_moved(case):
    plain = TOUCHY[case].get("model.generator.name") == "plain"
    trainer = trainer_for("d2dce", plain=plain, **TOUCHY[case])
    begin_adapted(trainer.state.adaptive)
    trainer.cycle(Journal(None, 0))
    no_gradients(trainer)
    before = snapshot(trainer)
    first = diagnose(trainer.steps)
    assert_untouched(before, snapshot(trainer))
    assert diagnose(trainer.steps) == first


@pytest.mark.parametrize("name", ["d2dce", "auxiliary", "twin-over-d2dce", "infogan"])
def test_parts_of_a_batch_are_its_whole(name):
    """Of a coupled loss too: partners are those of the step."""
    changes = {**every_head()[name], **PLAIN}
    whole = trainer_for(**changes)
    parts = trainer_for(**changes, **{"training.accumulate": 2})
    # A part draws as a process would: the latents of the two differ.
    drawn = parts.steps.latents("latents/d")
    joined = type(drawn[0])(*(torch.cat(held) for held in zip(*map(_fields, drawn), strict=True)))
    whole.steps.latents = lambda stream: [joined]
    assert diagnose(parts.steps) == pytest.approx(diagnose(whole.steps), rel=1e-9)


def _fields(latents):
    return latents.z, latents.labels


def test_partners_of_the_whole_batch_are_no_trouble_in_parts():
    trainer = trainer_for("d2dce", **{"model.head.partners": 8, "training.accumulate": 2})
    assert diagnose(trainer.steps)["classifier_gradient"] > 0


def test_what_the_head_is_shown_is_what_the_step_shows_it(monkeypatch):
    trainer = trainer_for("infogan", **every_head()["infogan"])
    fakes = images_for_discriminator(
        trainer.steps.contexts(8)[0], *trainer.steps.real(), trainer.steps.latents("latents/d")[0]
    )
    shown = []
    head = trainer.state.discriminator.head
    monkeypatch.setattr(head, "d_loss", lambda real, fake: shown.append(fake) or fake.score.sum())
    diagnose(trainer.steps)
    assert isinstance(shown[0], HeadOutput)
    assert torch.equal(shown[0].latents, fakes.z)
    assert torch.equal(shown[0].labels, fakes.fake_labels)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_diagnosed_run_is_the_same_run(accumulate, tmp_path):
    changes = {
        "training.accumulate": accumulate,
        "training.images": 64,
        "model.generator.name": "biggan",
    }
    train(tmp_path / "plain", images(), **changes)
    train(tmp_path / "told", images(), **changes, **{"report.diagnose_every": 16})
    assert_same_bits(state_of(tmp_path / "plain"), state_of(tmp_path / "told"))
    told = read_records(tmp_path / "told" / "journal.jsonl")
    assert [line["images_seen"] for line in told] == [16, 32, 48, 64]
    for line in told:
        assert line["diagnosis"].keys() == {
            "classifier_gradient", "feature_gradient", "feature_norm", "true_class", "right"
        }  # fmt: skip
    assert not any("diagnosis" in line for line in read_records(tmp_path / "plain/journal.jsonl"))


def test_a_run_taken_up_again_is_told_the_same(tmp_path):
    changes = {"report.diagnose_every": 16, "training.images": 96}
    train(tmp_path / "whole", images(), **changes)
    train(tmp_path / "parts", images(), **{**changes, "training.images": 48})
    train(tmp_path / "parts", images(), **changes)
    whole, parts = (
        {
            line["images_seen"]: line["diagnosis"]
            for line in map(json.loads, (tmp_path / run / "journal.jsonl").read_text().splitlines())
        }
        for run in ("whole", "parts")
    )
    assert whole == parts
    assert list(whole) == [16, 32, 48, 64, 80, 96]


def test_a_diagnosis_stands_in_the_line_of_its_moment(tmp_path):
    """Where the watch looks and the journal reports at the same moment too."""
    every = {"report.diagnose_every": 32, "report.journal_every": 32, "training.images": 96}
    train(tmp_path, images(), **every, **{"watch.every": 32, "watch.action": "warn"})
    lines = read_records(tmp_path / "journal.jsonl")
    assert [line["images_seen"] for line in lines if "diagnosis" in line] == [32, 64, 96]
    assert [line["images_seen"] for line in lines if "watch" in line] == [32, 64, 96]
