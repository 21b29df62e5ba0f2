"""A head from another package, with one more tensor in its output, under ``twin``."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from accumulation import assert_equal, d_gradients, g_gradients, trainer_for
from safetensors.torch import load_file
from tiny import experiment, images
from torch import Tensor
from torch.nn import functional as F

import reacgan
from reacgan.assembly import complete
from reacgan.config import PositiveFloat
from reacgan.heads import HEADS, Head, HeadOutput, build_head
from reacgan.training.checkpoint import list_checkpoints


@dataclass(frozen=True, eq=False)
class DoubtfulOutput(HeadOutput):
    doubt: Tensor | None = None
    """``[N]``: log of how little the logits are to be trusted."""


class DoubtfulHead(Head):
    """A classifier that says how sure it is: E exp(-doubt) CE(logits, y) + weight x doubt."""

    def __init__(self, *, in_features: int, num_classes: int, layers, weight: PositiveFloat = 1.0):
        super().__init__()
        self.weight = weight
        self.score = layers.linear(in_features, 1, True)
        self.classifier = layers.linear(in_features, num_classes, False)
        self.doubt = layers.linear(in_features, 1, True)

    def forward(self, features, labels):
        return DoubtfulOutput(
            score=self.score(features).squeeze(1),
            labels=labels,
            logits=self.classifier(features),
            doubt=self.doubt(features).squeeze(1),
        )

    def d_loss(self, real, fake):
        return self._loss(real)

    def g_loss(self, fake):
        return self._loss(fake)

    def _loss(self, output):
        errors = F.cross_entropy(output.logits, output.labels, reduction="none")
        return (torch.exp(-output.doubt) * errors + self.weight * output.doubt).mean()


@pytest.fixture(autouse=True)
def _registered():
    reacgan.register("head", "doubtful", DoubtfulHead)
    yield
    del HEADS["doubtful"]


def over(head: str) -> dict[str, object]:
    return {"model.head": {"name": head, "over": {"name": "doubtful", "weight": 0.5}}}


def train(out, **changes):
    settings = experiment(**{**over("twin"), **changes})
    return reacgan.train(settings, out, device="cpu", data=images(), quiet=True)


def state_of(folder):
    newest = list_checkpoints(folder / "checkpoints")[-1]
    parts = {file.stem: load_file(file) for file in newest.glob("*.safetensors")}
    return {
        f"{part}/{name}": value
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("parts", [1, 2])
def test_it_is_trained_resumed_and_sampled(parts, tmp_path):
    accumulate = {"training.accumulate": parts}
    train(tmp_path / "whole", **accumulate)
    train(tmp_path / "halves", **accumulate, **{"training.images": 80})
    half = state_of(tmp_path / "halves")
    assert train(tmp_path / "halves", **accumulate).images_seen == 160
    whole, halves = state_of(tmp_path / "whole"), state_of(tmp_path / "halves")
    assert whole.keys() == halves.keys()
    for name, value in whole.items():
        assert torch.equal(value, halves[name]), name
    names = {name.partition("/head.")[2] for name in whole if "/head." in name}
    for layer in ("inner.score", "inner.doubt", "twin.doubt", "twin.classifier"):
        name = next(name for name in names if name.startswith(f"{layer}.weight"))
        key = f"discriminator/head.{name}"
        assert not torch.equal(whole[key], half[key]), f"{layer} does not learn"
    assert not any(name.startswith("twin.score") for name in names)
    model = reacgan.load(tmp_path / "halves", device="cpu")
    assert model.experiment.model.head.options["over"] == {"name": "doubtful", "weight": 0.5}
    assert [sample.label for sample in reacgan.sample(model, "all", 2)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("head", ["twin", "discriminative"])
def test_parts_of_a_batch_give_the_gradients_of_the_whole(head):
    for step in (d_gradients, g_gradients):
        whole, parts = (
            step(trainer_for(**over(head), **{"training.accumulate": count}))[0] for count in (1, 2)
        )
        assert any("doubt" in name for name in whole) or step is g_gradients
        assert_equal(whole, parts)


def test_its_output_is_split_and_joined():
    full = complete(experiment(**over("twin"))).model.head
    head = build_head(full, in_features=6, num_classes=3)
    output = head(torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1]))
    parts = output.split([2, 3])
    joined = HeadOutput.join(parts).tensors()
    assert "doubt" in joined and "twin.doubt" in joined
    assert joined.keys() == output.tensors().keys()
    for name, value in output.tensors().items():
        assert torch.equal(joined[name], value)
    zeros = {name: torch.zeros_like(value) for name, value in joined.items()}
    for part in (*parts, output.with_tensors(zeros), HeadOutput.join(parts)):
        assert type(part) is type(part.twin) is DoubtfulOutput
