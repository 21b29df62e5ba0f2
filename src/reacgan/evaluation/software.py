"""Versions and device that a score was measured with."""

from __future__ import annotations

import platform
from typing import Any

import numpy
import torch

from reacgan import __version__, distributed


def describe_software(device: torch.device) -> dict[str, Any]:
    """Plain JSON; scores are comparable whatever it says."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "reacgan": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "device": named,
        "processes": distributed.world_size(),
    }
