"""Where a run computes: device, processes, precision. The only file that names the engine.

Processes are found and started up by Hugging Face Accelerate (torchrun, SLURM and single processes
alike). Its ``prepare`` and accumulation are not used: gradients are averaged by one message of ours
(:func:`reacgan.distributed.average_gradients`), so a loss may reach any subset of parameters.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.config import ConfigError, Device, Precision


class Engine:
    """Device, process group and precision of this process.

    Args:
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        precision: of the convolutions; ``bfloat16`` is autocast around the networks only.

    Raises:
        ConfigError: the device is not there, or cannot compute in this precision.
    """

    def __init__(self, device: Device = "auto", precision: Precision = "float32") -> None:
        self.device = start_processes(device)
        self.precision = precision
        self.rank = distributed.rank()
        self.world = distributed.world_size()
        if precision == "float64" and self.device.type == "mps":
            raise ConfigError("training.precision is float64, which MPS lacks; use float32 or cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and images."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def place(self, module: nn.Module) -> nn.Module:
        """Move a network here, channels last."""
        module.to(device=self.device, dtype=self.dtype)
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def autocast(self) -> AbstractContextManager[None]:
        """The context that the networks run in."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def scale(self, images: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> [-1, 1] in the run's type, channels last."""
        return (
            images.to(self.dtype)
            .mul_(2 / 255)
            .sub_(1)
            .contiguous(memory_format=torch.channels_last)
        )

    def describe(self) -> dict[str, Any]:
        """What results depend on beside versions and machine."""
        return {"computes_on": self.device.type, "precision": self.precision, "world": self.world}

    def memory_bytes(self) -> int:
        """Peak memory: of the device where it is counted, else of this process."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        import resource  # noqa: PLC0415 - not on Windows
        import sys  # noqa: PLC0415

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)


def start_processes(device: Device) -> torch.device:
    """Join the process group if there is one, and return this process's device."""
    from accelerate import PartialState  # noqa: PLC0415 - 0.3 s, and only training needs it

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but no CUDA device is usable here; use auto or cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device is mps, but MPS is not usable here; use auto or cpu")
    state = PartialState(cpu=device == "cpu")
    found = torch.device(state.device)
    if device not in ("auto", found.type):
        raise ConfigError(
            f"device is {device}, but this process already computes on {found.type}; "
            "start a new process for another device"
        )
    return found
