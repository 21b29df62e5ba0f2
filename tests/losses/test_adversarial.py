from __future__ import annotations

import pytest
import torch

from reacgan.config import ConfigError
from reacgan.losses import ADVERSARIAL, adversarial

REAL = torch.tensor([1.5, -0.5, 0.2], dtype=torch.float64)
FAKE = torch.tensor([-2.0, 0.3, 0.9], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "d", "g"),
    [
        ("hinge", 1.8333333333, 0.2666666667),
        ("non_saturating", 1.33202209, 1.00747904),
        ("least_squares", 1.34, 1.5833333333),
        ("wasserstein", -0.6666666667, 0.2666666667),
        # mean of ln(1 + e^x) over -3.5, 0.8, 0.7, and over 3.5, -0.8, -0.7
        ("relativistic", 0.7680123361, 1.4346790028),
        ("none", 0.0, 0.0),
    ],
)
def test_golden_values(name: str, d: float, g: float) -> None:
    loss = adversarial(name)
    assert loss.d(REAL, FAKE).item() == pytest.approx(d, abs=1e-6)
    assert loss.g(FAKE, REAL).item() == pytest.approx(g, abs=1e-6)
    if not loss.paired:
        assert loss.g(FAKE, None).item() == pytest.approx(g, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in ADVERSARIAL if name != "none"])
def test_directions(name: str) -> None:
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    adversarial(name).d(real, fake).backward()
    assert real.grad is not None
    assert fake.grad is not None
    below_target = REAL < 1
    assert (real.grad[below_target] < 0).all()  # descending raises the score of real
    assert (fake.grad[FAKE > 0] > 0).all()  # and lowers that of fake
    fake = FAKE.clone().requires_grad_()
    (slope,) = torch.autograd.grad(adversarial(name).g(fake, REAL), [fake])
    assert (slope[FAKE < 1] < 0).all()


def test_none_teaches_nothing_but_keeps_the_graph() -> None:
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    loss = adversarial("none")
    gradients = torch.autograd.grad(loss.d(real, fake) + loss.g(fake), [real, fake])
    for gradient in gradients:
        assert torch.equal(gradient, torch.zeros_like(REAL))


def test_relativistic_compares_pairs() -> None:
    loss = adversarial("relativistic")
    assert loss.paired
    assert [name for name in ADVERSARIAL if adversarial(name).paired] == ["relativistic"]
    # A shift of all scores changes nothing; another order of one side does.
    assert loss.d(REAL + 5, FAKE + 5).item() == pytest.approx(loss.d(REAL, FAKE).item())
    assert loss.d(REAL.flip(0), FAKE).item() != pytest.approx(loss.d(REAL, FAKE).item())
    with pytest.raises(ConfigError, match="real scores are missing"):
        loss.g(FAKE, None)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_precision_and_extremes(name: str) -> None:
    for dtype, expected in (
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        loss = adversarial(name)
        assert loss.d(REAL.to(dtype), FAKE.to(dtype)).dtype == expected
        assert loss.g(FAKE.to(dtype), REAL.to(dtype)).dtype == expected
    # In bfloat16 a sum of many small scores would stop growing.
    many = torch.full((4096,), 1.0 / 256, dtype=torch.bfloat16)
    exact = adversarial(name).d(many.double(), many.double()).item()
    assert adversarial(name).d(many, many).item() == pytest.approx(exact, abs=1e-5)
    huge = torch.tensor([1e4, -1e4], requires_grad=True)
    loss_of_huge = adversarial(name).d(huge, huge.flip(0)) + adversarial(name).g(huge, -huge)
    assert torch.isfinite(loss_of_huge)
    assert torch.isfinite(torch.autograd.grad(loss_of_huge, [huge])[0]).all()


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'hinge'\? Known: hinge, least_squares"):
        adversarial("hing")
