"""Films of walks: GIF by Pillow, MP4 by ffmpeg."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.files import replacing
from reacgan.sampling.grids import sheet

SMALLEST = 256
"""Pixels of the shorter side of a frame: players blur what is smaller."""
_WHITE = 255
_GIF_UNITS = 100
"""Of a second, in which GIF counts."""


@dataclass(frozen=True)
class Film:
    """How films are made.

    Args:
        kinds: ``gif``, ``mp4``, or both.
        frames: from one end to the other.
        fps: frames a second.
        once: end at the other end; else go back, so that a repeated film has no jump.
        scale: a whole factor by which images are enlarged; None enlarges them until the shorter side of
            a frame has 256 pixels.

    Raises:
        ConfigError: a value out of range, or ``imageio`` with ffmpeg is not installed.
    """

    kinds: tuple[str, ...]
    frames: int = 48
    fps: float = 24
    once: bool = False
    scale: int | None = None

    def __post_init__(self) -> None:
        for name, value, fits, allowed in (
            ("frames", self.frames, 2 <= self.frames <= 10_000, "2 to 10,000"),
            ("fps", self.fps, 1 <= self.fps <= 60, "1 to 60 frames a second"),
            ("scale", self.scale, self.scale is None or 1 <= self.scale <= 64, "1 to 64"),
        ):
            if not fits:
                raise ConfigError(f"{name} is {value:g}; allowed: {allowed}")
        if "mp4" in self.kinds:
            _video_library()

    def save(self, images: Tensor, folder: Path, stem: str) -> list[Path]:
        """Write ``<folder>/<stem>.gif``, ``.mp4`` or both.

        Args:
            images: uint8 ``[rows, frames, C, H, W]``, as :func:`reacgan.sampling.walk` gives them.
            folder: where to.
            stem: name without its end.
        """
        frames = frames_of(images, scale=self.scale)
        if not self.once:
            frames = there_and_back(frames)
        paths = []
        for kind in self.kinds:
            path = folder / f"{stem}.{kind}"
            (save_gif if kind == "gif" else save_mp4)(frames, path, fps=self.fps)
            paths.append(path)
        return paths


def frames_of(images: Tensor, *, scale: int | None = None) -> list[Image.Image]:
    """One frame a step, all rows beside each other in it; sides are even, as MP4 needs them.

    Args:
        images: uint8 ``[rows, steps, C, H, W]``, as :func:`reacgan.sampling.walk` gives them.
        scale: a whole factor by which images are enlarged; None enlarges them until a frame has 256
            pixels.
    """
    rows, steps, _, height, width = images.shape
    square = math.ceil(math.sqrt(rows))
    # As few empty cells as possible, and no more than twice as wide as high.
    columns = min(range(square, 2 * square), key=lambda columns: (-rows % columns, columns))
    lines = -(-rows // columns)
    if scale is None:
        shorter = min(columns * width, lines * height)
        scale = max(1, -(-SMALLEST // shorter))
    blank = torch.full_like(images[:1, 0], _WHITE).expand(lines * columns - rows, -1, -1, -1)
    frames = []
    for step in range(steps):
        cells = torch.cat([images[:, step], blank]).unflatten(0, (lines, columns))
        frames.append(_even(sheet(cells, smallest=scale * min(height, width))))
    return frames


def there_and_back(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """The frames, then back to the second one, so that a repeated film has no jump."""
    return [*frames, *frames[-2:0:-1]]


def save_gif(frames: Sequence[Image.Image], path: Path, *, fps: float = 24) -> None:
    """Write an animation that repeats without end.

    GIF counts in hundredths of a second: 24 a second become 25.
    """
    hundredths = max(2, round(_GIF_UNITS / fps))  # players slow down what is shorter
    first, *others = [frame.convert("RGB") for frame in frames]
    with replacing(path) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=hundredths * 10,
            loop=0,
        )


def save_mp4(frames: Sequence[Image.Image], path: Path, *, fps: float = 24) -> None:
    """Write a film that browsers and telephones play: H.264, 4:2:0.

    Raises:
        ConfigError: ``imageio`` with ffmpeg is not installed.
    """
    library = _video_library()
    with replacing(path) as temporary:
        ending = temporary.with_name(f"{temporary.name}.mp4")  # by which ffmpeg knows what to write
        try:
            with library.get_writer(
                str(ending),
                fps=fps,
                codec="libx264",
                quality=8,
                macro_block_size=2,
                ffmpeg_log_level="error",
                output_params=["-movflags", "+faststart"],
            ) as writer:
                for frame in frames:
                    writer.append_data(np.asarray(frame.convert("RGB")))
            ending.replace(temporary)
        finally:
            ending.unlink(missing_ok=True)


def _video_library() -> Any:
    """``imageio``, with the ffmpeg that its wheel brings."""
    try:
        import imageio.v2  # noqa: PLC0415 - optional

        import_module("imageio_ffmpeg")
    except ImportError:
        raise ConfigError(
            "MP4 needs imageio with ffmpeg, which is not installed: pip install 'reacgan[video]'; a "
            "GIF needs nothing"
        ) from None
    return imageio.v2


def _even(frame: Image.Image) -> Image.Image:
    """The frame on white with even sides."""
    width, height = frame.size
    wide, high = width + width % 2, height + height % 2
    if (wide, high) == frame.size:
        return frame
    canvas = Image.new("RGB", (wide, high), "white")
    canvas.paste(frame, (0, 0))
    return canvas
