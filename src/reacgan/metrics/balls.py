"""Which samples lie in which balls: exact counts between two sets, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.blocks import (
    Frame,
    Part,
    Side,
    as_features,
    bounds,
    exact_squared,
    full_precision,
    raise_to_upper,
)
from reacgan.metrics.neighbours import block_side

_MOST_OPEN = 0.02
_PAIRS_HELD = 1 << 20
_Pairs: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class BallCounts:
    """Of N real and M fake samples."""

    balls_holding: Tensor
    """int64 ``[M]``: real balls that hold each fake."""
    covered: Tensor
    """bool ``[N]``: whether each real ball holds a fake."""
    recalled: Tensor
    """bool ``[N]``: whether each real sample lies in the ball of a fake."""


def count_in_balls(
    real: Tensor,
    fake: Tensor,
    real_radii: Tensor,
    fake_radii: Tensor,
    *,
    rows: int | None = None,
) -> BallCounts:
    """Count; a ball holds what lies on its surface.

    Args:
        real: features ``[N, D]``.
        fake: features ``[M, D]``.
        real_radii: squared, float64 ``[N]``.
        fake_radii: squared, float64 ``[M]``.
        rows: side of a block; no result depends on it.

    Raises:
        ConfigError: other shapes, or features that are not finite.
    """
    real, fake = as_features(real, fake)
    if real_radii.shape != real.shape[:1] or fake_radii.shape != fake.shape[:1]:
        raise ConfigError(
            f"radii are {list(real_radii.shape)} and {list(fake_radii.shape)}; "
            f"needed: [{len(real)}] and [{len(fake)}]"
        )
    with full_precision(real.device):
        return _Counter(real, fake, real_radii, fake_radii).run(rows or block_side(real))


class _Counter:
    def __init__(self, real: Tensor, fake: Tensor, real_radii: Tensor, fake_radii: Tensor) -> None:
        frame = Frame.of(real)
        self.real, self.fake = Side(real, frame), Side(fake, frame)
        self.real_radii, self.fake_radii = real_radii, fake_radii
        self.holding = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
        self.covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
        self.recalled = torch.zeros_like(self.covered)

    def run(self, side: int) -> BallCounts:
        for start in range(0, len(self.real), side):
            ours = slice(start, min(start + side, len(self.real)))
            left = self.real.part(ours, torch.float32, left=True)
            # Pairs in real balls count one by one; of those in fake balls one for each row is enough.
            waiting: list[_Pairs] = []
            for begin in range(0, len(self.fake), side):
                theirs = slice(begin, min(begin + side, len(self.fake)))
                in_real, in_fake = self._block(ours, theirs, left)
                self._in_real_balls(in_real[0] + start, in_real[1] + begin)
                waiting.append((in_fake[0] + start, in_fake[1] + begin))
                if sum(len(pairs) for pairs, _ in waiting) > _PAIRS_HELD:
                    self._in_fake_balls(waiting)
                    waiting = []
            self._in_fake_balls(waiting)
        return BallCounts(self.holding, self.covered, self.recalled)

    def _block(self, ours: slice, theirs: slice, left: Part) -> tuple[_Pairs, _Pairs]:
        """Count what is sure; the pairs that are open, for real and for fake balls."""
        right = self.fake.part(theirs, torch.float32)
        sure, open_real, sure_fake, open_fake = self._compare(ours, theirs, left, right)
        if max(len(open_real[0]), len(open_fake[0])) > _MOST_OPEN * sure.numel():
            double = torch.float64
            left = self.real.part(ours, double, left=True)
            right = self.fake.part(theirs, double)
            sure, open_real, sure_fake, open_fake = self._compare(ours, theirs, left, right)
        self.holding[theirs] += sure.view(torch.uint8).sum(0, dtype=torch.int32)
        self.covered[ours] |= sure.any(1)
        self.recalled[ours] |= sure_fake.any(1)
        return open_real, open_fake

    def _compare(
        self, ours: slice, theirs: slice, left: Part, right: Part
    ) -> tuple[Tensor, _Pairs, Tensor, _Pairs]:
        """What is surely inside and the pairs that are open, for real balls and for fake balls."""
        squared_scale = self.real.frame.scale**2
        real_low, real_high = _around(self.real_radii[ours] * squared_scale, left.below.dtype)
        fake_low, fake_high = _around(self.fake_radii[theirs] * squared_scale, left.below.dtype)
        block = bounds(left, right)
        may_real, may_fake = block <= real_high[:, None], block <= fake_high
        block = raise_to_upper(block, left, right)
        sure_real, sure_fake = block <= real_low[:, None], block <= fake_low
        return sure_real, _besides(may_real, sure_real), sure_fake, _besides(may_fake, sure_fake)

    def _in_real_balls(self, rows: Tensor, columns: Tensor) -> None:
        inside = exact_squared(self.real, self.fake, rows, columns) <= self.real_radii[rows]
        self.holding += columns[inside].bincount(minlength=len(self.fake))
        self.covered[rows[inside]] = True

    def _in_fake_balls(self, waiting: list[_Pairs]) -> None:
        rows, columns = (torch.cat(parts) for parts in zip(*waiting, strict=True))
        undecided = ~self.recalled[rows]
        rows, columns = rows[undecided], columns[undecided]
        inside = exact_squared(self.real, self.fake, rows, columns) <= self.fake_radii[columns]
        self.recalled[rows[inside]] = True


def _around(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The values rounded down and up."""
    held = values.to(dtype)
    infinity = torch.full_like(held, float("inf"))
    return held.nextafter(-infinity), held.nextafter(infinity)


def _besides(may: Tensor, sure: Tensor) -> _Pairs:
    rows, columns = may.logical_xor_(sure).nonzero(as_tuple=True)
    return rows, columns
