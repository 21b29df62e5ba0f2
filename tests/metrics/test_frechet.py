from __future__ import annotations

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError
from reacgan.metrics import frechet_distance


def gaussian(count, mean, factor, seed=0):
    """Samples whose mean and covariance are exactly ``mean`` and ``factor factor^T``."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, len(mean), generator=generator, dtype=torch.float64)
    noise = noise - noise.mean(0)
    white = noise @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(noise.T))).T
    return white @ torch.tensor(factor, dtype=torch.float64).T + torch.tensor(mean)


def test_closed_form_of_commuting_covariances():
    real = gaussian(50, [0.0, 0.0, 0.0], np.diag([1.0, 2.0, 3.0]))
    fake = gaussian(70, [1.0, -2.0, 0.5], np.diag([2.0, 2.0, 0.5]), seed=1)
    # |m - n|^2 + sum (s_i - t_i)^2
    assert frechet_distance(real, fake) == pytest.approx(1 + 4 + 0.25 + 1 + 0 + 6.25, rel=1e-9)


def test_general_covariances_against_the_matrix_root_of_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    generator = torch.Generator().manual_seed(3)
    mix = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    real = torch.randn(40, 6, generator=generator, dtype=torch.float64) @ mix[0]
    fake = torch.randn(30, 6, generator=generator, dtype=torch.float64) @ mix[1] + 0.3
    first, second = (np.cov(held.numpy(), rowvar=False) for held in (real, fake))
    root = linalg.sqrtm(first @ second).real
    apart = (real.mean(0) - fake.mean(0)).square().sum().item()
    expected = apart + np.trace(first + second - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(fake, real) == pytest.approx(expected, rel=1e-8)


def test_copies_are_at_distance_zero_also_with_fewer_samples_than_dimensions():
    few = torch.randn(5, 20, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(few, few.flip(0)) < 1e-6
    assert frechet_distance(few, few + 1) == pytest.approx(20, rel=1e-4)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(1, 3), torch.zeros(4, 3), r"real: \[1, 3\]; needed: \[N, D\] with N >= 2"),
        (torch.zeros(4, 3), torch.full((4, 3), torch.nan), "fake: holds NaN"),
        (torch.zeros(4, 3), torch.zeros(4, 2), "real has width 3, fake 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(real, fake, message):
    with pytest.raises(ConfigError, match=message):
        frechet_distance(real, fake)
