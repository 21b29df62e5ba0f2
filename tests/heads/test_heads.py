from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_heads import (
    CLASSES,
    VARIANTS,
    WIDTH,
    build,
    features_and_labels,
    on_fakes,
    real_and_fake,
)
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Component, ConfigError
from reacgan.heads import HEADS, Layers, build_head, head_options
from reacgan.heads.auxiliary import AuxiliaryHead
from reacgan.heads.contrastive import conditional_contrastive
from reacgan.heads.d2dce import d2d_cross_entropy

EACH = pytest.mark.parametrize(("name", "options"), VARIANTS)
# Heads whose classifier judges real samples for D and fake ones for G, and does nothing else.
PLAIN = (
    "unconditional",
    "projection",
    "mapped_projection",
    "multilogit",
    "auxiliary",
    "contrastive",
    "d2dce",
)


@EACH
def test_every_parameter_learns_from_score_and_d_loss(name: str, options: Any) -> None:
    head = build(name, **options)
    real, fake = real_and_fake(head)
    assert real.score.shape == (6,)
    assert real.score.dtype == torch.float32
    (head.d_loss(real, fake) + real.score.mean() - fake.score.square().mean()).backward()
    for parameter_name, parameter in head.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.count_nonzero(parameter.grad) > 0, parameter_name


@pytest.mark.parametrize("name", PLAIN)
def test_d_judges_real_samples_and_g_fake_ones(name: str) -> None:
    head = build(name)
    real, fake = real_and_fake(head)
    other = head(features_and_labels()[0].flip(0), features_and_labels()[1])
    assert head.d_loss(real, fake) == head.d_loss(real, other)
    assert head.g_loss(fake).shape == head.d_loss(real, fake).shape == ()
    assert head.d_loss(fake, real) == head.g_loss(fake)
    conditioned = name in {"auxiliary", "contrastive", "d2dce"}
    assert bool(head.g_loss(fake) > 0) is conditioned


@EACH
def test_losses_do_not_go_below_float32(name: str, options: Any) -> None:
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        head = build(name, **options).to(dtype)
        features, labels = features_and_labels()
        output = on_fakes(head(features.to(dtype), labels))
        assert output.score.dtype == dtype
        assert head.d_loss(output, output).dtype == expected
        assert head.g_loss(output).dtype == expected


@EACH
def test_nothing_waits_for_a_value(name: str, options: Any) -> None:
    head = build(name, **options).to("meta")  # tensors without data: asking for a value raises
    real, fake = (
        on_fakes(head(*(held.to("meta") for held in features_and_labels()))) for _ in range(2)
    )
    fake = replace(fake, latents=fake.latents.to("meta"))  # type: ignore[union-attr]
    loss = head.d_loss(real, fake) + head.g_loss(fake) + fake.score.mean()
    loss.backward()
    assert loss.shape == ()


@EACH
def test_split_gives_what_two_calls_give(name: str, options: Any) -> None:
    head = build(name, **options)
    features, labels = features_and_labels()
    for part, rows in zip(real_and_fake(head), (slice(0, 6), slice(6, 10)), strict=True):
        alone = head(features[rows], labels[rows])
        assert torch.equal(part.labels, alone.labels)
        held = {key: tensor for key, tensor in part.tensors().items() if key != "latents"}
        assert held.keys() == alone.tensors().keys()
        for key, tensor in alone.tensors().items():
            assert torch.allclose(held[key], tensor, atol=1e-6), key


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("unconditional", WIDTH + 1),
        ("projection", WIDTH + 1 + CLASSES * WIDTH),
        ("auxiliary", WIDTH + 1 + CLASSES * WIDTH),
        ("contrastive", WIDTH + 1 + WIDTH * 512 + 512 + CLASSES * 512),
        ("d2dce", WIDTH + 1 + WIDTH * 512 + 512 + CLASSES * 512),
        ("multihinge", (WIDTH + 1) * (CLASSES + 1)),
        ("multilogit", (WIDTH + 1) * CLASSES),
        ("twin", WIDTH + 1 + 2 * (WIDTH * 512 + 512 + CLASSES * 512)),
        ("discriminative", WIDTH + 1 + WIDTH * 512 + 512 + 2 * CLASSES * 512),
        ("infogan", (WIDTH + 1) * (1 + 3 + 2 + 2)),
    ],
)
def test_number_of_parameters(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in build(name).parameters()) == count


def test_unconditional_ignores_labels_and_projection_does_not() -> None:
    features, labels = features_and_labels()
    other = (labels + 1) % CLASSES
    for name, ignores in (("unconditional", True), ("projection", False)):
        head = build(name)
        assert torch.equal(head(features, labels).score, head(features, other).score) is ignores


def test_projection_score_is_written_out() -> None:
    head: Any = build("projection")
    features, labels = features_and_labels()
    score = head(features, labels).score
    for i, label in enumerate(labels.tolist()):
        expected = (
            head.score.weight[0] @ features[i]
            + head.score.bias[0]
            + head.class_vectors.weight[label] @ features[i]
        )
        assert score[i].item() == pytest.approx(expected.item(), abs=1e-5)


def test_embedding_heads_use_their_loss_and_settings() -> None:
    d2dce: Any = build("d2dce", embedding_dim=8, temperature=0.25, margin=0.9, form="released")
    output = d2dce(*features_and_labels())
    vectors = d2dce.class_vectors.weight
    expected = d2d_cross_entropy(
        output.embedding, vectors, output.labels, temperature=0.25, margin=0.9, form="released"
    )
    assert torch.equal(d2dce.g_loss(output), expected)
    contrastive: Any = build("contrastive", embedding_dim=8, temperature=0.3)
    output = contrastive(*features_and_labels())
    expected = conditional_contrastive(
        output.embedding, contrastive.class_vectors.weight, output.labels, temperature=0.3
    )
    assert torch.equal(contrastive.d_loss(output, output), expected)


@pytest.mark.parametrize("normalize_features", [False, True])
@pytest.mark.parametrize("normalize_weights", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_auxiliary_switches_work_each_by_itself(
    normalize_features: bool, normalize_weights: bool, temperature: float
) -> None:
    head: Any = build(
        "auxiliary",
        normalize_features=normalize_features,
        normalize_weights=normalize_weights,
        temperature=temperature,
    )
    features, labels = features_and_labels()
    output = head(features, labels)
    inputs = F.normalize(features) if normalize_features else features
    weight = head.classifier.weight
    weight = F.normalize(weight) if normalize_weights else weight
    logits = inputs @ weight.T / temperature
    assert torch.allclose(output.logits, logits, atol=1e-5)
    chosen = logits.log_softmax(dim=1)[torch.arange(len(labels)), labels]
    assert torch.allclose(head.d_loss(output, output), -chosen.mean(), atol=1e-5)
    longer = head(3 * features, labels).logits
    assert torch.allclose(longer, output.logits * (1 if normalize_features else 3), atol=1e-4)
    with torch.no_grad():
        head.classifier.weight *= 3
    heavier = head(features, labels).logits
    assert torch.allclose(heavier, output.logits * (1 if normalize_weights else 3), atol=1e-4)
    assert torch.allclose(head(3 * features, labels).score, head.score(3 * features)[:, 0])


def test_auxiliary_has_no_bias_and_no_switch_on_by_default() -> None:
    head: Any = build("auxiliary")
    assert head.classifier.bias is None
    assert head_options(Component(name="auxiliary")) == {
        "normalize_features": False,
        "normalize_weights": False,
        "temperature": 1.0,
    }


class Doubled(nn.Linear):
    """A linear layer whose output shows that it was used."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__(inputs, outputs, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Tripled(nn.Embedding):
    """A table whose output shows that it was used."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__(rows, width)

    def forward(self, input: Tensor) -> Tensor:
        return 3 * super().forward(input)


@EACH
def test_layers_come_from_the_factories(name: str, options: Any) -> None:
    head: Any = build(name, layers=Layers(linear=Doubled, embedding=Tripled), **options)
    layers = [
        held
        for key, held in head.named_modules()
        # The mapping network is StyleGAN2's own under every backbone.
        if list(held.parameters(recurse=False)) and not key.startswith("mapping")
    ]
    assert all(isinstance(held, Doubled | Tripled) for held in layers)
    output = head(*features_and_labels())
    if output.class_vectors is not None:
        owner = getattr(head, "inner", head)
        assert torch.equal(output.class_vectors, 3 * owner.class_vectors.weight)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Component(name="d2dec"), "did you mean 'd2dce'"),
        (Component(name="d2dce", marign=0.9), "did you mean 'margin'"),
        (Component(name="d2dce", margin=1.5), "model.head.margin"),
        (Component(name="d2dce", form="article"), "model.head.form"),
        (Component(name="contrastive", temperature=0), "model.head.temperature"),
        (Component(name="unconditional", embedding_dim=3), "Allowed: none"),
        (Component(name="projection", in_features=3), "unknown option"),
    ],
)
def test_wrong_configuration_is_named(component: Component, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_head(component, in_features=WIDTH, num_classes=CLASSES)


def test_a_head_from_outside_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADS, "outside", AuxiliaryHead)
    assert isinstance(build("outside", temperature=2.0), AuxiliaryHead)


@pytest.mark.parametrize("name", ["auxiliary", "contrastive", "d2dce", "multihinge"])
def test_another_heads_output_is_refused(name: str) -> None:
    output = build("unconditional")(*features_and_labels())
    with pytest.raises(ConfigError, match="needed: the output of"):
        build(name).g_loss(output)
