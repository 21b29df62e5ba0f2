"""Which of the faster ways a run takes: what was asked for, and what is known of the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from reacgan.config import ConfigError, SpeedConfig


@dataclass(frozen=True)
class Speed:
    """What is on. Every field is a switch of :class:`reacgan.config.SpeedConfig`."""

    merged_convolutions: bool = True
    merged_passes: bool = True
    fused_layers: bool = True
    channels_last: bool = True
    fused_optimizer: bool = True
    keep_memory: bool = False
    resident: bool = True
    background: bool = True
    cuda_graphs: bool = False
    compile: bool = False
    tf32: bool = False


# Switches that only one kind of device has; they are off elsewhere and cannot be asked for there.
_NEEDS = {"cuda_graphs": "cuda", "tf32": "cuda", "keep_memory": "cpu"}
_PLAIN = Speed(**dict.fromkeys(Speed.__dataclass_fields__, False))


def choose(config: SpeedConfig, device: torch.device) -> Speed:
    """Settle every switch for a device.

    Raises:
        ConfigError: a switch was asked for that the device does not have.
    """
    start = _PLAIN if config.mode == "plain" else _automatic(device)
    asked = config.model_dump(exclude={"mode"}, exclude_none=True)
    for name, needed in _NEEDS.items():
        if asked.get(name) and device.type != needed:
            raise ConfigError(
                f"speed.{name} is true, which needs the device {needed}; this run computes on "
                f"{device.type}. Leave it out."
            )
    return Speed(**{**start.__dict__, **asked})


def _automatic(device: torch.device) -> Speed:
    return Speed(
        keep_memory=device.type == "cpu",
        cuda_graphs=device.type == "cuda",
    )
