"""Shared code of heads on the unit hypersphere: checks, masked sums, gathering, layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.config import ConfigError
from reacgan.heads.base import Head, HeadOutput, Layers, unit


def masked_logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """Row-wise ``log sum exp`` of the entries of ``values [N, M]`` where ``mask`` is true: ``[N]``.

    A row without any entry gives a huge negative number instead of -inf, whose gradient would be
    undefined; its gradient is zero.
    """
    nothing = torch.finfo(values.dtype).min / 4
    return torch.logsumexp(values.masked_fill(~mask, nothing), dim=1)


def check_batch(
    features: Tensor, class_vectors: Tensor, labels: Tensor, *, temperature: float
) -> None:
    """Refuse shapes and types that a coupled loss cannot use, without reading a value.

    Raises:
        ConfigError: names the argument, what it is and what is needed.
    """
    if features.dim() != 2 or features.shape[0] == 0 or not features.is_floating_point():
        raise ConfigError(f"features: {_describe(features)}; needed: floating point [N, D], N >= 1")
    if class_vectors.dim() != 2 or not class_vectors.is_floating_point():
        raise ConfigError(
            f"class_vectors: {_describe(class_vectors)}; needed: floating point [K, D]"
        )
    if class_vectors.shape[1] != features.shape[1]:
        raise ConfigError(
            f"class_vectors have width {class_vectors.shape[1]}, features {features.shape[1]}; "
            "needed: the same"
        )
    if labels.shape != features.shape[:1] or labels.dtype != torch.int64:
        raise ConfigError(
            f"labels: {_describe(labels)}; needed: torch.int64 [{features.shape[0]}], one a sample"
        )
    if not temperature > 0:
        raise ConfigError(f"temperature is {temperature}; needed: a number above 0")


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


class EmbeddingHead(Head, full_precision=False):
    """A score, a linear projection of the features, and one learned vector a class."""

    couples_samples = True
    temperature: float = 1.0

    def __init__(
        self, *, in_features: int, num_classes: int, embedding_dim: int, layers: Layers
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.score = layers.linear(in_features, 1, True)
        self.embedding = layers.linear(in_features, embedding_dim, True)
        self.class_vectors = layers.embedding(num_classes, embedding_dim)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]``, embedding ``[N, E]`` and the class vectors ``[K, E]`` of ``[N, F]``."""
        return HeadOutput(
            score=self.score(features).squeeze(1),
            labels=labels,
            embedding=self.embedding(features),
            class_vectors=self._all_vectors(labels.device),
        )

    def _all_vectors(self, device: torch.device) -> Tensor:
        """Look all classes up; ``kernels``: in a table they are the table itself."""
        layer: Any = self.class_vectors
        if not (self.kernels and isinstance(layer, nn.Embedding)):
            vectors: Tensor = layer(torch.arange(self.num_classes, device=device))
            return vectors
        normalised = getattr(layer, "normalised_weight", None)
        return layer.weight if normalised is None else normalised()

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """Cosines with the class vectors over the temperature, ``[N, K]``."""
        if output.embedding is None or output.class_vectors is None:
            return None
        return unit(output.embedding) @ unit(output.class_vectors).T / self.temperature


def global_batch(output: HeadOutput) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings ``[N, E]`` (with gradient), class vectors and labels of all processes' samples.

    Class vectors are parameters, the same on every process, and are not gathered.

    Raises:
        ConfigError: the output is not one of an embedding head.
    """
    if output.embedding is None or output.class_vectors is None:
        raise ConfigError("the output holds no embedding; needed: the output of an embedding head")
    embedding = distributed.gather(output.embedding, "embeddings")
    return embedding, output.class_vectors, distributed.gather(output.labels, "labels")
