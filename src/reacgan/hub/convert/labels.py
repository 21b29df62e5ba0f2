"""A published BigGAN without labels, as one whose labels change nothing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.hub.convert.names import SHARED

_TABLE = f"{SHARED}.weight"
_WIDENED = tuple(
    f".{part}.{end}" for part in ("gain", "bias") for end in ("weight", "weight_orig", "weight_v")
)


def with_empty_table(
    tensors: dict[str, Tensor], classes: int, shared_dim: int
) -> dict[str, Tensor]:
    """The tensors with a class embedding of zeros where there is none, as zero columns of the norms.

    A norm's matrix A [C, chunk] of z becomes [0, A], and v of its spectral norm [0, v]: A z, u and the
    norm are the same. Tensors of another layout are left as they are.

    Args:
        tensors: of a generator, by published names.
        classes: rows of the embedding.
        shared_dim: its length.
    """
    wide = [name for name, value in tensors.items() if _is_of_norm(name) and value.dim()]
    if _TABLE in tensors or not wide:
        return tensors
    widened = {name: F.pad(tensors[name], (shared_dim, 0)) for name in wide}
    return {**tensors, **widened, _TABLE: torch.zeros(classes, shared_dim)}


def _is_of_norm(name: str) -> bool:
    """Whether a tensor is what a norm of a block multiplies its condition with."""
    return name.startswith("blocks.") and ".bn" in name and name.endswith(_WIDENED)
