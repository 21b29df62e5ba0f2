"""The device of this process: by name (auto, cpu, cuda, cuda:N, mps), and among several processes.

Hugging Face Accelerate joins the process group (torchrun, SLURM and single processes alike). Its
``prepare`` and accumulation are not used: gradients are averaged by messages of ours
(``training/step/averaging.py``), so a loss may reach any subset of parameters.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy
import torch

from reacgan import __version__, distributed
from reacgan.config import DEVICES, ConfigError, Device

_NAMED = re.compile(DEVICES)


def find_device(device: Device) -> torch.device:
    """The device that is meant, one that is usable here.

    Args:
        device: ``"auto"`` takes CUDA, then MPS, then the CPU; ``"cpu"``, ``"cuda"`` (the current one),
            ``"cuda:N"``, ``"mps"``, or a ``torch.device``. The CPU and MPS have no number but 0.

    Raises:
        ConfigError: another name, or a device that is not here.
    """
    name = str(device)
    if not isinstance(device, str | torch.device) or _NAMED.fullmatch(name) is None:
        raise ConfigError(
            f"device is {device!r}; allowed: auto, cpu, cuda, cuda:0 (and so on), mps, or a "
            f"torch.device of these; usable here: {', '.join(usable())}"
        )
    kind, _, number = name.partition(":")
    if kind == "auto":
        kind = "cpu"
        for better in ("mps", "cuda"):
            kind = better if _count(better) else kind
    if int(number or 0) >= _count(kind):
        raise ConfigError(
            f"device is {name}, which is not usable here; usable here: {', '.join(usable())}, or auto"
        )
    return torch.device(kind, int(number)) if kind == "cuda" and number else torch.device(kind)


def start_processes(device: Device, timeout: timedelta | None = None) -> torch.device:
    """Join the process group if there is one, and return this process's device.

    Args:
        device: as :func:`find_device` takes it.
        timeout: after which a process that waits for another one gives up, here and in every message
            to come; None for PyTorch's own.

    Raises:
        ConfigError: it is not usable, this process has another one already, or the other processes have
            not come.
    """
    from accelerate import PartialState  # noqa: PLC0415 - 0.3 s, not needed by most commands

    wanted = find_device(device)
    try:
        state = PartialState(
            cpu=wanted.type == "cpu", **({} if timeout is None else {"timeout": timeout})
        )
    except torch.distributed.DistError as error:
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise ConfigError(
            f"this process found no group of WORLD_SIZE = {os.environ.get('WORLD_SIZE')} processes at "
            f"{address} ({str(error).splitlines()[0]}); see that all are started, and that this address "
            "can be reached from each machine"
        ) from error
    ours = torch.device(state.device)
    if str(device) != "auto" and wanted.type != ours.type:
        raise ConfigError(
            f"device is {device}, but this process already computes on {ours.type}; "
            "start a new process for another device"
        )
    if wanted.index is None or wanted == ours:
        return ours
    if state.num_processes > 1:
        raise ConfigError(
            f"device is {device}, but each of the {state.num_processes} processes has a device of its "
            "own; use cuda, and choose which are seen with CUDA_VISIBLE_DEVICES"
        )
    torch.cuda.set_device(wanted)
    return wanted


def allow_tf32(*, convolutions: bool, products: bool) -> None:
    """Whether convolutions and matrix products of float32 may keep 10 bits of mantissa (CUDA).

    It holds for the process. PyTorch's own default is convolutions alone. Both switches of the older
    interface, which PyTorch's own contexts use too: the two interfaces must not be mixed.
    """
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = products


@contextmanager
def without_tf32() -> Iterator[None]:
    """Within the block, float32 is float32."""
    before = {
        "convolutions": torch.backends.cudnn.allow_tf32,
        "products": torch.backends.cuda.matmul.allow_tf32,
    }
    allow_tf32(convolutions=False, products=False)
    try:
        yield
    finally:
        allow_tf32(**before)


Recorded = TypeVar("Recorded")


class CudaGraph:
    """Operations of CUDA, recorded once and replayed.

    Args:
        pool: of memory, shared by recordings that are replayed one after another, each result being used
            before the next replay; None for memory of its own.
    """

    def __init__(self, pool: Any = None) -> None:
        self._graph: Any = torch.cuda.CUDAGraph()
        self._pool = pool

    def warm_up(self, work: Callable[[], Recorded]) -> Recorded:
        """Run on a stream beside the main one, as recording does: whatever begins with the first use."""
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):
            outputs = work()
        torch.cuda.synchronize()
        return outputs

    def capture(self, work: Callable[[], Recorded]) -> Recorded:
        """Record; nothing is computed. Gives what each replay fills."""
        # The outer context brings the stream back where a recording fails. Other threads go on.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"),
        ):
            return work()

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()


def describe_software(device: torch.device) -> dict[str, Any]:
    """Versions, kind of device and number of processes, for protocols of scores."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "reacgan": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "device": named,
        "processes": distributed.world_size(),
    }


def describe_machine() -> dict[str, Any]:
    """Versions and the machine: GPU or else processor, its instruction set and threads."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    software = describe_software(device)
    if device.type == "cpu":
        software["device"] = platform.processor() or platform.machine()
    return {
        **software,
        "platform": platform.platform(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cpu_threads": torch.get_num_threads(),
        "executable": Path(sys.executable).name,
    }


def usable() -> list[str]:
    """Names of the devices of this machine."""
    return [
        "cpu",
        *(f"cuda:{number}" for number in range(_count("cuda"))),
        *(["mps"] if _count("mps") else []),
    ]


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(kind == "cpu" or torch.backends.mps.is_available())
