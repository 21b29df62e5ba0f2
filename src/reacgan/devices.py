"""The device that a person names: auto, cpu, cuda, cuda:N, mps, or one of torch."""

from __future__ import annotations

import re

import torch

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
