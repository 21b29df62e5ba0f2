"""Spectra against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError
from reacgan.pictures import spectra, spectrum
from reacgan.pictures.frequencies import difference


def noise(count=256, shape=(3, 16, 16), deviation=20.0, seed=0):
    values = np.random.default_rng(seed).normal(0, deviation, (count, *shape))
    return values + 128


def test_white_noise_is_flat_at_its_variance():
    at, power = spectrum(noise())
    assert at[0] > 0 and at[-1] <= math.sqrt(0.5) + 1e-12 and (np.diff(at) > 0).all()
    assert np.abs(power / 400 - 1).max() < 0.05


@pytest.mark.parametrize("cycles", [1, 3, 8])
def test_a_sine_is_one_peak(cycles):
    wave = np.cos(2 * np.pi * cycles * np.arange(16) / 16) * 50 + 128
    images = np.broadcast_to(wave, (2, 1, 16, 16))
    at, power = spectrum(images)
    assert abs(at[power.argmax()] - cycles / 16) < 0.5 / 16
    rest = np.delete(power, power.argmax())
    assert rest.max() < 1e-20 * power.max()


@pytest.mark.parametrize("value", [0, 255])
def test_a_constant_has_nothing(value):
    assert spectrum(torch.full((3, 1, 8, 8), value, dtype=torch.uint8))[1].max() < 1e-20


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (4, 20), (2, 2)])
def test_every_frequency_is_in_one_bin(size):
    """Parseval: power times the frequencies of a bin adds up to the variance of the pixels."""
    images = noise(5, (2, *size))
    at, power = spectrum(images)
    radius = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None])
    bins = np.maximum(np.rint(radius * min(size)), 1)
    bins[0, 0] = 0
    counts = [(bins == place).sum() for place in np.unique(bins)[1:]]
    assert len(counts) == len(at)
    assert np.dot(power, counts) / math.prod(size) == pytest.approx(
        images.var((2, 3)).mean(), rel=1e-10
    )


def test_parts_of_a_large_set_add_up(monkeypatch):
    whole = spectrum(noise())[1]
    monkeypatch.setattr("reacgan.pictures.frequencies._CHUNK_NUMBERS", 5000)
    np.testing.assert_allclose(spectrum(noise())[1], whole, rtol=1e-12)


def test_the_number_is_in_decibels():
    """Twice the deviation is 6.02 dB at every frequency; less power than rounding adds says nothing."""
    real, louder = noise(), (noise() - 128) * 2 + 128
    picture = spectra(real, {"same": real, "louder": louder})
    assert picture.numbers["difference"]["same"] == {"all": 0, "highest_quarter": 0}
    held = picture.numbers["difference"]["louder"]
    assert held["all"] == pytest.approx(20 * math.log10(2), rel=1e-9)
    assert held["highest_quarter"] == pytest.approx(held["all"], rel=1e-9)
    assert 0 < picture.numbers["halves_of_real"]["all"] < 0.5
    assert picture.png.startswith(b"\x89PNG") and "6.02 dB on average" in picture.caption
    assert difference(np.full(8, 1e-9), np.zeros(8))["all"] == 0


def test_only_the_highest_quarter():
    one, other = np.full(8, 100.0), np.full(8, 100.0)
    other[-2:] = 1000
    assert difference(one, other) == pytest.approx({"all": 2.5, "highest_quarter": 10})


def test_what_cannot_be_compared():
    with pytest.raises(ConfigError, match="one shape"):
        spectra(noise(4), noise(4, (3, 8, 8)))
    with pytest.raises(ConfigError, match="1 real images; needed: 2"):
        spectra(noise(1), noise(4))
    with pytest.raises(ConfigError, match=r"\[0, 3, 16, 16\]; needed"):
        spectrum(noise(0))
