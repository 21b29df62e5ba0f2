"""How much of a set's images a resolution keeps, and the one that keeps most of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log2

from reacgan.config import ConfigError, Resolution, grid_of, size_of
from reacgan.data.decode import crop_window

Sizes = Mapping[tuple[int, int], int]
"""How many images have a size, (width, height) in pixels."""

_WHOLE, _WORTH = 0.995, 0.05
_SMALLER, _LARGER = 0.75, 1.5
"""Shorter sides that are tried, as shares of the proposed one."""
_OTHER_SIDE = 0.1
"""What a shorter side of twice or half the proposed one has to keep more."""


def kept_share(sizes: Sizes, resolution: Resolution) -> float:
    """Share of the pixels that the crop keeps, of an average image, 0 to 1."""
    height, width = size_of(resolution)
    shares = 0.0
    for size, count in sizes.items():
        left, top, right, bottom = crop_window(size, (width, height))
        shares += count * (right - left) * (bottom - top) / (size[0] * size[1])
    return shares / sum(sizes.values())


def cut_in_words(sizes: Sizes, resolution: Resolution) -> str:
    """``about 25% of an image is cut off left and right``; empty where all is kept."""
    kept = kept_share(sizes, resolution) if sizes else 1.0
    if kept >= _WHOLE:
        return ""
    height, width = size_of(resolution)
    wide = {
        size[0] * height > size[1] * width for size in sizes if size[0] * height != size[1] * width
    }
    where = (
        "at the edges" if len(wide) > 1 else "left and right" if True in wide else "above and below"
    )
    return f"about {1 - kept:.0%} of an image is cut off {where}"


def better(sizes: Sizes, side: int) -> tuple[tuple[int, int], float] | None:
    """A (height, width) that keeps clearly more than the square of ``side``, and the share it keeps.

    Its shorter side is that of the square or near it.
    """
    square = kept_share(sizes, side)
    ranked = [(kept_share(sizes, size), size) for size in _candidates(sizes, side)]
    if not ranked:
        return None
    kept, size = max(
        ranked, key=lambda pair: pair[0] - _OTHER_SIDE * abs(log2(min(pair[1]) / side))
    )
    return (size, kept) if kept >= square + _WORTH else None


def _candidates(sizes: Sizes, side: int) -> Iterator[tuple[int, int]]:
    """Sizes that networks can have, of proportions near those of the most frequent shape."""
    wide, high = max(sizes, key=lambda size: sizes[size])
    ratio = max(wide, high) / min(wide, high)
    for shorter in range(round(_SMALLER * side), round(_LARGER * side) + 1):
        step = 1 << max(0, (shorter // 4).bit_length() - 1)
        below = int(shorter * ratio) // step * step
        for longer in (below, below + step):
            size = (shorter, longer) if wide > high else (longer, shorter)
            try:
                grid_of(size)
            except ConfigError:
                continue
            yield size


def advice(sizes: Sizes, side: int) -> str:
    """What squares of a side cut off, and what keeps more; empty where little is lost."""
    if kept_share(sizes, side) > 1 - 4 * _WORTH:
        return ""
    text = f"squares are cut out, so {cut_in_words(sizes, side)}"
    proposed = better(sizes, side)
    if proposed is None:
        return text
    (height, width), kept = proposed
    share = "the whole" if kept >= _WHOLE else f"{kept:.0%}"
    return f"{text}: --set data.resolution={height}x{width} keeps {share}"
