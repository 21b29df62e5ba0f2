"""What every head is: its output, its two conditioning losses, and the layers it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layers:
    """Factories of the layers a head is made of, so that a backbone can hand in its own.

    A discriminator with spectral normalisation passes factories that build normalised layers.
    """

    linear: Callable[[int, int, bool], nn.Module] = nn.Linear
    """``(inputs, outputs, bias)`` to a module ``[N, inputs] -> [N, outputs]``."""
    embedding: Callable[[int, int], nn.Module] = nn.Embedding
    """``(rows, width)`` to a module ``int64 [N] -> [N, width]``."""


PLAIN_LAYERS = Layers()


@dataclass(frozen=True, eq=False)
class HeadOutput:
    """What a head says about N samples."""

    score: Tensor
    """``[N]``: large for real, small for fake."""
    labels: Tensor
    """``[N]`` int64: the labels that the samples were given."""
    embedding: Tensor | None = None
    """``[N, E]``: the projected features, not yet normalised (2C, D2D-CE)."""
    logits: Tensor | None = None
    """``[N, K]``: class scores (auxiliary classifier)."""
    class_vectors: Tensor | None = None
    """``[K, E]``: one learned vector a class, not yet normalised; shared by all samples."""

    def split(self, sizes: Sequence[int]) -> list[HeadOutput]:
        """Cut the samples into consecutive parts, such as real and fake; class vectors are shared.

        Raises:
            RuntimeError: the sizes do not add up to N.
        """
        parts = list(sizes)
        scores = self.score.split(parts)
        labels = self.labels.split(parts)
        embeddings = _split_or_none(self.embedding, parts)
        logits = _split_or_none(self.logits, parts)
        return [
            HeadOutput(
                score=scores[part],
                labels=labels[part],
                embedding=embeddings[part],
                logits=logits[part],
                class_vectors=self.class_vectors,
            )
            for part in range(len(parts))
        ]


def _split_or_none(tensor: Tensor | None, sizes: list[int]) -> Sequence[Tensor | None]:
    return [None] * len(sizes) if tensor is None else tensor.split(sizes)


class Head(nn.Module):
    """The last part of a discriminator: features and labels to a score and what its method needs.

    A member defines :meth:`forward` and, where its method conditions by a loss, :meth:`d_loss` and
    :meth:`g_loss`. Both losses are pure functions of the outputs; the caller weighs them.
    """

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Judge ``features [N, F]`` with ``labels [N]`` (int64 of 0 .. K - 1)."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """Return the scalar that D minimises beside the adversarial loss; zero by default."""
        return _zero(real)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """Return the scalar that G minimises beside the adversarial loss; zero by default."""
        return _zero(fake)


def _zero(output: HeadOutput) -> Tensor:
    return output.score.new_zeros((), dtype=at_least_float32(output.score.dtype))


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """Widen to the precision of losses: float64 stays, everything narrower becomes float32."""
    return torch.promote_types(dtype, torch.float32)
