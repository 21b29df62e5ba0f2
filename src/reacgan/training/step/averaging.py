"""Gradients averaged over processes: in one message after the backward pass, or in buckets during it.

A bucket is sent as soon as the last of its gradients is there, while the backward pass goes on with the
layers below (Li et al. 2020, "PyTorch Distributed"). Three things differ from the wrapper of that paper:
a backward pass may reach any subset of the parameters (what is missing counts as zero, and is sent at the
end), buckets are cut once by the order of the parameters (so a resumed run adds up in the same order), and
hooks are there only within the last backward pass of a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from reacgan import distributed

BUCKET_BYTES = 4 * 2**20
"""Large enough for its time to be that of its bytes, not of its launch (docs/scaling.md)."""


class GradientAverage:
    """Averages the gradients of one network; the mathematics is that of ``distributed.average_gradients``.

    Args:
        parameters: whose ``.grad`` is averaged; the same, in one order, on every process.
        overlapped: in buckets during the backward pass, where there are two at least.
        bfloat16: messages hold 8 bits of mantissa. Sums are made in the gradients' type, so a gradient is
            rounded twice, over however many processes: all_reduce would round at each of them.
        bucket_bytes: of a bucket, in the type of the gradients; None for :data:`BUCKET_BYTES`.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        *,
        overlapped: bool = False,
        bfloat16: bool = False,
        bucket_bytes: int | None = None,
    ) -> None:
        self._learned = [parameter for parameter in parameters if parameter.requires_grad]
        self._bfloat16 = bfloat16
        several = distributed.world_size() > 1
        self.buckets = cut(self._learned, bucket_bytes or BUCKET_BYTES) if several else []
        if not overlapped and self.buckets:
            self.buckets = [self._learned]
        # Messages of the backward pass itself, such as batch norm's, may cross those of the buckets.
        self._group = distributed.group_beside() if len(self.buckets) > 1 else None
        self._sent: list[tuple[Any, Tensor]] = []
        self._missing: list[set[int]] = []
        self._bucket_of = {
            id(parameter): number
            for number, bucket in enumerate(self.buckets)
            for parameter in bucket
        }

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Within the block a backward pass sends each bucket when it is complete.

        It must be the last pass that adds to these gradients before :meth:`finish`.
        """
        if len(self.buckets) < 2:
            yield
            return
        self._sent = []
        self._missing = [{id(parameter) for parameter in bucket} for bucket in self.buckets]
        hooks = [
            parameter.register_post_accumulate_grad_hook(self._arrived)
            for parameter in self._learned
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def finish(self) -> None:
        """Send what has not been sent, and leave the averages in ``.grad``."""
        while len(self._sent) < len(self.buckets):
            self._send()
        if self._bfloat16:
            self._sent = [self._averaged(*message) for message in self._sent]
        for bucket, (work, flat) in zip(self.buckets, self._sent, strict=True):
            work.wait()
            size = sum(parameter.numel() for parameter in bucket)
            shares = flat[:size] if self._bfloat16 else flat / distributed.world_size()
            distributed.put_gradients(bucket, shares)
        self._sent, self._missing = [], []

    def _arrived(self, parameter: Tensor) -> None:
        self._missing[self._bucket_of[id(parameter)]].discard(id(parameter))
        # In their order on every process, even where one lacks a gradient that another has.
        while len(self._sent) < len(self.buckets) and not self._missing[len(self._sent)]:
            self._send()

    @torch.no_grad()
    def _send(self) -> None:
        flat = distributed.flat_gradients(self.buckets[len(self._sent)])
        if self._bfloat16:
            padded = pad(flat.bfloat16(), (0, -len(flat) % distributed.world_size()))
            self._sent.append(distributed.exchange(padded, "gradients", group=self._group))
            return
        work = distributed.all_reduce(flat, "gradients", group=self._group, wait=False)
        self._sent.append((work, flat))

    @torch.no_grad()
    def _averaged(self, work: Any, parts: Tensor) -> tuple[Any, Tensor]:
        """Average this process's part of a bucket in the gradients' type, and send it to all."""
        work.wait()
        wide = parts.view(distributed.world_size(), -1).to(self._learned[0].dtype)
        return distributed.collect(wide.mean(0).bfloat16(), "gradients", group=self._group)


def cut(parameters: Sequence[nn.Parameter], bucket_bytes: int) -> list[list[nn.Parameter]]:
    """Parameters in buckets of at least so many bytes (but for the last), the last parameters first.

    A backward pass reaches them in about this order.
    """
    buckets: list[list[nn.Parameter]] = []
    size = bucket_bytes
    for parameter in reversed(parameters):
        if size >= bucket_bytes:
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += parameter.nbytes
    return buckets
