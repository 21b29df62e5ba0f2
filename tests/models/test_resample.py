"""The [1, 3, 3, 1] filter against slow sums and closed forms."""

from __future__ import annotations

import pytest
import torch

from reacgan.models.resample import Resampler

TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


@pytest.fixture
def resampler() -> Resampler:
    return Resampler().double()


def images(height: int = 6, width: int = 8) -> torch.Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64)


def blurred(x, padding):
    """Sum over taps, in loops, zero beyond the border."""
    n, c, height, width = x.shape
    out = torch.zeros(n, c, height + 2 * padding - 3, width + 2 * padding - 3, dtype=x.dtype)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            for p, a in enumerate(TAPS):
                for q, b in enumerate(TAPS):
                    row, column = i + p - padding, j + q - padding
                    if 0 <= row < height and 0 <= column < width:
                        out[:, :, i, j] += a * b * x[:, :, row, column]
    return out


def spread(x):
    """Zeros between the pixels: [H, W] -> [2H, 2W], pixel i at 2i."""
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    out[:, :, ::2, ::2] = x
    return out


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_blur_is_the_sum_over_taps(resampler, padding):
    x = images()
    torch.testing.assert_close(resampler.blur(x, padding=padding), blurred(x, padding))


def test_down_is_blur_and_every_second_pixel(resampler):
    x = images()
    torch.testing.assert_close(resampler.down(x), blurred(x, 1)[:, :, ::2, ::2])


def test_up_is_zeros_between_and_blur_with_gain_four(resampler):
    x = images()
    # Padded by 2 before and 1 after: the last row and column of the wider result are dropped.
    wide = 4 * blurred(spread(x), 2)
    torch.testing.assert_close(resampler.up(x), wide[:, :, :12, :16])


def test_up_follows_its_formula_inside(resampler):
    x = torch.arange(1.0, 6.0, dtype=torch.float64).square()
    up = resampler.up(x.expand(1, 1, 5, 5).contiguous())[0, 0, 4]
    for i in range(1, 4):
        assert up[2 * i] == pytest.approx((x[i - 1] + 3 * x[i]).item() / 4)
        assert up[2 * i + 1] == pytest.approx((3 * x[i] + x[i + 1]).item() / 4)


def test_a_constant_stays_itself(resampler):
    x = torch.full((1, 2, 12, 12), 0.7, dtype=torch.float64)
    for changed, border in [
        (resampler.blur(x, padding=1), 1),
        (resampler.down(x), 1),
        (resampler.up(x), 1),
        (resampler.down(resampler.up(x)), 1),
    ]:
        inside = changed[:, :, border:-border, border:-border]
        torch.testing.assert_close(inside, torch.full_like(inside, 0.7))


def test_an_impulse_gives_the_taps(resampler):
    x = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    x[0, 0, 3, 3] = 1
    taps = torch.tensor(TAPS, dtype=torch.float64)
    response = resampler.blur(x, padding=2)[0, 0]
    torch.testing.assert_close(response[2:6, 2:6], taps[:, None] * taps)
    assert response.count_nonzero() == 16
    torch.testing.assert_close(resampler.up(x)[0, 0, 5:9, 5:9], 4 * taps[:, None] * taps)


def test_the_highest_frequency_vanishes(resampler):
    x = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(6).expand(1, 1, 12, 12)
    for changed in (resampler.blur(x, padding=1), resampler.down(x)):
        assert changed[:, :, 1:-1, 1:-1].abs().max() < 1e-15


def test_shifts_go_through(resampler):
    x = torch.zeros(1, 2, 16, 16, dtype=torch.float64)
    x[:, :, 4:10, 4:10] = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    moved = x.roll((1, 2), (2, 3))
    torch.testing.assert_close(resampler.up(moved), resampler.up(x).roll((2, 4), (2, 3)))
    twice = x.roll((2, 4), (2, 3))
    torch.testing.assert_close(resampler.down(twice), resampler.down(x).roll((1, 2), (2, 3)))


def test_up_and_down_are_transposes(resampler):
    x, y = images(), images(12, 16)
    torch.testing.assert_close((resampler.up(x) * y).sum(), 4 * (x * resampler.down(y)).sum())


def test_the_kernel_is_no_state_and_exact_in_bfloat16():
    resampler = Resampler()
    assert not resampler.state_dict()
    assert torch.equal(resampler.kernel.bfloat16().float(), resampler.kernel)
    assert resampler.kernel.sum() == 1
