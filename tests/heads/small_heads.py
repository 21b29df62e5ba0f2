"""Every head, small, with what it cannot do without, and outputs of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from reacgan.config import CodesConfig, Component
from reacgan.heads import HEADS, Head, HeadOutput, Layers, build_head
from reacgan.heads.base import PLAIN_LAYERS

WIDTH, CLASSES, LATENT = 12, 4, 9
CODES = CodesConfig(discrete=(3,), continuous=2)
OVER = ("auxiliary", "contrastive", "d2dce")
# Every head, and those over another over each: (name, options).
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in HEADS),
    *((name, {"over": over}) for name in ("twin", "discriminative") for over in OVER[:2]),
    *(("infogan", {"over": over}) for over in ("projection", *OVER)),
    ("infogan", {"variance": "unit"}),
]


def build(name: str, *, layers: Layers = PLAIN_LAYERS, **options: Any) -> Head:
    torch.manual_seed(0)
    codes = CODES if name in HEADS and HEADS[name].needs_codes else None
    return build_head(
        Component(name=name, **options),
        in_features=WIDTH,
        num_classes=CLASSES,
        layers=layers,
        codes=codes,
    )


def features_and_labels(count: int = 10, dtype: Any = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % CLASSES
    return torch.randn(count, WIDTH, generator=generator, dtype=dtype), labels


def latents(count: int) -> Tensor:
    return torch.randn(count, LATENT, generator=torch.Generator().manual_seed(2))


def on_fakes(output: HeadOutput) -> HeadOutput:
    """The output as the step hands it to a loss, if its samples are fakes."""
    return replace(output, latents=latents(len(output.score)))


def real_and_fake(head: Head) -> tuple[HeadOutput, HeadOutput]:
    dtype = next(head.parameters()).dtype
    real, fake = head(*features_and_labels(dtype=dtype)).split([6, 4])
    return real, on_fakes(fake)
