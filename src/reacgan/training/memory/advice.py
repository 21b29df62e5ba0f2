"""What there is of memory, which settings would fit, and what is said where it runs out."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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

# Allocators keep more than they hand out, and libraries need room of their own.
_HEADROOM = 1.1


def held_bytes(state: TrainState) -> int:
    """What of an estimate a state holds already."""
    return sum(bytes_of(part.values()) for part in state.tensors().values())


def available_bytes(device: torch.device) -> int | None:
    """What this process can still take on the device; None where that is not known."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    found = []
    with suppress(OSError, ValueError):  # Linux
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    group = Path("/sys/fs/cgroup")  # of a container
    with suppress(OSError, ValueError):
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        told = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = [int(line.split()[1]) for line in told if line.startswith("inactive_file ")]
        found.append(limit - used + sum(cached))  # the system takes files out of memory first
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        if limit != resource.RLIM_INFINITY:
            found.append(limit - pages * resource.getpagesize())
    return max(min(found), 0) if found else None


def describe_memory(
    experiment: Experiment, state: TrainState, data: ImageData, engine: Engine
) -> Iterator[str]:
    """Lines on what is needed and what there is, before the first step; none where it is unknown."""
    if not distributed.is_main():
        return
    needed = estimate(experiment, state, engine, image_bytes=data.images.nbytes)
    if needed is None:
        return
    free = available_bytes(engine.device)
    if free is None:
        yield f"memory: {needed}"
        return
    yield f"memory: {needed}; {gib(free)} GiB free"
    room = free + held_bytes(state)
    if needed.total > room:
        fitting = settings_that_fit(experiment, state, engine, room, data.images.nbytes)
        yield f"note: that is more than there is; {_advice(fitting)}"


def settings_that_fit(
    experiment: Experiment, state: TrainState, engine: Engine, room: int, image_bytes: int
) -> list[str]:
    """Changes of ``training`` after each of which a step needs less than ``room`` bytes, in words.

    Recomputation; the smallest number of parts; both; where none of them is enough, a smaller batch.
    """
    training = experiment.training
    local = training.batch // engine.world

    def fits(**changes: Any) -> str | None:
        changed = {f"training.{name}": value for name, value in changes.items()}
        found = estimate(experiment.replace(**changed), state, engine, image_bytes=image_bytes)
        if found is None or _HEADROOM * found.total > room:
            return None
        words = " ".join(f"{key}={str(value).lower()}" for key, value in changed.items())
        return f"{words} ({gib(found.total)} GiB)"

    def fewest(below: int, **others: Any) -> tuple[int, str | None]:
        """The fewest parts that fit, fewer than ``below``, if there are."""
        parts = [n for n in range(training.accumulate + 1, below) if local % n == 0]
        if not parts or fits(accumulate=parts[-1], **others) is None:
            return below, None
        tried = ((n, fits(accumulate=n, **others)) for n in parts)
        return next(((n, words) for n, words in tried if words is not None), (below, None))

    found = [] if training.recompute else [fits(recompute=True)]
    if experiment.loss.latent_optimisation is None:
        parts, words = fewest(local + 1)
        found.append(words)
        if not training.recompute and not found[0]:
            found.append(fewest(parts, recompute=True)[1])
    if not any(found):
        sizes = [training.batch >> shift for shift in range(1, training.batch.bit_length())]
        shares = engine.world * training.accumulate
        sizes = [size for size in sizes if size % shares == 0]
        if sizes and fits(batch=sizes[-1], recompute=True) is not None:
            found = [next(filter(None, (fits(batch=size, recompute=True) for size in sizes)))]
    return [one for one in found if one is not None]


class NotEnoughMemoryError(ConfigError):
    """A step needs more memory than there is; says how much, and what would fit."""


@contextmanager
def memory_explained(
    experiment: Experiment, state: TrainState, data: ImageData, engine: Engine
) -> Iterator[None]:
    """Within the block, a failed allocation becomes a :class:`NotEnoughMemoryError`."""
    size = data.images.nbytes
    resident = engine.speed.resident and size <= resident_limit(engine.device)
    free = available_bytes(engine.device)
    room = None if free is None else free + held_bytes(state) + (size if resident else 0)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # what the step held
        told = _what_happened(str(error), experiment, state, engine, room, size)
        raise NotEnoughMemoryError(told) from error


def _what_happened(
    error: str,
    experiment: Experiment,
    state: TrainState,
    engine: Engine,
    room: int | None,
    image_bytes: int,
) -> str:
    training = experiment.training
    asked = re.search(r"tried to allocate ([\d.]+ \w+)", error, re.IGNORECASE)
    amount = "" if asked is None else asked[1]
    if amount.endswith(" bytes"):
        amount = f"{gib(int(amount.split()[0]))} GiB"
    needed = estimate(experiment, state, engine, image_bytes=image_bytes)
    fitting: list[str] = []
    if needed is not None:  # which was too much, whatever there seemed to be
        room = needed.total if room is None else min(room, needed.total)
        fitting = settings_that_fit(experiment, state, engine, room, image_bytes)
    return (
        f"no memory is left on {engine.device.type}: {amount or 'more'} "
        f"{'was' if amount else 'than there is was'} asked for with training.batch={training.batch} "
        f"training.accumulate={training.accumulate} "
        f"training.recompute={str(training.recompute).lower()}. What was saved before is whole. "
        f"For less memory, {_advice(fitting)}."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: on a device, in PyTorch's allocator for the CPU, or in Python."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("DefaultCPUAllocator", "out of memory", "bad_alloc", "Cannot allocate memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _advice(fitting: Sequence[str]) -> str:
    if not fitting:
        return (
            "no number of parts and no smaller batch is known to fit: take a smaller model or fewer "
            "pixels"
        )
    return (
        f"this would fit: --set {', or --set '.join(fitting)}. training.recompute may change within a "
        "run; training.accumulate and training.batch change results, so they need another --out"
    )
