"""Which size and channels a reference is opened with: its own, whatever the images to score have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reacgan.config import ConfigError, DataConfig, size_of
from reacgan.data import DataError, OwnShape, own_shape
from reacgan.evaluation.sample_folders import many_sizes
from reacgan.extractors.fitting import Shape

_RGB, _RGBA = 3, 4


@dataclass(frozen=True)
class Wish:
    """What is asked for; see :func:`reacgan.evaluation.reference.open_reference`."""

    resolution: Any = None
    channels: int | None = None
    like: Shape | None = None
    crop: Any = None

    def settle(
        self, config: DataConfig, split: str | None
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Resolution and channels to open a set with, and warnings of what that does to its images.

        Raises:
            ConfigError: images of many sizes.
        """
        own = _found(config, split)
        if own is None:
            return self._unknown(config)
        resolution, sized = self._resolution(config, own)
        channels, coloured = self._channels(config, own)
        return {"resolution": resolution, "channels": channels}, (*sized, *coloured)

    def _unknown(self, config: DataConfig) -> tuple[dict[str, Any], tuple[str, ...]]:
        """A set that does not say: of the images' size, and in colour, which takes nothing away."""
        channels, height, width = self.like or (_RGB, *size_of(config.resolution))
        changes = {
            "resolution": self.resolution or _as_said(height, width),
            "channels": self.channels or (_RGB if channels == 1 else channels),
        }
        if self.resolution is not None:
            return changes, ()
        return changes, (
            f"the reference {config.name} does not say of what size its images are; it was opened at "
            f"{width} x {height}, the size of the images to score",
        )

    def _resolution(self, config: DataConfig, own: OwnShape) -> tuple[Any, tuple[str, ...]]:
        if self.resolution is not None:
            return self.resolution, ()
        if len(own.sizes) == 1:
            return _as_said(*own.sizes[0]), ()
        if not own.sizes:
            return (_as_said(*self.like[1:]) if self.like else config.resolution), ()
        if self.crop is None:
            raise ConfigError(f"the reference {many_sizes(config.path or config.name, own.sizes)}")
        height, width = size_of(self.crop)
        return self.crop, (
            f"the reference has images of {len(own.sizes):,} sizes; they were cropped and resized to "
            f"{width} x {height}, as those that the generator learned from",
        )

    def _channels(self, config: DataConfig, own: OwnShape) -> tuple[int, tuple[str, ...]]:
        if self.channels is None:
            opaque = self.like is not None and self.like[0] == _RGBA and own.channels in (1, _RGB)
            return (_RGBA if opaque else own.channels), ()
        if self.channels == 1 and own.channels == _RGB:
            return 1, ("the reference is in colour and was turned grey, as channels=1 asks for",)
        return self.channels, ()


def _found(config: DataConfig, split: str | None) -> OwnShape | None:
    if split is not None:
        return own_shape(config, split)
    try:
        return own_shape(config, "test")
    except DataError:
        return own_shape(config, "train")


def _as_said(height: int, width: int) -> Any:
    return height if height == width else (height, width)
