"""Power spectra, where upsampling in generators leaves artefacts that are hardly visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.pictures.samples import Picture
from reacgan.reports.palette import INK, SOFT, styles
from reacgan.reports.plots import figure_png, legend, new_figure, open_axes

_CHUNK_NUMBERS = 1 << 22
_FLOOR = 1 / 12
"""Power of the noise of rounding to integers; differences below it are meaningless."""

Images = Tensor | npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]


def spectrum(images: Images) -> tuple[Numbers, Numbers]:
    """Frequencies and the mean power at each, over angles, channels and images.

    |FFT|^2 / (height x width) of each channel, so that white noise has its variance at every frequency
    above 0 and a constant has no power there (azimuthal average as in Durall et al., CVPR 2020,
    without a window). Bins include the frequencies of the corners.

    Args:
        images: ``[N, C, H, W]``, values 0 to 255.

    Returns:
        Frequencies in cycles per pixel (means of the bins, above 0 and up to 0.71; 0.5 is the highest
        along an axis), and power, both float64 ``[R]``.

    Raises:
        ConfigError: not ``[N, C, H, W]``, no image, or images of less than 2 pixels a side.
    """
    pixels = images.numpy() if isinstance(images, Tensor) else images
    if pixels.ndim != 4 or not len(pixels) or min(pixels.shape[2:]) < 2:
        raise ConfigError(
            f"images are {list(pixels.shape)}; needed: [N, C, H, W] with an image or more, of 2 x 2 "
            "pixels or more"
        )
    count, channels, height, width = pixels.shape
    power = np.zeros((height, width))
    step = max(1, _CHUNK_NUMBERS // (channels * height * width))
    for start in range(0, count, step):
        waves = np.fft.fft2(pixels[start : start + step].astype(np.float64))
        power += (waves.real**2 + waves.imag**2).sum((0, 1))
    power /= count * channels * height * width
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]).ravel()
    bins = np.maximum(np.rint(radius * min(height, width)), 1).astype(np.int64)
    bins[0] = 0
    counts, total, middle = (
        np.bincount(bins, weights) for weights in (None, power.ravel(), radius)
    )
    known = np.flatnonzero(counts)[1:]
    return middle[known] / counts[known], total[known] / counts[known]


def spectra(real: Images, fakes: Images | Mapping[str, Images]) -> Picture:
    """Spectra of real and generated images, and how far apart they are.

    The difference is the mean over frequencies of ``|10 log10(fake) - 10 log10(real)|`` in decibels
    (3 is a factor of two in power), also over the highest quarter of the frequencies alone, and, for
    scale, between two halves of the real images. Lower power is
    replaced by that of rounding to integers.

    Args:
        real: ``[N, C, H, W]``, 0 to 255.
        fakes: likewise, of one generator or of several by name.

    Raises:
        ConfigError: images of different shapes, fewer than two real ones, or no matplotlib.
    """
    generated = dict(fakes) if isinstance(fakes, Mapping) else {"generated": fakes}
    for name, images in generated.items():
        if tuple(images.shape[1:]) != tuple(real.shape[1:]):
            raise ConfigError(
                f"{name} images are {list(images.shape[1:])}, the real ones {list(real.shape[1:])}; "
                "needed: one shape"
            )
    if len(real) < 2:
        raise ConfigError(f"{len(real)} real images; needed: 2 or more")
    at, true = spectrum(real)
    lines = {name: spectrum(images)[1] for name, images in generated.items()}
    halves = difference(spectrum(real[::2])[1], spectrum(real[1::2])[1])
    numbers: dict[str, Any] = {
        "unit": "decibel",
        "images": {"real": len(real), **{name: len(images) for name, images in generated.items()}},
        "difference": {name: difference(line, true) for name, line in lines.items()},
        "halves_of_real": halves,
        "frequency": at.tolist(),
        "power": {"real": true.tolist(), **{name: line.tolist() for name, line in lines.items()}},
    }
    return Picture(_draw(at, true, lines), _caption(numbers), numbers)


def difference(power: Numbers, other: Numbers) -> dict[str, float]:
    """Mean absolute difference in decibels: over ``all`` frequencies, and the ``highest_quarter``."""
    apart = np.abs(_decibels(power) - _decibels(other))
    return {
        "all": float(apart.mean()),
        "highest_quarter": float(apart[-max(1, round(len(apart) / 4)) :].mean()),
    }


def _decibels(power: Numbers) -> Numbers:
    return 10 * np.log10(np.maximum(power, _FLOOR))


def _draw(at: Numbers, true: Numbers, lines: Mapping[str, Numbers]) -> bytes:
    figure = new_figure(3.6)
    axes = open_axes(figure.add_subplot(), "power by frequency")
    mark: dict[str, Any] = {"marker": "o", "markersize": 3} if len(at) <= 32 else {}
    axes.plot(at, _decibels(true), color=INK, label="real", linewidth=1.6, **mark)
    for (name, line), style in zip(lines.items(), styles(list(lines)), strict=True):
        axes.plot(at, _decibels(line), label=name, linewidth=1.2, **mark, **style.line())
    axes.axvline(0.5, color=SOFT, linestyle="--", linewidth=1, label="highest along an axis")
    axes.set(xlabel="cycles per pixel", ylabel="decibel")
    axes.grid(alpha=0.3)
    legend(figure)
    return figure_png(figure)


def _caption(numbers: Mapping[str, Any]) -> str:
    counts = numbers["images"]
    words = "; ".join(
        f"{name} images ({counts[name]:,}) differ from real ones by {apart['all']:.2f} dB on "
        f"average, {apart['highest_quarter']:.2f} dB in the highest quarter"
        for name, apart in numbers["difference"].items()
    )
    halves: Mapping[str, float] = numbers["halves_of_real"]
    return (
        f"power by frequency: {words}; two halves of the {counts['real']:,} real ones by "
        f"{halves['all']:.2f} and {halves['highest_quarter']:.2f} dB"
    )
