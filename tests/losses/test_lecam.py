"""LeCam and weight clipping."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_players import SmallD, SmallG, Word, step_for
from torch import Tensor

from reacgan.losses import Step
from reacgan.losses.lecam import LeCam
from reacgan.losses.weight_clipping import WeightClipping

REAL = torch.tensor([1.5, -0.5, 0.2], dtype=torch.float64)
FAKE = torch.tensor([-2.0, 0.3, 0.9], dtype=torch.float64)


def step_of_scores(real: Tensor, fake: Tensor) -> Step:
    return replace(step_for(SmallD(), SmallG()), on_real=Word(real), on_fake=Word(fake))


@pytest.mark.parametrize(("form", "golden"), [("released", 3.61), ("paper", 3.6933333333)])
def test_golden_values(form: str, golden: float) -> None:
    term = LeCam(form=form)  # type: ignore[arg-type]
    term.averages.copy_(torch.tensor([0.4, -0.6]))
    term.counts.fill_(1)
    value = term.d_term(step_of_scores(REAL, FAKE))
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(golden, abs=1e-6)
    narrow = REAL.bfloat16(), FAKE.bfloat16()
    value = term.d_term(step_of_scores(*narrow))
    assert value.dtype == torch.float32
    assert torch.equal(value, term.d_term(step_of_scores(narrow[0].float(), narrow[1].float())))


@pytest.mark.parametrize("form", ["paper", "released"])
def test_a_run_against_a_loop(form: str) -> None:
    generator = torch.Generator().manual_seed(0)
    term = LeCam(decay=0.9, start=15, form=form)  # type: ignore[arg-type]
    of_real = of_fake = 0.0
    for index in range(8):
        real, fake = torch.randn(2, 5, generator=generator, dtype=torch.float64)
        term.observe(Word(real), Word(fake))
        keep = 0.9 if index > 3 else 0.0
        of_real = keep * of_real + (1 - keep) * sum(real.tolist()) / 5
        of_fake = keep * of_fake + (1 - keep) * sum(fake.tolist()) / 5
        above = [score - of_fake for score in real.tolist()]
        below = [of_real - score for score in fake.tolist()]
        if form == "released":
            above, below = ([max(value, 0) for value in side] for side in (above, below))
        expected = sum(value**2 for value in above) / 5 + sum(value**2 for value in below) / 5
        value = term.d_term(step_of_scores(real, fake)).item()
        assert value == pytest.approx(expected if index > 3 else 0.0, abs=1e-5), index
    assert term.averages.tolist() == pytest.approx([of_real, of_fake], abs=1e-6)
    assert term.g_term(step_of_scores(REAL, FAKE)) is None


def test_the_averages_are_constants_and_part_of_the_state() -> None:
    term = LeCam(start=0, form="released")
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    for _ in range(3):
        term.observe(Word(real), Word(fake))
    assert not term.averages.requires_grad
    value = term.d_term(step_of_scores(real, fake))
    of_real, of_fake = term.averages.double().unbind()
    gradients = torch.autograd.grad(value, [real, fake])
    torch.testing.assert_close(gradients[0], 2 * (REAL - of_fake).relu() / 3)
    torch.testing.assert_close(gradients[1], -2 * (of_real - FAKE).relu() / 3)
    again = LeCam(start=0, form="released")
    again.load_state_dict(term.state_dict())
    assert again.images.item() == 9
    assert torch.equal(again.d_term(step_of_scores(real, fake)), value)


@pytest.mark.parametrize("batch", [2, 6])
def test_the_start_is_counted_in_images_seen(batch: int) -> None:
    """One moment of the run whatever the batch, and so whatever the number of D's steps."""
    term, seen = LeCam(start=24), 0
    while seen <= 24:
        real, fake = torch.randn(2, batch)
        term.observe(Word(real), Word(fake))
        assert term.d_term(step_of_scores(real, fake)).item() == 0, seen
        seen += batch
    term.observe(Word(real), Word(fake))
    assert term.d_term(step_of_scores(real, fake)).item() > 0


def test_before_the_start_nothing_is_learnt() -> None:
    term, real = LeCam(), REAL.clone().requires_grad_()
    term.observe(Word(real), Word(FAKE))
    (gradient,) = torch.autograd.grad(term.d_term(step_of_scores(real, FAKE)), [real])
    assert torch.equal(gradient, torch.zeros(3, dtype=torch.float64))


def test_weight_clipping_changes_what_is_trained_in_place() -> None:
    judge = SmallD()
    judge.hidden.requires_grad_(False)
    before = {name: value.detach().clone() for name, value in judge.named_parameters()}
    places = {name: value.data_ptr() for name, value in judge.named_parameters()}
    term = WeightClipping(limit=0.25)
    step = step_for(judge, SmallG())
    assert term.d_term(step) is None
    term.after_d_step(judge)
    for name, parameter in judge.named_parameters():
        assert parameter.data_ptr() == places[name]
        if name.startswith("hidden"):
            assert torch.equal(parameter, before[name])
        else:
            assert torch.equal(parameter, before[name].clamp(-0.25, 0.25)), name
            assert (parameter.abs() == 0.25).any()
            assert parameter.requires_grad
    assert WeightClipping().limit == 0.01
