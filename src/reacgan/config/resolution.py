"""Sizes of images: a square's side, or height and width, and the grid that a network grows from."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, Union

from pydantic import BeforeValidator, Field

from reacgan.config.registry import ConfigError

SMALLEST, LARGEST = 8, 1024

Side = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]


def _from_text(value: Any) -> Any:
    """``"64x96"`` is (64, 96), ``"64"`` is 64; anything else is a side or a pair of sides."""
    given = value
    if isinstance(value, str):
        parts = value.split("x")
        if len(parts) < 3 and all(part.strip().isdigit() for part in parts):
            value = [int(part) for part in parts] if len(parts) == 2 else int(value)
    pair = isinstance(value, list | tuple)
    sides = value if pair else (value,)
    if len(sides) != 1 + pair or not all(_is_side(side) for side in sides):
        raise ValueError(
            f"is {given!r}; allowed: a side, or [height, width], of {SMALLEST} to {LARGEST} whole pixels"
        )
    return value


def _is_side(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and SMALLEST <= value <= LARGEST and value == int(value)


# Union at run time, because Python 3.10 cannot resolve "Annotated | tuple" inside a hint.
Resolution = Annotated[Union[Side, tuple[Side, Side]], BeforeValidator(_from_text)]  # noqa: UP007
"""Side of a square, or (height, width), in pixels; ``"64x96"`` is read as the latter."""


class Grid(NamedTuple):
    """A size as a smallest grid of 4 to 7 cells (the shorter side), doubled several times."""

    rows: int
    columns: int
    doublings: int

    @property
    def square(self) -> int:
        """Side of the power-of-two square with as many doublings: the key of tables of widths."""
        return 4 << self.doublings


def size_of(resolution: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) in pixels."""
    return (resolution, resolution) if isinstance(resolution, int) else resolution


def grid_of(resolution: int | tuple[int, int]) -> Grid:
    """The grid that a network for this size starts from, or ends in.

    64 is 4 x 4 doubled four times, 96 is 6 x 6 doubled four times, 64 x 96 is 4 x 6.

    Raises:
        ConfigError: a side below 8 or above 1024, or one that the doublings do not divide.
    """
    size = size_of(resolution)
    shorter = min(size)
    if not all(SMALLEST <= side <= LARGEST for side in size):
        raise ConfigError(
            f"resolution is {describe(resolution)}; allowed: sides of {SMALLEST} to {LARGEST} pixels"
        )
    doublings = (shorter // 4).bit_length() - 1
    step = 1 << doublings
    for side in size:
        if side % step:
            raise ConfigError(
                f"resolution is {describe(resolution)}; with a shorter side of {shorter} each side "
                f"must be a multiple of {step}, such as {neighbours(side, step)}. Images of any size are "
                "cropped and resized to it."
            )
    return Grid(size[0] >> doublings, size[1] >> doublings, doublings)


def neighbours(value: int, step: int) -> str:
    """The multiples of ``step`` on both sides of a value that is none, as examples in a message."""
    below = value - value % step
    return f"{below} or {below + step}" if below else str(step)


def describe(resolution: int | tuple[int, int]) -> str:
    """``64 x 64``: height first."""
    return " x ".join(map(str, size_of(resolution)))
