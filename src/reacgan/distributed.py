"""What several processes need of each other, and nothing else; alone, each call is the identity.

The convention of this package: every process holds a slice of the global batch, each computes its
loss, and parameter gradients are *averaged* over processes after the backward pass. A loss that
couples samples (2C, D2D-CE, batch statistics) therefore goes through :func:`gather` or
:func:`sum_over_processes`, whose backward passes *sum* over processes; the average then equals the
gradient of one process on the whole batch. (Keeping only the local slice of the gathered gradient,
as is common, scales the coupled loss by 1/processes.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

Operation = Literal["all_reduce", "all_gather", "all_to_all", "gather"]
_apart = False
_abandoned: Any = None
"""The group that this process takes no part in any more."""
_listeners: list[Callable[[Message], None]] = []
_beside: dict[Any, Any] = {}


@dataclass(frozen=True)
class Message:
    """One operation that all processes take part in."""

    part: str
    """What it is for: gradients, embeddings, batch norm, questions, ..."""
    operation: Operation
    size: int
    """Bytes of its result on one process."""

    def sent(self, world: int) -> float:
        """Bytes that each of ``world`` processes sends, where they form a ring (gather: to the main one).

        Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", 2009: no way sends fewer.
        """
        times = {"all_reduce": 2.0, "gather": 1.0 / max(world - 1, 1)}.get(self.operation, 1.0)
        return times * self.size * (world - 1) / world


@contextmanager
def listening(listener: Callable[[Message], None]) -> Iterator[None]:
    """Within the block ``listener`` is called with each message, before it is sent.

    A message of a backward pass comes from a thread of PyTorch's, where it does so itself.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _say(part: str, operation: Operation, size: int) -> None:
    for listener in _listeners:
        listener(Message(part, operation, size))


meet: Callable[[], None] | None = None
"""Waits for all processes before a message for which one of them may be long; None: messages wait."""
on_leaving: Callable[[], None] | None = None
"""Called before the group is left."""


def world_size() -> int:
    """Number of processes; 1 when alone."""
    if _apart or not (dist.is_available() and dist.is_initialized()):
        return 1
    return 1 if dist.group.WORLD is _abandoned else dist.get_world_size()


@contextmanager
def apart() -> Iterator[None]:
    """Within the block this process is alone: nothing is sent, nothing waited for."""
    global _apart  # noqa: PLW0603 - one process is in one group
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before


def rank() -> int:
    """Index of this process; 0 when alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes files and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if world_size() > 1:
        _await_all()
        dist.barrier()


def _await_all() -> None:
    # The main process may be at work for hours (it packs images, it trains a classifier): a message
    # would be given up after the time-out of the group.
    if meet is not None:
        meet()


def store(name: str) -> Any:
    """The group's store under a name of its own, by a connection that one thread may wait in.

    Its keys are those of this start of the job: a launcher that starts it again gives another one.
    """
    from torch.distributed.distributed_c10d import (  # noqa: PLC0415
        PrefixStore,
        _get_default_store,
    )

    connection: Any = _get_default_store()
    return PrefixStore(f"reacgan/{name}", connection.clone())


def abandon() -> None:
    """Take no further part in this group: the process ends, the launcher or the time-out ends the others.

    A group that is made later in the same process is another one.
    """
    global _abandoned  # noqa: PLW0603 - as above
    if dist.is_available() and dist.is_initialized():
        _abandoned = dist.group.WORLD


def leave() -> None:
    """Leave the process group together, so that no process ends while another still sends."""
    if on_leaving is not None:
        on_leaving()
    if world_size() > 1:
        dist.barrier()
        dist.destroy_process_group()


def all_reduce(
    tensor: Tensor,
    part: str,
    *,
    op: Any = dist.ReduceOp.SUM,
    group: Any = None,
    wait: bool = True,
) -> Any:
    """Replace a tensor by its sum over processes, in place, without gradient.

    Args:
        tensor: contiguous, of one shape and type on all processes.
        part: what it is for; see :class:`Message`.
        op: in place of the sum.
        group: in place of the group of all processes; see :func:`group_beside`.
        wait: else a handle is given back whose ``wait()`` ends when the result is there.
    """
    _say(part, "all_reduce", tensor.nbytes)
    return dist.all_reduce(tensor, op=op, group=group, async_op=not wait)


def exchange(tensor: Tensor, part: str, *, group: Any = None) -> tuple[Any, Tensor]:
    """Give each process its part of ``[processes x n]``, without gradient and without waiting.

    Args:
        tensor: contiguous, of one shape and type on all processes.
        part: what it is for; see :class:`Message`.
        group: as of :func:`all_reduce`.

    Returns:
        A handle, and what holds the parts of all processes ``[processes x n]`` after its ``wait()``.
    """
    parts = torch.empty_like(tensor)
    _say(part, "all_to_all", parts.nbytes)
    return dist.all_to_all_single(parts, tensor, group=group, async_op=True), parts


def collect(tensor: Tensor, part: str, *, group: Any = None) -> tuple[Any, Tensor]:
    """Concatenate ``[n]`` of all processes, without gradient and without waiting; as :func:`exchange`."""
    slots = tensor.new_empty((world_size(), *tensor.shape))
    _say(part, "all_gather", slots.nbytes)
    work = dist.all_gather(list(slots.unbind()), tensor.contiguous(), group=group, async_op=True)
    return work, slots.flatten(0, 1)


def group_beside() -> Any:
    """A second group of all processes, whose messages may cross those of the first in any order.

    It has the time-out of the first. All processes ask for it together the first time.
    """
    first = dist.group.WORLD
    if first not in _beside:
        _beside.clear()  # of a group that was left
        _beside[first] = dist.new_group(timeout=_timeout_of(first))
    return _beside[first]


def _timeout_of(group: Any) -> Any:
    # There is no public name for it, and a new group would have the default of its backend.
    kind = "cuda" if dist.get_backend(group) == "nccl" else "cpu"
    options = getattr(group._get_backend(torch.device(kind)), "options", None)
    return getattr(options, "_timeout", None)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, part: str) -> Tensor:
        ctx.part = part
        total = tensor.clone(memory_format=torch.contiguous_format)
        all_reduce(total, part)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Through apply, so that a penalty can differentiate this backward pass once more.
        return _SumOverProcesses.apply(gradients[0], ctx.part), None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, part: str) -> Tensor:
        ctx.part = part
        return _gathered(tensor, part)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Not as reduce_scatter, which gloo makes of an all_reduce for each process.
        total = _SumOverProcesses.apply(gradients[0], ctx.part)
        return total.chunk(world_size())[rank()], None


def _gathered(tensor: Tensor, part: str) -> Tensor:
    work, gathered = collect(tensor, part)
    work.wait()
    return gathered


def sum_over_processes(tensor: Tensor, part: str = "terms") -> Tensor:
    """Element-wise sum over processes, differentiable; every process gets the same result.

    Args:
        tensor: of one shape and type on all processes.
        part: what it is for; see :class:`Message`. The backward pass has the same.
    """
    return tensor if world_size() == 1 else _SumOverProcesses.apply(tensor, part)


def gather(tensor: Tensor, part: str = "terms") -> Tensor:
    """Concatenate ``[N, ...]`` of each process along the first axis, in rank order, differentiable.

    Every process must hold the same N. The backward pass sums over processes.

    Args:
        tensor: of one shape and type on all processes, ``[N, ...]``.
        part: what it is for; see :class:`Message`. The backward pass has the same.
    """
    if world_size() == 1:
        return tensor
    return _Gather.apply(tensor, part) if tensor.requires_grad else _gathered(tensor, part)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Average ``.grad`` over processes in one message, in place; a missing gradient counts as zero.

    One flat message instead of a wrapper around the module: a backward pass that reaches only some
    parameters (a gradient penalty) is averaged too.
    """
    if world_size() == 1:
        return
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    if learned:
        flat = flat_gradients(learned)
        all_reduce(flat, "gradients")
        put_gradients(learned, flat / world_size())


def flat_gradients(parameters: Sequence[torch.nn.Parameter]) -> Tensor:
    """All ``.grad`` in one vector; a missing one becomes zero."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def put_gradients(parameters: Sequence[torch.nn.Parameter], flat: Tensor) -> None:
    """The inverse of :func:`flat_gradients`, in place, from any floating type."""
    parts = flat.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        if parameter.grad is not None:
            parameter.grad.copy_(part.view_as(parameter.grad))


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any process, so that all of them act on it in the same step."""
    return bool(largest([float(flag)], device)[0])


def largest(values: list[float], device: torch.device) -> list[float]:
    """Each number's largest value of all processes, on every process, in one message."""
    if world_size() == 1:
        return values
    seen = torch.tensor(values, device=device)
    all_reduce(seen, "questions", op=dist.ReduceOp.MAX)
    return seen.tolist()


def gather_chunks(chunks: list[Tensor], device: torch.device) -> list[Tensor]:
    """The chunks of all processes in turn: the first of each, then the second of each, ...

    Chunks ``[n, ...]`` have one type and shape but for n; a process may have fewer chunks than
    others, or none. The main process gets them on the CPU, others an empty list. No gradient.
    """
    if world_size() == 1:
        return chunks
    mine = [list(chunk.shape) for chunk in chunks]
    headers = [
        json.loads(text) for text in share_texts(json.dumps([mine, _type_of(chunks)]), device)
    ]
    kinds = [kind for _, kind in headers if kind]
    if not kinds:
        return []
    shapes = [shapes for shapes, _ in headers]
    tail = next(shape[1:] for of_process in shapes for shape in of_process)
    rows = [sum(shape[0] for shape in of_process) for of_process in shapes]
    dtype = getattr(torch, kinds[0])
    joined = (
        torch.cat(chunks).to(device)
        if chunks
        else torch.empty(0, *tail, dtype=dtype, device=device)
    )
    filled = torch.zeros(max(rows), *tail, dtype=dtype, device=device)
    filled[: len(joined)] = joined
    slots = [torch.empty_like(filled) for _ in rows] if is_main() else None
    _say("scores", "gather", filled.nbytes * world_size())
    dist.gather(filled, slots)
    if slots is None:
        return []
    parts = [
        list(slot[:count].cpu().split([shape[0] for shape in of_process]))
        for slot, count, of_process in zip(slots, rows, shapes, strict=True)
    ]
    return [part for turn in zip_longest(*parts) for part in turn if part is not None]


def share_text(text: str | None, device: torch.device) -> str:
    """The main process's text, on every process."""
    if world_size() == 1:
        return text or ""
    return share_texts(text or "" if is_main() else "", device)[0]


def share_texts(text: str, device: torch.device) -> list[str]:
    """The text of each process, in rank order, on every process."""
    if world_size() == 1:
        return [text]
    _await_all()
    encoded = torch.tensor(list(text.encode()), dtype=torch.uint8, device=device)
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    _say("texts", "all_gather", 8 * world_size())
    dist.all_gather(sizes, torch.tensor([len(encoded)], device=device))
    longest = max(int(size) for size in sizes)
    filled = torch.zeros(max(longest, 1), dtype=torch.uint8, device=device)
    filled[: len(encoded)] = encoded
    slots = [torch.empty_like(filled) for _ in sizes]
    _say("texts", "all_gather", filled.nbytes * world_size())
    dist.all_gather(slots, filled)
    return [
        bytes(slot[: int(size)].cpu().tolist()).decode()
        for slot, size in zip(slots, sizes, strict=True)
    ]


def _type_of(chunks: list[Tensor]) -> str:
    return str(chunks[0].dtype).removeprefix("torch.") if chunks else ""
