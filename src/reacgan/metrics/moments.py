"""Count, mean and covariance of features, the statistics of FID."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.unpacking import open_npz

BLOCK = 4096
"""Rows converted to float64 at once."""
_STRIP = 256


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of N features of length D, in float64."""

    count: int
    """0 where unknown, as for files of statistics."""
    mean: Tensor
    """``[D]``."""
    covariance: Tensor
    """``[D, D]``, unbiased (divided by N - 1)."""

    @classmethod
    def of(cls, features: Tensor, *, rows: int = BLOCK) -> Moments:
        """Moments of features ``[N, D]``, N at least 2; ``rows`` are converted to float64 at once.

        Raises:
            ConfigError: another shape, fewer than two, or values that are not finite.
        """
        accumulator = MomentsAccumulator()
        accumulator.add(features, rows=rows)
        return accumulator.result()

    @classmethod
    def merge(cls, parts: Iterable[Moments]) -> Moments:
        """Moments of the union of disjoint sets.

        Raises:
            ConfigError: no set, an unknown count, or features of different length.
        """
        accumulator = MomentsAccumulator()
        for part in parts:
            accumulator.add_moments(part)
        return accumulator.result()

    def to(self, device: torch.device) -> Moments:
        """The same on a device."""
        return Moments(self.count, self.mean.to(device), self.covariance.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a file."""
        return {"count": torch.tensor(self.count), "mean": self.mean, "covariance": self.covariance}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Moments:
        """The inverse of :meth:`tensors`."""
        return cls(int(tensors["count"]), tensors["mean"], tensors["covariance"])

    @classmethod
    def read_npz(cls, path: Path) -> Moments:
        """Read ``mu`` and ``sigma`` of a ``.npz`` file; nothing in it is unpickled.

        Count is 0 (unknown) unless the file names it.

        Raises:
            ConfigError: no such file, another kind of file, or arrays that are not a mean and covariance.
        """
        try:
            with open_npz(path) as file:
                missing = [name for name in ("mu", "sigma") if name not in file.names]
                if missing:
                    names = ", ".join(sorted(file.names)[:_LISTED]) or "nothing"
                    raise ConfigError(
                        f"{path}: no {missing[0]!r}; needed: mu and sigma, it holds: {names}"
                    )
                mean, covariance = file.read("mu"), file.read("sigma")
                count = int(file.read("count")) if "count" in file.names else 0
        except ConfigError:
            raise
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path}: cannot be read as statistics ({error}); needed: a .npz file with mu and sigma"
            ) from None
        mean, covariance = _checked(path, mean, covariance)
        if not 0 <= count < _MOST_IMAGES:
            raise ConfigError(f"{path}: count is {count}; needed: 0 (unknown) or more")
        return cls(count, torch.from_numpy(mean), torch.from_numpy(covariance))


class MomentsAccumulator:
    """Moments of features in blocks, in one pass (Chan et al. 1979).

    The scatter matrix of a block is centred at the block's mean, so a common offset of the features
    costs no digits. Only one triangle is summed.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, features: Tensor, *, rows: int = BLOCK) -> None:
        """Add features ``[N, D]``, N of 0 or more, ``rows`` at a time.

        Raises:
            ConfigError: another shape, or values that are not finite.
        """
        check_features(features, "features", least=0)
        for part in features.split(rows):
            if len(part):
                block = part.double()
                mean = block.mean(0)
                shift = self._join(len(block), mean)
                _add_lower_gram(self._scatter, block - mean)
                _add_lower_gram(self._scatter, shift[None])

    def add_moments(self, moments: Moments) -> None:
        """Add a set by its moments.

        Raises:
            ConfigError: its count is unknown, or its features have another length.
        """
        if moments.count < 1:
            raise ConfigError("statistics of an unknown number of images cannot be merged")
        shift = self._join(moments.count, moments.mean.double())
        self._scatter += moments.covariance * (moments.count - 1)
        _add_lower_gram(self._scatter, shift[None])

    def result(self) -> Moments:
        """Moments of everything added.

        Raises:
            ConfigError: fewer than two features.
        """
        if self.count < 2:
            raise ConfigError(f"moments of {self.count} features; needed: 2 or more")
        lower = self._scatter.tril() / (self.count - 1)
        return Moments(self.count, self._mean.clone(), lower + lower.tril(-1).T)

    def _join(self, count: int, mean: Tensor) -> Tensor:
        """Update the mean; returns the vector whose outer product is added to the scatter."""
        if not self.count:
            self._mean = torch.zeros_like(mean)
            self._scatter = mean.new_zeros(len(mean), len(mean))
        elif mean.shape != self._mean.shape:
            raise ConfigError(
                f"features of length {len(mean)} and {len(self._mean)}; needed: the same"
            )
        apart = mean - self._mean
        together = self.count + count
        self._mean = self._mean + apart * (count / together)
        shift = apart * (self.count * count / together) ** 0.5
        self.count = together
        return shift


def check_features(features: Tensor, name: str, *, least: int = 2) -> None:
    """Raise :class:`ConfigError` unless features are ``[N, D]``, at least ``least`` rows, and finite."""
    if features.dim() != 2 or len(features) < least:
        raise ConfigError(
            f"{name} are {list(features.shape)}; needed: [N, D] with N of {least} or more"
        )
    if not all(bool(torch.isfinite(part).all()) for part in features.split(BLOCK)):
        raise ConfigError(f"{name} hold NaN or infinity: check the images and the extractor")


def _add_lower_gram(total: Tensor, rows: Tensor) -> None:
    """``total += rows^T rows`` in strips, which leave out most of the upper triangle."""
    for start in range(0, len(total), _STRIP):
        stop = start + _STRIP
        total[start:stop, :stop].addmm_(rows[:, start:stop].T, rows[:, :stop])


_LISTED = 10
_MOST_IMAGES = 2**53


def _checked(path: Path, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, once they are a mean and a covariance; raises ConfigError."""
    shapes = (
        f"mu is {mean.dtype} {list(mean.shape)}, sigma {covariance.dtype} {list(covariance.shape)}"
    )
    kinds = mean.dtype.kind + covariance.dtype.kind
    if kinds != "ff" or mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ConfigError(f"{path}: {shapes}; needed: floats [D] and [D, D]")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ConfigError(f"{path}: mu or sigma holds NaN or infinity; create the file again")
    scale = float(np.abs(covariance).max(initial=0))
    if not np.allclose(covariance, covariance.T, rtol=0, atol=1e-5 * scale):
        raise ConfigError(f"{path}: sigma is not symmetric, so it is no covariance")
    lowest = float(np.linalg.eigvalsh(covariance).min(initial=0))
    if lowest < -1e-5 * scale * len(mean):
        raise ConfigError(
            f"{path}: sigma has an eigenvalue of {lowest:.3g}, so it is no covariance"
        )
    return mean, covariance
