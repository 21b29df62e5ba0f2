"""Faster ways of a step, each tried on the run's own first steps against the plain step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import nn

from reacgan.devices import without_tf32
from reacgan.models import plain_operations, set_switches
from reacgan.training.execution.verify import (
    TOLERANCE,
    WIDE_TOLERANCE,
    Way,
    both_ways,
    first_line,
)
from reacgan.training.step.work import Result, Work

PROOFS = 2
# What kernels may differ by in any case. In bfloat16 they round elsewhere: what counts is seen in float32.
_KERNELS = {"float64": TOLERANCE["float64"], "float32": WIDE_TOLERANCE, "bfloat16": 5e-2}


class Tried:
    """Runs steps in a faster way, once it was seen to be right.

    The first steps of each kind are made in the plain way too, from the same state. Where the two differ,
    or where anything fails, the plain way counts, and the faster one is disabled with a reason.

    Args:
        name: for messages.
        modules: whose buffers move in a step.
        fast: the way that is tried.
        plain: the way that is trusted.
        tolerance: largest difference, as a share of the size.
        widely: the fast way in the precision of the reference, which it must agree with.
        reference: the step in the highest precision at hand. The fast way may then be farther
            from it than the plain way is (``REFERENCE_FACTOR``), if that is more than ``tolerance``.
        proofs: how many steps of each kind are made in both ways; the second one has other weights.
        on_disabled: called when the fast way is disabled.
    """

    def __init__(
        self,
        name: str,
        modules: Sequence[nn.Module],
        *,
        fast: Way,
        plain: Way,
        tolerance: float,
        reference: Way | None = None,
        widely: Way | None = None,
        proofs: int = PROOFS,
        on_disabled: Callable[[], None] = lambda: None,
    ) -> None:
        self.off: str | None = None
        """Why it was disabled."""
        self.news: list[str] = []
        """Messages that have not been read yet."""
        self._name = name
        self._modules = modules
        self._fast, self._plain = fast, plain
        self._reference, self._widely = reference, widely
        self._tolerance = tolerance
        self._proofs = proofs
        self._on_disabled = on_disabled
        self._proven: Counter[Hashable] = Counter()

    def run(self, work: Work) -> Result:
        """As :meth:`Work.run`."""
        if self.off is not None:
            return self._plain(work)
        kind = work.kind()
        if self._proven[kind] >= self._proofs:
            return self._fast(work)
        try:
            result, wrong = both_ways(
                work,
                self._modules,
                self._plain,
                self._fast,
                self._tolerance,
                reference=self._reference,
                widely=self._widely,
            )
        except Exception as error:
            self._disable(f"{type(error).__name__}: {first_line(error)}")
            return self._plain(work)
        if wrong is not None:
            self._disable(wrong)
        self._proven[kind] += 1
        return result

    def _disable(self, reason: str) -> None:
        self.off = reason
        self._on_disabled()
        self.news.append(f"{self._name} disabled: {reason}")


def kernels(networks: Sequence[nn.Module], modules: Sequence[nn.Module], precision: str) -> Tried:
    """Networks by kernels of our own (:mod:`reacgan.kernels`), which their switch has turned on.

    They round in other places than the library's operations do, by as much as a step in the run's precision
    is off from one in float32. So both are measured from a step in float32 without TF32, and there kernels
    must agree with the plain operations.

    Args:
        networks: generator, discriminator, and the averaged generator, which has the switch too.
        modules: whose buffers move in a step.
        precision: of the run.
    """

    def plain(work: Work) -> Result:
        with _without_kernels(networks):
            return work.run()

    def reference(work: Work) -> Result:
        with _without_kernels(networks), without_tf32():
            return replace(work, autocast=nullcontext).run()

    def widely(work: Work) -> Result:
        with without_tf32():
            return replace(work, autocast=nullcontext).run()

    def off() -> None:
        for network in networks:
            set_switches(network, kernels=False)

    return Tried(
        "kernels",
        modules,
        on_disabled=off,
        fast=Work.run,
        plain=plain,
        tolerance=_KERNELS[precision],
        reference=None if precision == "float64" else reference,
        widely=None if precision == "float64" else widely,
    )


@contextmanager
def _without_kernels(networks: Sequence[nn.Module]) -> Iterator[None]:
    with ExitStack() as stack:
        for network in networks:
            stack.enter_context(plain_operations(network, ["kernels"]))
        yield


def compiled(networks: Sequence[nn.Module], modules: Sequence[nn.Module], precision: str) -> Tried:
    """Networks by ``torch.compile``; names in their state stay as they are.

    Each network is compiled when a step first meets it, which may take minutes.

    Args:
        networks: whose ``forward`` is compiled.
        modules: whose buffers move in a step.
        precision: of the run.
    """
    for network in networks:
        network.compile(dynamic=False)
    return Tried(
        "torch.compile",
        modules,
        fast=Work.run,
        plain=_uncompiled,
        # Compiled sums are in another order.
        tolerance=10 * TOLERANCE[precision],
        proofs=1,
    )


def _uncompiled(work: Work) -> Result:
    with torch.compiler.set_stance("force_eager"):
        return work.run()
