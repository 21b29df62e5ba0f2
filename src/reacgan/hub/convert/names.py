"""Published names of the tensors of BigGAN-type networks (POSTECH-CVLab/PyTorch-StudioGAN).

There, a network's blocks and attentions form one list in order of execution, each in a list of its own;
here, attentions are apart from the blocks, named by the block before them. All else differs in name
only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.models import Discriminator, Generator
from reacgan.models.norms import BatchNorm, ConditionalBatchNorm
from reacgan.models.spectral import SpectralNorm

TRACKED = "num_batches_tracked"
"""A batch norm's count of batches, unused with a fixed momentum."""
OURS_ALONE = "condition_strength"
"""Has no counterpart in published networks, where it is always 1."""

_OF_GENERATOR = {"input": "linear0", "shared": "shared", "norm": "bn4", "output": "conv2d5"}
_OF_HEAD = {
    "score": "linear1",
    "classes": "linear1",
    "classifier": "linear2",
    "embedding": "linear2",
    "class_vectors": "embedding",
}
_OF_TWIN = {
    "classifier": "linear_mi",
    "embedding": "linear_mi",
    "class_vectors": "embedding_mi",
}
_OF_BLOCK = {
    "conv1": "conv2d1",
    "conv2": "conv2d2",
    "shortcut": "conv2d0",
    "norm1": "bn1",
    "norm2": "bn2",
    "shortcut_norm": "bn0",
}
_OF_FIRST_BLOCK = {**_OF_BLOCK, "norm2": "bn1"}  # of a backbone: it has no norm before it
_OF_ATTENTION = {
    "": "",
    "query": "conv1x1_theta",
    "key": "conv1x1_phi",
    "value": "conv1x1_g",
    "out": "conv1x1_attn",
}
_OF_NORMALISED = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}

LINEAR, LAST_NORM, SHARED, SCORE, EMBEDDED = "linear0", "bn4", "shared", "linear1", "linear2"
ATTENTION_GATE = "sigma"

_TABLE = f"{SHARED}.weight"
_WIDENED = tuple(
    f".{part}.{end}" for part in ("gain", "bias") for end in ("weight", "weight_orig", "weight_v")
)


@dataclass(frozen=True)
class Names:
    """Published names by ours, and published names that are not read."""

    of: dict[str, str]
    passed_over: frozenset[str]


def names_of(network: Generator | Discriminator) -> Names:
    """The published name of every tensor of a supported network."""
    names: dict[str, str] = {}
    passed_over = set()
    for path, module in network.named_modules():
        own = [name for name, _ in module.named_parameters(recurse=False)]
        own += [name for name, _ in module.named_buffers(recurse=False)]
        own = [name for name in own if name != OURS_ALONE]
        if not own:
            continue
        theirs = _published(network, path)
        for name in own:
            names[f"{path}.{name}"] = f"{theirs}.{_leaf(module, name)}"
        if isinstance(module, BatchNorm):
            passed_over.add(f"{theirs}.{TRACKED}")
    return Names(names, frozenset(passed_over))


def _leaf(module: nn.Module, name: str) -> str:
    if isinstance(module, SpectralNorm):
        return _OF_NORMALISED.get(name, name)
    if isinstance(module, BatchNorm) and name == "gain":
        return "weight"
    return ATTENTION_GATE if name == "gate" else name


def _published(network: nn.Module, path: str) -> str:
    if isinstance(network, Generator):
        first, _, rest = path.partition(".")
        if first in _OF_GENERATOR:
            return _OF_GENERATOR[first]
        return _in_list(network, first, rest, conditional=_is_conditional(network))
    side, _, path = path.partition(".")
    if side == "head":
        return published_layer(path)
    first, _, rest = path.partition(".")
    return _in_list(network.get_submodule(side), first, rest, conditional=None)


def published_layer(path: str) -> str:
    """The published name of a head's layer; raises KeyError where there is none."""
    if path.startswith("twin."):
        return _OF_TWIN[path.removeprefix("twin.")]
    return _OF_HEAD[path.removeprefix("inner.")]


def _is_conditional(generator: Generator) -> bool:
    return any(
        isinstance(module, ConditionalBatchNorm) and hasattr(module, "gain")
        for module in generator.modules()
    )


def _in_list(network: nn.Module, kind: str, rest: str, *, conditional: bool | None) -> str:
    """``blocks.<index>.0.<layer>``; ``conditional`` is None for a backbone."""
    attention = [int(block) for block in network.attention]  # type: ignore[union-attr]
    number, _, layer = rest.partition(".")
    if kind == "attention":
        before = sum(block < int(number) for block in attention)
        return f"blocks.{int(number) + before}.0.{_OF_ATTENTION[layer]}".rstrip(".")
    before = sum(block <= int(number) for block in attention)
    layer, _, part = layer.partition(".")
    words = _OF_FIRST_BLOCK if conditional is None and number == "0" else _OF_BLOCK
    if part == "norm":  # the plain norm inside a conditional one
        part = "bn" if conditional else ""
    return f"blocks.{int(number) + before}.0.{words[layer]}.{part}".rstrip(".")


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
