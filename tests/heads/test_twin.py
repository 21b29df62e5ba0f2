"""TAC-GAN's twin, and ADC-GAN's classes twice: heads over another head."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from conditional_cases import slow_2c, slow_d2dce
from small_heads import CLASSES, OVER, VARIANTS, build, features_and_labels, real_and_fake
from torch import Tensor

from reacgan.assembly import complete
from reacgan.config import Component, ConfigError, Experiment, component, parse_experiment
from reacgan.heads import HeadOutput, head_options

OPTIONS: dict[str, dict[str, Any]] = {
    "auxiliary": {"temperature": 0.7},
    "contrastive": {"embedding_dim": 6, "temperature": 0.4},
    "d2dce": {"embedding_dim": 6, "temperature": 0.6, "margin": 0.9, "form": "released"},
}
EACH = pytest.mark.parametrize("over", OVER)


def with_options(over: str, *left_out: str) -> dict[str, Any]:
    """The inner head with options other than its own, but for those left out."""
    options = {key: value for key, value in OPTIONS[over].items() if key not in left_out}
    return {"name": over, **options}


def slow_cross_entropy(logits: Tensor, labels: Tensor) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total -= math.log(math.exp(row[label]) / sum(math.exp(value) for value in row))
    return total / len(labels)


def slow_loss(over: str, output: HeadOutput, labels: Tensor) -> float:
    """The inner head's loss of samples under labels, with loops."""
    if over == "auxiliary":
        assert output.logits is not None
        return slow_cross_entropy(output.logits, labels)
    assert output.embedding is not None and output.class_vectors is not None
    batch = output.embedding.detach(), output.class_vectors.detach(), labels
    if over == "contrastive":
        return slow_2c(batch, 0.4)
    return slow_d2dce(batch, 0.6, 0.9, "released")


@EACH
def test_the_twin_is_trained_on_fakes_and_g_works_against_it(over: str) -> None:
    head = build("twin", over=with_options(over), twin_weight=0.3).double()
    real, fake = real_and_fake(head)
    assert fake.twin is not None
    main = slow_loss(over, real, real.labels), slow_loss(over, fake, fake.labels)
    twin = slow_loss(over, fake.twin, fake.labels)
    assert head.d_loss(real, fake).item() == pytest.approx(main[0] + 0.3 * twin, rel=1e-9)
    assert head.g_loss(fake).item() == pytest.approx(main[1] - 0.3 * twin, rel=1e-9)
    assert abs(main[1] - twin) > 1e-3  # two heads, not one twice


@EACH
def test_the_twin_has_layers_of_its_own_and_no_score(over: str) -> None:
    head: Any = build("twin", over=over)
    alone = build(over)
    mine = {key for key, _ in head.inner.named_parameters()}
    twins = {key for key, _ in head.twin.named_parameters()}
    assert mine == {key for key, _ in alone.named_parameters()}
    assert twins == {key for key in mine if not key.startswith("score")}
    real, fake = real_and_fake(head)
    assert torch.count_nonzero(fake.twin.score) == 0
    # Reals teach the main head alone, fakes the twin alone.
    for output, learns, rests in (
        (real, head.inner, head.twin),
        (fake.twin, head.twin, head.inner),
    ):
        head.zero_grad()
        learns.g_loss(output).backward(retain_graph=True)
        assert all(p.grad is None for p in rests.parameters())
        assert any(p.grad is not None for p in learns.parameters())


@EACH
def test_classes_are_doubled(over: str) -> None:
    head = build("discriminative", over=with_options(over)).double()
    real, fake = real_and_fake(head)
    of = {
        key: slow_loss(over, output, 2 * output.labels + key[1])
        for key, output in {(r, k): (fake, real)[r] for r in (0, 1) for k in (0, 1)}.items()
    }
    apart = of[1, 0] + of[0, 1]
    each = build("discriminative", over=with_options(over), together=False).double()
    each.load_state_dict(head.state_dict())
    assert each.d_loss(real, fake).item() == pytest.approx(apart, rel=1e-9)
    # Together a fake y is among the negatives of a real y.
    both = HeadOutput.join([real, replace(fake, latents=None)])
    labels = torch.cat([2 * real.labels, 2 * fake.labels + 1])
    expected = apart if over == "auxiliary" else 2 * slow_loss(over, both, labels)
    assert head.d_loss(real, fake).item() == pytest.approx(expected, rel=1e-9)
    assert (over == "auxiliary") == (abs(expected - apart) < 1e-9)
    assert head.g_loss(fake).item() == pytest.approx(of[0, 0] - of[0, 1], rel=1e-9)
    assert torch.equal(real.labels, torch.arange(6) % CLASSES)


def test_over_a_classifier_g_raises_real_logits_over_fake_ones() -> None:
    head = build("discriminative", over="auxiliary").double()
    _, fake = real_and_fake(head)
    assert fake.logits is not None
    rows = torch.arange(4)
    difference = fake.logits[rows, 2 * fake.labels + 1] - fake.logits[rows, 2 * fake.labels]
    assert torch.allclose(head.g_loss(fake), difference.mean())


@pytest.mark.parametrize("name", ["twin", "discriminative"])
@EACH
def test_gradcheck(name: str, over: str) -> None:
    # The released form has a constant shift, which finite differences do not hold.
    head = build(name, over=with_options(over, "form")).double()
    features, labels = features_and_labels(8, dtype=torch.float64)

    def losses(features: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = head(features, labels).split([4, 4])
        return head.d_loss(real, fake), head.g_loss(fake)

    assert torch.autograd.gradcheck(losses, (features.requires_grad_(),))


@pytest.mark.parametrize(("name", "options"), [held for held in VARIANTS if "over" in held[1]])
def test_the_score_is_the_inner_heads(name: str, options: dict[str, Any]) -> None:
    head: Any = build(name, **options)
    features, labels = features_and_labels()
    assert torch.equal(head(features, labels).score, head.inner(features, labels).score)
    assert head.couples_samples is (options["over"] in ("contrastive", "d2dce"))
    assert head.condition_strength is head.inner.condition_strength
    assert [key for key, _ in head.named_buffers() if not key.startswith("twin")] == [
        "inner.condition_strength"
    ]


AUXILIARY = {
    "name": "auxiliary",
    "temperature": 0.5,
    "normalize_features": False,
    "normalize_weights": False,
}


def test_options_of_the_inner_head_are_written_out() -> None:
    options = head_options(component("twin", over={"name": "auxiliary", "temperature": 0.5}))
    assert options == {"over": AUXILIARY, "twin_weight": 1.0}
    options = head_options(component("discriminative"))["over"]
    assert (options["name"], options["embedding_dim"], options["margin"]) == ("d2dce", 512, 0.98)
    full = complete(parse_experiment({"name": "x", "model": {"head": {"name": "twin"}}}))
    assert full.model.head.options["over"]["temperature"] == 0.5
    assert complete(full) == full
    changed = complete(full.replace(**{"model.head.over.temperature": 2}))
    assert changed.model.head.options["over"] == {
        **full.model.head.options["over"],
        "temperature": 2.0,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Options beside `over`, as they were written up to 0.1.
        ({"model.head": {"name": "twin", "over": "auxiliary", "temperature": 0.5}}, AUXILIARY),
        (
            {
                "model.head": {
                    "name": "twin",
                    "over": "auxiliary",
                    "temperature": 0.5,
                    "margin": None,
                }
            },
            AUXILIARY,
        ),
        (
            {
                "model.head.name": "twin",
                "model.head.over": "auxiliary",
                "model.head.temperature": 0.5,
            },
            AUXILIARY,
        ),
        ({"model.head": component("twin", over="auxiliary", temperature=0.5)}, AUXILIARY),
        # Options within `over`, of the head that it names or of the one that it is by default.
        (
            {
                "model.head.over.temperature": 0.5,
                "model.head.over.name": "auxiliary",
                "model.head.name": "twin",
            },
            AUXILIARY,
        ),
        (
            {
                "model.head.name": "twin",
                "model.head.over": "auxiliary",
                "model.head.over.temperature": 0.5,
            },
            AUXILIARY,
        ),
        (
            {"model.head.name": "twin", "model.head.over.margin": 0.9},
            head_options(component("twin", over={"margin": 0.9}))["over"],
        ),
    ],
)
def test_ways_to_say_what_a_head_stands_over(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    experiment = complete(Experiment(name="x").replace(**changes))
    assert experiment.model.head.options == {"over": expected, "twin_weight": 1.0}
    assert parse_experiment(json.loads(experiment.to_json())) == experiment


def test_another_inner_head_drops_the_options_of_the_one_before() -> None:
    start = Experiment(name="x").replace(
        **{"model.head": {"name": "twin", "over": {"name": "d2dce", "margin": 0.9}}}
    )
    for key in ("model.head.over", "model.head.over.name"):
        assert start.replace(**{key: "auxiliary"}).model.head.options["over"] == {
            "name": "auxiliary"
        }
    assert start.replace(**{"model.head.over.name": "d2dce"}) == start


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": {"name": "auxiliary", "margin": 0.9}}, "model.head.over.margin: unknown option"),
        ({"over": {"name": "contrastive", "tempreature": 1}}, "did you mean 'temperature'"),
        ({"over": "projection"}, "model.head.over is projection, which has no conditioning loss"),
        ({"over": "twin"}, "take one of: auxiliary, contrastive, d2dce, multihinge"),
        ({"over": "nothing"}, "unknown head 'nothing'"),
        ({"over": 3}, "model.head.over"),
        ({"over": {"margin": 1.5}}, "model.head.over.margin"),
        ({"twin_weight": 0}, "model.head.twin_weight"),
        ({"twin_wieght": 1}, "did you mean 'twin_weight'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        head_options(Component(name="twin", **options))
    with pytest.raises(ConfigError, match=message):
        build("twin", **options)


def test_an_output_without_a_twin_is_refused() -> None:
    head = build("twin", over="auxiliary")
    real, fake = real_and_fake(head)
    with pytest.raises(ConfigError, match="needed: the output of a head twin"):
        head.d_loss(real, replace(fake, twin=None))
