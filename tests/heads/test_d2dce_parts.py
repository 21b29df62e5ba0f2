"""The parts that D2D-CE is taken apart into: each against the formula written out."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from conditional_cases import cosine, random_batch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.heads.base import HeadOutput, unit
from reacgan.heads.d2dce import D2DCrossEntropyHead, d2d_cross_entropy
from reacgan.heads.hypersphere import masked_logsumexp

Batch = tuple[Tensor, Tensor, Tensor]
EASY = ("both", "positives", "negatives", "none")
SETTINGS = ((0.5, 0.98), (0.1, 0.7), (2.0, 1.0), (0.25, 0.5))
WAYS: list[dict[str, Any]] = [
    {"suppress_easy": easy, "form": form, "false_negatives": false}
    for easy, form, false in itertools.product(EASY, ("paper", "released"), (False, True))
] + [{"suppress_easy": easy, "negatives": "classes"} for easy in EASY]


def named(way: dict[str, Any]) -> str:
    return "-".join(str(value) for value in way.values())


def slow(
    batch: Batch,
    temperature: float,
    margin: float,
    *,
    suppress_easy: str,
    form: str = "paper",
    negatives: str = "data",
    false_negatives: bool = False,
) -> float:
    """Sample by sample, as the text has it."""
    features, vectors, labels = batch
    y = labels.tolist()
    total = 0.0
    for i in range(len(y)):
        positive = cosine(features[i], vectors[y[i]]) - margin
        if suppress_easy in ("both", "positives"):
            positive = min(positive, 0)
        if negatives == "classes":
            near = {
                c: (cosine(features[i], vectors[c]) - (1 - margin)) / temperature
                for c in range(len(vectors))
            }
            counted = [c for c in near if c != y[i]]
        else:
            near = {
                j: (cosine(features[i], features[j]) - (1 - margin)) / temperature
                for j in range(len(y))
                if j != i
            }
            counted = [j for j in near if false_negatives or y[j] != y[i]]
        shift = max(near.values(), default=0.0) if form == "released" else 0.0
        if suppress_easy in ("both", "negatives"):
            near = {j: max(value, 0) for j, value in near.items()}
        attraction = math.exp(positive / temperature)
        repulsion = sum(math.exp(near[j] - shift) for j in counted)
        total -= math.log(attraction / (attraction + repulsion))
    return total / len(y)


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_agrees_with_the_formula_written_out(way: dict[str, Any]) -> None:
    for seed, (temperature, margin) in itertools.product(range(3), SETTINGS):
        batch = random_batch(seed=seed)
        loss = d2d_cross_entropy(*batch, temperature=temperature, margin=margin, **way)
        assert loss.item() == pytest.approx(slow(batch, temperature, margin, **way), abs=1e-10)


@pytest.mark.parametrize("way", [way for way in WAYS if way.get("form") != "released"], ids=named)
def test_gradcheck(way: dict[str, Any]) -> None:
    features, vectors, labels = random_batch(count=6, seed=3)

    def loss(features: Tensor, vectors: Tensor) -> Tensor:
        return d2d_cross_entropy(features, vectors, labels, temperature=0.5, margin=0.7, **way)

    assert torch.autograd.gradcheck(loss, (features.requires_grad_(), vectors.requires_grad_()))


def before(batch: Batch, temperature: float, margin: float, form: str) -> Tensor:
    """The function as it was before it could be taken apart."""
    features, vectors, labels = unit(batch[0]), unit(batch[1][batch[2]]), batch[2]
    pairs = (features @ features.T - (1 - margin)) / temperature
    attraction = -F.relu((margin - (features * vectors).sum(dim=1)) / temperature)
    repulsion = F.relu(pairs)
    if form == "released":
        itself = torch.eye(len(labels), dtype=torch.bool)
        repulsion = repulsion - pairs.detach().masked_fill(itself, -torch.inf).amax(dim=1)[:, None]
    negatives = labels[:, None] != labels[None, :]
    return -F.logsigmoid(attraction - masked_logsumexp(repulsion, negatives)).mean()


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_as_it_stands_nothing_has_changed(form: Any, dtype: torch.dtype) -> None:
    features, vectors, labels = random_batch(count=12, dtype=dtype)
    held = features.requires_grad_(), vectors.requires_grad_()
    now = d2d_cross_entropy(*held, labels, temperature=0.5, margin=0.98, form=form)
    then = before((*held, labels), 0.5, 0.98, form)
    assert torch.equal(now, then)
    for left, right in zip(
        torch.autograd.grad(now, held), torch.autograd.grad(then, held), strict=True
    ):
        torch.testing.assert_close(
            left, right, rtol=0, atol=1e-14 if dtype == torch.float64 else 1e-7
        )


@pytest.mark.parametrize("margin", [0.0, 0.5, 0.98])
def test_against_classes_it_is_cross_entropy_with_a_margin(margin: float) -> None:
    """exp(n_k - p) is exp((cos_k - cos_y - (1 - 2m)) / t): the own cosine counts 1 - 2m more."""
    features, vectors, labels = random_batch(count=9, classes=5)
    loss = d2d_cross_entropy(
        features, vectors, labels,
        temperature=0.3, margin=margin, suppress_easy="none", negatives="classes",
    )  # fmt: skip
    cosines = F.normalize(features, dim=1) @ F.normalize(vectors, dim=1).T
    logits = (cosines + (1 - 2 * margin) * F.one_hot(labels, 5).double()) / 0.3
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels), rtol=0, atol=1e-12)
    if margin == 0.5:
        plain = F.cross_entropy(cosines / 0.3, labels)
        torch.testing.assert_close(loss, plain, rtol=0, atol=1e-12)


def test_only_what_is_suppressed_gets_no_gradient() -> None:
    # Both samples lie on their class vectors, at right angles: with m = 0.8 every pair is easy.
    labels = torch.tensor([0, 1])
    axes = torch.eye(3, dtype=torch.float64)
    vectors = axes[:2] + 0.1 * axes[2]
    moved = {}
    for easy in EASY:
        points, classes = axes[:2].clone().requires_grad_(), vectors.clone().requires_grad_()
        loss = d2d_cross_entropy(
            points, classes, labels, temperature=0.5, margin=0.8, suppress_easy=easy
        )
        slopes = torch.autograd.grad(loss, [points, classes])
        towards_class = slopes[1].abs().max().item() > 1e-6
        from_other = slopes[0][0, 1].item() > 1e-6
        moved[easy] = towards_class, from_other
    assert moved == {
        "both": (False, False),
        "positives": (False, True),
        "negatives": (True, False),
        "none": (True, True),
    }


def test_without_false_negatives_a_class_of_its_own_is_needed() -> None:
    features, vectors, _ = random_batch(count=4)
    labels = torch.zeros(4, dtype=torch.int64)
    options: dict[str, Any] = {"temperature": 0.5, "margin": 0.98}
    assert d2d_cross_entropy(features, vectors, labels, **options).item() == 0
    assert d2d_cross_entropy(features, vectors, labels, **options, false_negatives=True) > 0.5
    alone = features[:1], vectors, labels[:1]
    assert d2d_cross_entropy(*alone, **options, false_negatives=True).item() == 0
    assert (
        d2d_cross_entropy(features[:1], vectors[:1], labels[:1], **options, negatives="classes")
        == 0
    )


def head_and_output(count: int = 12, **options: Any) -> tuple[D2DCrossEntropyHead, HeadOutput]:
    torch.manual_seed(0)
    head = D2DCrossEntropyHead(in_features=6, num_classes=3, embedding_dim=5, **options).double()
    features = torch.randn(count, 6, dtype=torch.float64)
    return head, head(features, torch.randint(3, (count,)))


def loss_of(output: HeadOutput, part: slice = slice(None), **options: Any) -> Tensor:
    assert output.embedding is not None and output.class_vectors is not None
    return d2d_cross_entropy(
        output.embedding[part], output.class_vectors, output.labels[part],
        temperature=0.5, margin=0.98, **options,
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_the_head_hands_its_options_on(way: dict[str, Any]) -> None:
    head, output = head_and_output(**way)
    for said in (head.d_loss(output, output), head.g_loss(output)):
        assert torch.equal(said, loss_of(output, **way))


def test_partners_of_the_whole_batch_are_the_whole_batch() -> None:
    _, output = head_and_output()
    head, _ = head_and_output(partners=12)
    assert torch.equal(head.g_loss(output), loss_of(output))


@pytest.mark.parametrize("size", [1, 3, 4, 6])
def test_groups_of_partners_are_losses_of_their_own(size: int) -> None:
    head, output = head_and_output(partners=size)
    groups = [loss_of(output, slice(start, start + size)) for start in range(0, 12, size)]
    mean = sum(groups, torch.zeros((), dtype=torch.float64)) / len(groups)
    torch.testing.assert_close(head.d_loss(output, output), mean, rtol=0, atol=1e-14)
    # Who is in another group does not count.
    assert output.embedding is not None
    seen = torch.autograd.grad(loss_of(output, slice(0, size)), output.embedding, retain_graph=True)
    whole = torch.autograd.grad(head.g_loss(output), output.embedding)
    torch.testing.assert_close(whole[0][:size], seen[0][:size] * size / 12, rtol=0, atol=1e-14)


def test_partners_that_do_not_divide_the_batch() -> None:
    head, output = head_and_output(partners=5)
    with pytest.raises(ConfigError, match=r"partners is 5, which does not divide the batch of 12"):
        head.g_loss(output)
    head, output = head_and_output(partners=24)
    with pytest.raises(ConfigError, match=r"partners is 24"):
        head.g_loss(output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suppress_easy": "all"}, r"suppress_easy is 'all'; needed: one of 'both', 'positives'"),
        ({"negatives": "others"}, r"negatives is 'others'; needed: 'data' or 'classes'"),
        ({"negatives": "classes", "form": "released"}, r"negatives is 'classes'.*form='paper'"),
        ({"negatives": "classes", "false_negatives": True}, r"false_negatives=False"),
    ],
)
def test_settings_that_do_not_go(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        d2d_cross_entropy(*random_batch(), temperature=0.5, margin=0.98, **change)
