from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from reacgan.augment.ada_filter import (
    POWER,
    SYM2,
    add_noise,
    amplify,
    band_filters,
    cut_rectangle,
    draw_gains,
)
from reacgan.augment.chances import Chances
from reacgan.randomness import Draws

MANY = 20_000
BANDS = band_filters()


def chances(probability: float, images: Tensor) -> Chances:
    return Chances(Draws(4, "augment", 0), torch.tensor(probability), images)


def pictures(count: int = 2, channels: int = 2, height: int = 7, width: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator).double() * 2 - 1


def fired(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.bool)


def test_the_wavelet() -> None:
    taps = torch.tensor(SYM2)
    assert taps.sum().item() == pytest.approx(math.sqrt(2))
    assert (taps * taps).sum().item() == pytest.approx(1)
    assert (taps[2:] * taps[:2]).sum().item() == pytest.approx(0, abs=1e-7)
    moment = taps * torch.tensor([0.0, -1.0, 2.0, -3.0])
    assert moment.sum().item() == pytest.approx(0, abs=1e-6)


def test_the_bands() -> None:
    assert BANDS.shape == (4, 43)
    assert torch.allclose(BANDS, BANDS.flip(1))  # no delay
    impulse = torch.zeros(43).double()
    impulse[21] = 1
    assert torch.allclose(BANDS.sum(dim=0), impulse, atol=1e-12)
    response = torch.fft.rfft(BANDS, n=1024).abs()  # entry k: frequency k pi / 512
    for band, (low, high) in enumerate([(0, 64), (64, 128), (128, 256), (256, 512)]):
        middle = (low + high) // 2
        assert response[:, middle].argmax() == band
        energy = response[band].square()
        assert energy[low : high + 1].sum() > 0.7 * energy.sum()
    assert torch.allclose(response[:, 0], torch.tensor([1.0, 0, 0, 0]).double(), atol=1e-12)
    assert torch.allclose(response[:, 512], torch.tensor([0, 0, 0, 1.0]).double(), atol=1e-12)


def test_the_bands_against_frequency_responses() -> None:
    # The half-band filters of sym2, |H(w)|^2 / 2 and its mirror image, put one below another.
    w = torch.arange(512).double() * math.pi / 512

    def low(w: Tensor) -> Tensor:
        waves = [tap * torch.exp(-1j * k * w) for k, tap in enumerate(SYM2)]
        return torch.stack(waves).sum(dim=0).abs().square() / 2

    expected = torch.stack(
        [
            low(w) * low(2 * w) * low(4 * w),
            low(w) * low(2 * w) * (1 - low(4 * w)),
            low(w) * (1 - low(2 * w)),
            1 - low(w),
        ]
    )
    found = torch.fft.rfft(BANDS, n=1024).abs()[:, :512]
    assert torch.allclose(found, expected, atol=1e-9)


def test_amplification_against_loops() -> None:
    images, gains = pictures(), torch.tensor([[1.0, 0.5, 2.0, 0.1], [0.3, 1.0, 1.0, 3.0]]).double()
    found = amplify(images, gains, fired(2), BANDS)

    def mirrored(place: int, length: int) -> int:
        place %= 2 * length - 2
        return min(place, 2 * length - 2 - place)

    for n in range(2):
        taps = (gains[n][:, None] * BANDS).sum(dim=0)
        rows, columns = torch.zeros(7, 7).double(), torch.zeros(9, 9).double()
        for matrix in (rows, columns):
            length = len(matrix)
            for y in range(length):
                for k in range(43):
                    matrix[y, mirrored(y + k - 21, length)] += taps[k]
        assert torch.allclose(found[n], rows @ images[n] @ columns.T, atol=1e-9)


def test_gains_of_one_and_images_not_meant_change_nothing() -> None:
    images, ones = pictures(), torch.ones(2, 4).double()
    assert torch.allclose(amplify(images, ones, fired(2), BANDS), images, atol=1e-10)
    assert torch.equal(amplify(images, ones * 2, ~fired(2), BANDS), images)
    doubled = amplify(images, ones * 2, fired(2), BANDS)
    assert torch.allclose(doubled, images * 4, atol=1e-9)  # once along each axis


def test_draws_of_the_gains() -> None:
    power = torch.tensor(POWER).double()
    assert power.sum() == pytest.approx(1)
    assert power[0] / power[1] == pytest.approx(10)
    gains, acted = draw_gains(chances(0.3, torch.zeros(MANY, 1, 1, 1).double()), power)
    assert acted.double().mean() == pytest.approx(1 - 0.7**4, abs=0.015)
    assert torch.allclose(gains[~acted], torch.ones_like(gains[~acted]))
    # A single band: all others have the same gain, and the expected power stays.
    others = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    for band in range(4):
        rest = gains[:, others[band]]
        alone = acted & torch.isclose(rest.amin(dim=1), rest.amax(dim=1))
        kept = (gains[alone].square() * power).sum(dim=1)
        assert torch.allclose(kept, torch.ones_like(kept))
        assert alone.double().mean() == pytest.approx(0.3 * 0.7**3, abs=0.015)
        octaves = (gains[alone, band] / rest[alone, 0]).log2()
        assert octaves.mean() == pytest.approx(0, abs=0.08)
        assert octaves.std() == pytest.approx(1, abs=0.06)


def test_noise() -> None:
    images = torch.full((4000, 1, 6, 6), 0.25).double()
    added = add_noise(images, chances(0.6, images)) - images
    acted = (added != 0).flatten(1).any(dim=1)
    assert acted.double().mean() == pytest.approx(0.6, abs=0.03)
    strength = added[acted].square().mean(dim=(1, 2, 3))
    assert strength.mean() == pytest.approx(0.01, rel=0.1)  # E s^2 = 0.1^2
    assert strength.sqrt().mean() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)
    assert added[acted].mean() == pytest.approx(0, abs=0.002)


def test_cutout() -> None:
    images = torch.ones(4000, 2, 8, 12).double()
    cut = cut_rectangle(images, chances(0.7, images))
    holes = (cut == 0).double()
    areas = holes[:, 0].sum(dim=(1, 2))
    assert torch.equal(holes[:, 0], holes[:, 1])
    assert (areas > 0).double().mean() == pytest.approx(0.7, abs=0.03)
    assert areas.max() == 4 * 6
    assert areas[areas > 0].min() == 2 * 3  # its centre in a corner
    tall, wide = holes[:, 0].amax(dim=2).sum(dim=1), holes[:, 0].amax(dim=1).sum(dim=1)
    assert (tall.max(), wide.max()) == (4, 6)
    chance = holes[:, 0].mean(dim=0)
    assert chance[4, 6] == pytest.approx(0.7 * 0.25, abs=0.03)  # half along each axis
    assert torch.allclose(chance, chance.flip(0, 1), atol=0.03)
