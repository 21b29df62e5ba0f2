"""InfoGAN's codes in z, and the head that finds them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_heads import CODES, VARIANTS, WIDTH, build, features_and_labels, latents, real_and_fake
from torch import Tensor

from reacgan.config import CodesConfig, Component, ConfigError
from reacgan.heads import HeadOutput, build_head, coded_entries, read_codes
from reacgan.heads.infogan import InfoGANHead, continuous_loss

INFOGANS = [options for name, options in VARIANTS if name == "infogan"]
KINDS = {
    "discrete": CodesConfig(discrete=(2, 3)),
    "continuous": CodesConfig(continuous=2),
    "both": CodesConfig(discrete=(3,), continuous=1),
}


def head_for(codes: CodesConfig, **options: Any) -> InfoGANHead:
    torch.manual_seed(0)
    head = build_head(
        Component(name="infogan", **options), in_features=WIDTH, num_classes=4, codes=codes
    )
    assert isinstance(head, InfoGANHead)
    return head.double()


def slow_loss(codes: CodesConfig, said: Tensor, z: Tensor, learned: bool) -> float:
    """- ln Q(c | x), summed over codes, with loops."""
    total = 0.0
    for outputs, entries in zip(said.tolist(), z.tolist(), strict=True):
        place = 0
        for count in codes.discrete:
            group = entries[place : place + count]
            logits = outputs[place : place + count]
            value = group.index(max(group))
            total -= math.log(math.exp(logits[value]) / sum(math.exp(held) for held in logits))
            place += count
        for k in range(codes.continuous):
            code = math.erf(entries[place + k] / math.sqrt(2))
            spread = outputs[place + codes.continuous + k] if learned else 0.0
            variance = math.exp(spread) + 0.01 if learned else 1.0
            density = math.exp(-((code - outputs[place + k]) ** 2) / (2 * variance))
            total -= math.log(density / math.sqrt(2 * math.pi * variance))
    return total / len(z)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variance", ["learned", "unit"])
def test_agrees_with_the_formula_written_out(kind: str, variance: str) -> None:
    codes = KINDS[kind]
    head = head_for(codes, variance=variance)
    real, fake = real_and_fake(head)
    assert fake.twin is not None and fake.twin.logits is not None and fake.latents is not None
    z = fake.latents.double()
    expected = slow_loss(codes, fake.twin.logits, z, variance == "learned")
    found = head.g_loss(replace(fake, latents=z))
    assert found.item() == pytest.approx(expected, abs=1e-9)
    assert head.d_loss(real, replace(fake, latents=z)) == found  # nothing else, over none


def test_weights_are_those_of_each_kind_of_code() -> None:
    plain, weighed = head_for(CODES), head_for(CODES, discrete_weight=3, continuous_weight=0.1)
    _, fake = real_and_fake(plain)
    only = head_for(CODES, discrete_weight=1e-300)
    continuous = only.g_loss(fake)
    discrete = plain.g_loss(fake) - continuous
    assert torch.allclose(weighed.g_loss(fake), 3 * discrete + 0.1 * continuous)


@pytest.mark.parametrize("options", INFOGANS)
def test_the_inner_losses_are_kept(options: dict[str, Any]) -> None:
    head: Any = build("infogan", **options).double()
    real, fake = real_and_fake(head)
    of_codes = head.d_loss(real, fake) - head.inner.d_loss(real, fake)
    assert torch.allclose(of_codes, head.g_loss(fake) - head.inner.g_loss(fake))
    assert of_codes > 0
    head.zero_grad()
    of_codes.backward()
    assert all(torch.count_nonzero(p.grad) > 0 for p in head.q.parameters())


@pytest.mark.parametrize("over", ["twin", "discriminative", "infogan"])
def test_over_a_head_over_another(over: str) -> None:
    """The losses of the inner head are those it has alone: its own twin is not lost under Q's."""
    head: Any = build("infogan", over={"name": over, "over": "auxiliary"}).double()
    features, labels = features_and_labels(dtype=torch.float64)
    z = latents(10).double()
    outer, inner = replace(head(features, labels), latents=z), head.inner(features, labels)
    real, fake = outer.with_tensors(outer.tensors()).split([6, 4])  # all tensors, twice
    own_real, own_fake = replace(inner, latents=z).split([6, 4])
    of_codes = head.g_loss(fake) - head.inner.g_loss(own_fake)
    assert of_codes > 0
    assert torch.allclose(head.d_loss(real, fake) - of_codes, head.inner.d_loss(own_real, own_fake))
    assert torch.equal(head.class_logits(outer), head.inner.class_logits(inner))
    joined = HeadOutput.join([real, fake]).tensors()
    assert {name: value.shape for name, value in joined.items()} == {
        name: value.shape for name, value in outer.tensors().items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind: str) -> None:
    head = head_for(KINDS[kind])
    features, labels = features_and_labels(4, dtype=torch.float64)
    z = latents(4).double()

    def loss(features: Tensor) -> Tensor:
        return head.g_loss(replace(head(features, labels), latents=z))

    assert torch.autograd.gradcheck(loss, (features.requires_grad_(),))


def test_codes_are_uniform_functions_of_a_normal_z() -> None:
    codes = CodesConfig(discrete=(2, 5), continuous=2)
    assert coded_entries(codes) == 9
    z = torch.randn(20_000, 12, generator=torch.Generator().manual_seed(0))
    (two, five), continuous = read_codes(codes, z)
    assert torch.equal(two, z[:, :2].argmax(dim=1))
    assert torch.equal(five, z[:, 2:7].argmax(dim=1))
    for values, count in ((two, 2), (five, 5)):
        shares = torch.bincount(values, minlength=count) / len(z)
        assert torch.allclose(shares, torch.full((count,), 1 / count), atol=0.01)
    ranks = (continuous.sort(dim=0).values + 1) / 2  # uniform: the i-th of n is at i / n
    assert (ranks - torch.linspace(0, 1, len(z))[:, None]).abs().max() < 0.015


@pytest.mark.parametrize("said", [-1e4, -30.0, 30.0, 1e4])
def test_a_wild_guess_gives_a_finite_gradient(said: float) -> None:
    head = head_for(CodesConfig(continuous=2)).float()
    torch.nn.init.zeros_(head.q.weight)  # type: ignore[arg-type]
    torch.nn.init.constant_(head.q.bias, said)  # type: ignore[arg-type]
    _, fake = real_and_fake(head)
    loss = head.g_loss(fake)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in head.q.parameters() if p.grad is not None)


def test_the_loss_is_least_where_mean_and_variance_are_right() -> None:
    values = torch.linspace(-1, 1, 1001, dtype=torch.float64)[:, None]
    right = torch.zeros_like(values), torch.full_like(values, math.log(values.square().mean()))
    least = continuous_loss(*right, values)
    for mean, spread in ((0.1, 0), (-0.1, 0), (0, 0.2), (0, -0.2)):
        assert continuous_loss(right[0] + mean, right[1] + spread, values) > least


def test_codes_and_heads_go_together() -> None:
    shape: Any = {"in_features": WIDTH, "num_classes": 4}
    for codes in (None, CodesConfig()):
        with pytest.raises(
            ConfigError, match=r"infogan needs codes .* model.codes.discrete=\[10\]"
        ):
            build_head(Component(name="infogan"), **shape, codes=codes)
    with pytest.raises(ConfigError, match="d2dce predicts no codes .*infogan.* model.codes=null"):
        build_head(Component(name="d2dce"), **shape, codes=CODES)
    with pytest.raises(ConfigError, match="model.head.over.margin: unknown option"):
        build_head(Component(name="infogan", over={"margin": 0.9}), **shape, codes=CODES)


@pytest.mark.parametrize("missing", ["latents", "twin"])
def test_an_output_without_codes_is_refused(missing: str) -> None:
    head = build("infogan")
    _, fake = real_and_fake(head)
    with pytest.raises(ConfigError, match="needed: the output of a head infogan, with the latents"):
        head.g_loss(replace(fake, **{missing: None}))
