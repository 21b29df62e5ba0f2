"""What is done with each file of a set, in this process or in another: read its header, decode it.

A task is a callable of one item. Its settings, items and results have a form for the pipe between
processes (JSON, and pixels as bytes), so that nothing is pickled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from reacgan.data.arrays import decode_array, is_array, open_array
from reacgan.data.decode import (
    Box,
    UnreadableImageError,
    colour_of_16_bits,
    decode_file,
    is_grey,
    open_header,
    size_problem,
)
from reacgan.data.depth import Whites
from reacgan.data.plain_jpeg import plain_header

DEEP_COLOUR = ";16"
"""What follows the mode of colour of 16 bits a channel, of which the upper 8 are read."""

Packed = tuple[list[Any], bytes]
"""Results for the pipe: what JSON can hold, and bytes."""


class Header(NamedTuple):
    """What a file's header says: (width, height), mode, own channels; or why it is refused."""

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    channels: int = 3
    animated: bool = False
    problem: str = ""


class Task(Protocol):
    """One kind of work on files."""

    def __call__(self, item: Any) -> Any:
        """The result of one item."""
        ...

    def settings(self) -> dict[str, Any]:
        """What makes an equal task, as JSON holds it."""
        ...

    def pack(self, results: Sequence[Any]) -> Packed:
        """Results for the pipe."""
        ...

    def unpack(self, facts: list[Any], content: bytes) -> list[Any]:
        """Results from the pipe."""
        ...


@dataclass(frozen=True)
class ReadHeader:
    """Reads a file's header; an item is its path relative to ``root`` and a known problem or ""."""

    root: str
    max_pixels: int

    def __call__(self, item: tuple[str, str]) -> Header:
        """The header of one file."""
        relative, problem = item
        if problem:
            return Header(problem=problem)
        return read_header(os.path.join(self.root, relative), self.max_pixels)  # noqa: PTH118

    def settings(self) -> dict[str, Any]:
        """As :class:`Task`."""
        return asdict(self)

    def pack(self, results: Sequence[Header]) -> Packed:
        """As :class:`Task`."""
        return list(results), b""

    def unpack(self, facts: list[Any], content: bytes) -> list[Header]:
        """As :class:`Task`."""
        return [Header(tuple(size), *rest) for size, *rest in facts]


@dataclass(frozen=True)
class Decode:
    """Decodes a file; an item is its path relative to ``root`` and the box to take, or None.

    The result is uint8 ``[channels, height, width]``, or the reason for which it is refused.
    """

    root: str
    height: int
    width: int
    channels: int
    max_pixels: int
    whites: Whites | None = None

    def __call__(self, item: tuple[str, Box | None]) -> npt.NDArray[np.uint8] | str:
        """The pixels of one file, or why there are none."""
        path, box = os.path.join(self.root, item[0]), item[1]  # noqa: PTH118 - a third of the time
        size, channels, most = (self.height, self.width), self.channels, self.max_pixels
        try:
            if is_array(path):
                return decode_array(
                    path, resolution=size, channels=channels, whites=self.whites, max_pixels=most
                )
            return decode_file(
                path,
                resolution=size,
                channels=channels,
                box=box,
                whites=self.whites,
                max_pixels=most,
            )
        except UnreadableImageError as error:
            return error.reason

    def settings(self) -> dict[str, Any]:
        """As :class:`Task`."""
        return asdict(self)

    def pack(self, results: Sequence[npt.NDArray[np.uint8] | str]) -> Packed:
        """As :class:`Task`."""
        reasons = [one if isinstance(one, str) else None for one in results]
        return reasons, b"".join(one.tobytes() for one in results if not isinstance(one, str))

    def unpack(self, facts: list[Any], content: bytes) -> list[npt.NDArray[np.uint8] | str]:
        """As :class:`Task`."""
        pixels = np.frombuffer(content, np.uint8)
        images = iter(pixels.reshape(-1, self.channels, self.height, self.width))
        return [next(images) if reason is None else str(reason) for reason in facts]


TASKS: dict[str, Callable[..., Task]] = {"ReadHeader": ReadHeader, "Decode": Decode}
"""What another process can be asked for."""


def read_header(path: str, max_pixels: int) -> Header:
    """What a file's header says; a file that cannot be used has a problem."""
    try:
        if is_array(path):
            array = open_array(path, max_pixels=max_pixels)
            height, width, channels = array.shape
            return Header((width, height), f"{array.dtype} x {channels}", channels)
        plain = plain_header(path)
        if plain is not None and not size_problem(plain[:2], max_pixels):
            return Header(plain[:2], plain.mode, 1 if plain.mode == "L" else 3)
        with open_header(path, max_pixels=max_pixels) as image:
            animated = bool(getattr(image, "is_animated", False))
            mode = image.mode + DEEP_COLOUR * colour_of_16_bits(image)
            return Header(image.size, mode, 1 if is_grey(image) else 3, animated)
    except UnreadableImageError as error:
        return Header(problem=error.reason)
    except Exception as error:  # reading further frames of a hostile file raises anything
        return Header(problem=f"not readable ({type(error).__name__})")
