"""What several processes need of each other, and nothing else; alone, each call is the identity.

The convention of this package: every process holds a slice of the global batch, each computes its
loss, and parameter gradients are *averaged* over processes after the backward pass. A loss that
couples samples (2C, D2D-CE, batch statistics) therefore goes through :func:`gather` or
:func:`sum_over_processes`, whose backward passes *sum* over processes; the average then equals the
gradient of one process on the whole batch. (Keeping only the local slice of the gathered gradient,
as is common, scales the coupled loss by 1/processes.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes; 1 when alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process; 0 when alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes files and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if world_size() > 1:
        dist.barrier()


def leave() -> None:
    """Leave the process group together, so that no process ends under another's feet."""
    if world_size() > 1:
        dist.barrier()
        dist.destroy_process_group()


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Through apply, so that a penalty can differentiate this backward pass once more.
        return _SumOverProcesses.apply(gradients[0])


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Element-wise sum over processes, differentiable; every process gets the same result."""
    return tensor if world_size() == 1 else _SumOverProcesses.apply(tensor)


def gather(tensor: Tensor) -> Tensor:
    """Concatenate ``[N, ...]`` of each process along the first axis, in rank order, differentiable.

    Every process must hold the same N. The backward pass sums over processes.
    """
    if world_size() == 1:
        return tensor
    if not tensor.requires_grad:
        parts = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)
    slots = tensor.new_zeros((world_size(), *tensor.shape))
    mine = torch.zeros(world_size(), dtype=tensor.dtype, device=tensor.device)
    mine[rank()] = 1
    slots = slots + mine.view(-1, *([1] * tensor.dim())) * tensor
    return sum_over_processes(slots).flatten(0, 1)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Average ``.grad`` over processes in one message, in place; a missing gradient counts as zero.

    One flat message instead of a wrapper around the module: a backward pass that reaches only some
    parameters (a gradient penalty) is averaged too, and nothing is hooked into autograd.
    """
    if world_size() == 1:
        return
    held = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in held:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in held if parameter.grad is not None]
    if not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any process, so that all of them act on it in the same step."""
    if world_size() == 1:
        return flag
    seen = torch.tensor([float(flag)], device=device)
    dist.all_reduce(seen, op=dist.ReduceOp.MAX)
    return bool(seen.item())
