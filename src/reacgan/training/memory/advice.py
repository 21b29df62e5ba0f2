"""How much memory is free, and which settings fit: before training, and when memory runs out."""

from __future__ import annotations

import math
import re
import traceback
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from reacgan import distributed
from reacgan.config import ConfigError, Experiment
from reacgan.data import ImageData
from reacgan.data.loader import resident_limit
from reacgan.training.engine import Engine
from reacgan.training.memory.estimate import bytes_of, estimate, gib
from reacgan.training.state import TrainState

# Allocators keep more than they hand out, and libraries need memory of their own.
_HEADROOM = 1.1


def available_bytes(device: torch.device) -> int | None:
    """What this process can still allocate on the device; None where that is not known."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    limits = []
    with suppress(OSError, ValueError):  # Linux
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(line.split()[1]) * 1024)
    group = Path("/sys/fs/cgroup")  # of a container
    with suppress(OSError, ValueError):
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = [int(line.split()[1]) for line in lines if line.startswith("inactive_file ")]
        limits.append(limit - used + sum(cached))  # the system drops cached files first
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        if limit != resource.RLIM_INFINITY:
            limits.append(limit - pages * resource.getpagesize())
    return max(min(limits), 0) if limits else None


def _bytes_of_state(state: TrainState) -> int:
    """What a state has allocated already of what training needs."""
    return sum(bytes_of(tensors.values()) for tensors in state.tensors().values())


def describe_memory(
    experiment: Experiment, state: TrainState, data: ImageData, engine: Engine
) -> Iterator[str]:
    """Lines on what is needed and what is free, before the first step; none where it is unknown."""
    if not distributed.is_main():
        return
    image_bytes = data.memory_bytes
    needed = estimate(experiment, data.num_classes, engine, image_bytes=image_bytes)
    if needed is None:
        return
    free = available_bytes(engine.device)
    if free is None:
        yield f"memory: {needed}"
        return
    yield f"memory: {needed}; {gib(free)} GiB free"
    available = free + _bytes_of_state(state)
    if needed.total > available:
        fitting = settings_that_fit(experiment, data.num_classes, engine, available, image_bytes)
        yield f"note: more memory is needed than is free; {_advice(fitting)}"


def settings_that_fit(
    experiment: Experiment, num_classes: int, engine: Engine, available: int, image_bytes: int = 0
) -> list[str]:
    """Changes, as ``--set`` takes them, after each of which training needs less than ``available``.

    Recomputation; the smallest number of parts; both; where none of them is enough, a smaller batch.
    """
    training = experiment.training
    local = training.batch // engine.world

    @cache
    def needs(**changes: Any) -> float:
        changed = experiment.replace(**{f"training.{name}": changes[name] for name in changes})
        needed = estimate(changed, num_classes, engine, image_bytes=image_bytes)
        return math.inf if needed is None else needed.total

    def first(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The first that fits, if any; each needs less than the ones before it."""
        index = bisect_left(
            candidates, True, key=lambda changes: _HEADROOM * needs(**changes) <= available
        )
        return candidates[index : index + 1]

    recompute: dict[str, Any] = {} if training.recompute else {"recompute": True}
    fitting = recomputed = first([recompute] if recompute else [])
    if experiment.loss.latent_optimisation is None:
        counts = [n for n in range(training.accumulate + 1, local + 1) if local % n == 0]
        in_parts = first([{"accumulate": count} for count in counts])
        fitting = [*recomputed, *in_parts]
        if recompute and not recomputed:
            below = in_parts[0]["accumulate"] if in_parts else local + 1
            fitting += first([{"accumulate": n, **recompute} for n in counts if n < below])
    if not fitting:
        sizes = [training.batch >> shift for shift in range(1, training.batch.bit_length())]
        shares = engine.world * training.accumulate
        fitting = first([{"batch": n, "recompute": True} for n in sizes if n % shares == 0])
    return [
        " ".join(f"training.{name}={str(changes[name]).lower()}" for name in changes)
        + f" ({gib(needs(**changes))} GiB)"
        for changes in fitting
    ]


class NotEnoughMemoryError(ConfigError):
    """An allocation failed; says how much was asked for, and which settings fit."""


@contextmanager
def memory_explained(
    experiment: Experiment, state: TrainState, data: ImageData, engine: Engine
) -> Iterator[None]:
    """Within the block, a failed allocation becomes a :class:`NotEnoughMemoryError`."""
    image_bytes = data.memory_bytes
    resident = engine.speed.resident and image_bytes <= resident_limit(engine.device)
    free = available_bytes(engine.device)
    if free is not None:
        free += _bytes_of_state(state) + (image_bytes if resident else 0)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # which keep the tensors of the step
        needed = estimate(experiment, data.num_classes, engine, image_bytes=image_bytes)
        fitting: list[str] = []
        if needed is not None:  # it was too much, whatever seemed to be free
            available = needed.total if free is None else min(free, needed.total)
            fitting = settings_that_fit(
                experiment, data.num_classes, engine, available, image_bytes
            )
        message = _out_of_memory(str(error), experiment, engine.device)
        raise NotEnoughMemoryError(f"{message} {_advice(fitting)}.") from error


def _out_of_memory(error: str, experiment: Experiment, device: torch.device) -> str:
    training = experiment.training
    asked = re.search(r"tried to allocate ([\d.]+ \w+)", error, re.IGNORECASE)
    amount = "more than there is" if asked is None else asked[1]
    if amount.endswith(" bytes"):
        amount = f"{gib(int(amount.split()[0]))} GiB"
    return (
        f"out of memory on {device.type}: tried to allocate {amount} with "
        f"training.batch={training.batch} training.accumulate={training.accumulate} "
        f"training.recompute={str(training.recompute).lower()}; the last checkpoint is intact;"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: on a device, in PyTorch's allocator for the CPU, or in Python."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("DefaultCPUAllocator", "out of memory", "bad_alloc", "Cannot allocate memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _advice(fitting: list[str]) -> str:
    if not fitting:
        return (
            "no number of parts and no smaller batch is known to fit: take a smaller model or a lower "
            "resolution"
        )
    return (
        f"this fits: --set {', or --set '.join(fitting)}. training.recompute may change within a run; "
        "training.accumulate and training.batch change results, so they need another --out"
    )
