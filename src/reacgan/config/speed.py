"""The section of an experiment that says how the same mathematics is computed."""

from __future__ import annotations

from typing import Literal

from reacgan.config.sections import Schema

Switch = bool | None
"""On, off, or None for what ``speed.mode`` says."""


class SpeedConfig(Schema):
    """How a step is computed. Apart from ``tf32``, nothing here changes it beyond rounding."""

    mode: Literal["auto", "plain"] = "auto"
    """auto takes what pays on the device at hand, plain nothing; a switch below says otherwise."""
    merged_convolutions: Switch = None
    """Doubling and halving are part of the convolutions beside them, shortcuts run at the lower size."""
    merged_passes: Switch = None
    """D looks at real and fake images in one pass, where its backbone allows it."""
    fused_layers: Switch = None
    """Norm, gain, bias and ReLU as one operation; the same of spectral norm and of attention."""
    channels_last: Switch = None
    """Channels lie next to one another in memory."""
    fused_optimizer: Switch = None
    """One operation moves all weights, another the average."""
    keep_memory: Switch = None
    """A CPU process keeps what it has freed, instead of asking the system for it again."""
    resident: Switch = None
    """A set of images that fits lies on the device; else batches are read ahead."""
    background: Switch = None
    """Files are written beside the next steps."""
    cuda_graphs: Switch = None
    """A step is recorded once and replayed (CUDA)."""
    compile: Switch = None
    """torch.compile of the networks; its start takes minutes."""
    tf32: bool = False
    """Products of float32 matrices with 10 bits of mantissa (CUDA); changes results."""
