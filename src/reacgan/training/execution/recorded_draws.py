"""Random draws of a step that is recorded once and replayed: the same memory, new values each time.

The first pass of a step notes what is asked for (stream, distribution, shape, options) and gives out
true draws in buffers of their own. Before each replay every request is drawn anew by the true
:class:`reacgan.randomness.Draws` of that moment, in the same order and so with the same bits, into the
same buffer. Works on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from reacgan.randomness import Draws

Source = Callable[[str], Draws]
"""A stream's name to its draws of one moment."""


@dataclass(frozen=True)
class _Request:
    kind: str
    shape: tuple[int, ...]
    options: tuple[tuple[str, Any], ...]

    def drawn(self, draws: Draws) -> Tensor:
        values: Tensor = getattr(draws, self.kind)(*self.shape, **dict(self.options))
        return values


@dataclass
class _Opening:
    """One time that a step asked for a stream, and what it drew from it."""

    stream: str
    requests: list[_Request] = field(default_factory=list)
    buffers: list[Tensor] = field(default_factory=list)


class RecordedDraws(Draws):
    """What a step draws from in place of :class:`Draws`; it has no generator of its own.

    Args:
        opening: what was, or is to be, drawn.
        true: the draws of the first pass; None gives out the buffers that the first pass filled.
    """

    def __init__(self, opening: _Opening, true: Draws | None) -> None:
        self._opening = opening
        self._true = true
        self._next = 0

    def normal(self, count: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """As :meth:`Draws.normal`."""
        return self._drawn("normal", (count, *shape), dtype=dtype)

    def uniform(self, count: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """As :meth:`Draws.uniform`."""
        return self._drawn("uniform", (count, *shape), low=low, high=high)

    def integers(self, count: int, *shape: int, low: int = 0, high: int) -> Tensor:
        """As :meth:`Draws.integers`."""
        return self._drawn("integers", (count, *shape), low=low, high=high)

    def _drawn(self, kind: str, shape: tuple[int, ...], **options: Any) -> Tensor:
        request, opening = _Request(kind, shape, tuple(options.items())), self._opening
        if self._true is not None:
            opening.requests.append(request)
            opening.buffers.append(request.drawn(self._true).clone())
        elif self._next >= len(opening.requests) or opening.requests[self._next] != request:
            raise RuntimeError(
                f"the step draws {kind} {list(shape)} from {opening.stream!r}, which it did not when "
                "it was recorded"
            )
        self._next += 1
        return opening.buffers[self._next - 1]


class Recording:
    """All draws of one step.

    Args:
        source: the true draws of the moment of the first pass.
    """

    def __init__(self, source: Source) -> None:
        self._source: Source | None = source
        self._openings: list[_Opening] = []
        self._next = 0

    def draws(self, stream: str) -> Draws:
        """What a step asks in place of the trainer.

        Raises:
            RuntimeError: a pass after the first asks for other streams than the first did.
        """
        if self._source is not None:
            opening = _Opening(stream)
            self._openings.append(opening)
            return RecordedDraws(opening, self._source(stream))
        if self._next >= len(self._openings) or self._openings[self._next].stream != stream:
            raise RuntimeError(
                f"the step opens the stream {stream!r}, which it did not when it was recorded"
            )
        self._next += 1
        return RecordedDraws(self._openings[self._next - 1], None)

    def rewind(self) -> None:
        """The next pass begins; it gets the buffers of the first one."""
        self._source = None
        self._next = 0

    def refill(self, source: Source) -> None:
        """Draw everything anew at another moment, into the same buffers."""
        for opening in self._openings:
            if opening.requests:
                draws = source(opening.stream)
                for request, buffer in zip(opening.requests, opening.buffers, strict=True):
                    buffer.copy_(request.drawn(draws))
