"""Where a run computes: device, processes, precision."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.config import ConfigError, Device, Experiment, Precision, SpeedConfig
from reacgan.devices import allow_tf32, start_processes
from reacgan.models import arrange, set_switches
from reacgan.training.elastic import leave_out_spare
from reacgan.training.speed import choose, choose_precision

# <malloc.h> of glibc
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = -1  # as the largest size_t


class Engine:
    """Device, process group and precision of this process.

    Args:
        device: as :func:`reacgan.devices.find_device` takes it.
        precision: of the convolutions; ``bfloat16`` is autocast around the networks only; ``auto`` is
            decided here.
        speed: how steps are computed; None takes what pays here.
        experiment: what is trained; what it cannot have is left out of ``speed``, and processes wait for
            one another as long as it says.

    Raises:
        ConfigError: the device is not there, or cannot compute in this precision.
    """

    def __init__(
        self,
        device: Device = "auto",
        precision: Precision = "float32",
        speed: SpeedConfig | None = None,
        *,
        experiment: Experiment | None = None,
    ) -> None:
        self.device = start_processes(device, _patience(experiment))
        self.rank = distributed.rank()
        self.world = distributed.world_size()
        self.speed = choose(
            speed or SpeedConfig(), self.device, experiment=experiment, world=self.world
        )
        if self.speed.keep_memory:
            keep_freed_memory()
        allow_tf32(convolutions=self.speed.tf32, products=self.speed.tf32_products)
        self.precision = choose_precision(precision, self.device)
        self.chosen = precision == "auto"
        if precision == "float64" and self.device.type == "mps":
            raise ConfigError("training.precision is float64, which MPS lacks; use float32 or cpu")

    @classmethod
    def of(cls, experiment: Experiment, device: Device = "auto") -> Engine:
        """The engine that an experiment asks for; the experiment must be complete."""
        training = experiment.training
        leave_out_spare(experiment)
        return cls(device, training.precision, experiment.speed, experiment=experiment)

    @property
    def memory_format(self) -> torch.memory_format:
        """Order of images, features and weights in memory."""
        return torch.channels_last if self.speed.channels_last else torch.contiguous_format

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and images."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def prepare(self, module: nn.Module) -> nn.Module:
        """Move a network here, set the speed's switches, and take its order of memory."""
        module.to(device=self.device, dtype=self.dtype)
        set_switches(
            module,
            merged_convolutions=self.speed.merged_convolutions,
            merged_passes=self.speed.merged_passes,
            fused_layers=self.speed.fused_layers,
            kernels=self.speed.kernels,
            channels_last=self.speed.channels_last,
        )
        module.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        if self.speed.channels_last:
            arrange(module)
        return module

    def autocast(self) -> AbstractContextManager[None]:
        """The context that the networks run in."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def scale(self, images: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> [-1, 1] in the run's type and order of memory."""
        scaled = images.to(self.dtype).mul_(2 / 255).sub_(1)
        return scaled.contiguous(memory_format=self.memory_format)

    def describe(self) -> dict[str, Any]:
        """What results depend on beside versions and machine."""
        return {
            "computes_on": self.device.type,
            "precision": self.precision,
            "float32_convolutions": "tf32" if self.speed.tf32 else "float32",
            "float32_products": "tf32" if self.speed.tf32_products else "float32",
            "world": self.world,
            "speed": self.speed.describe(),
        }

    def precision_line(self) -> str:
        """One line for a person: the precision, and how to ask for another."""
        why = " (auto; " if self.chosen else " ("
        if self.precision == "bfloat16":
            other = "training.precision=float32 for float32)"
            return f"precision: bfloat16 in the networks, float32 in losses and Adam{why}{other}"
        if self.speed.tf32:
            tf32 = "convolutions in TF32, PyTorch's default"
            return f"precision: {self.precision}, {tf32}{why}speed.tf32=false for full float32)"
        return f"precision: {self.precision}" + (" (auto)" if self.chosen else "")

    def memory_bytes(self) -> int:
        """Peak memory: of the device where it is counted, else of this process."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return peak_of_process()


def _patience(experiment: Experiment | None) -> timedelta | None:
    """The time-out of the process group: somewhat later than the watchdog, which can say more."""
    if experiment is None:
        return None
    minutes = experiment.training.timeout
    return timedelta(days=365) if minutes is None else timedelta(minutes=minutes + 1)


def peak_of_process() -> int:
    """Most bytes that this process has held in memory.

    On Linux its own high-water mark: what getrusage says was taken over from the parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # noqa: PLC0415 - not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for as long as it lives; where the C library is glibc.

    PyTorch takes large tensors on a CPU from the system and gives them back when they are freed. A step
    frees and takes the same gigabyte again and again, and the system clears each page anew: a third of
    a step at small widths. Peak memory hardly changes.

    Returns:
        Whether it was possible.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library, another system
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
