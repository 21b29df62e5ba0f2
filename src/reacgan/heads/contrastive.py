"""The conditional contrastive loss (2C) and ContraGAN's head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import PositiveFloat, Width
from reacgan.heads.base import PLAIN_LAYERS, HeadOutput, Layers, unit
from reacgan.heads.hypersphere import (
    EmbeddingHead,
    check_batch,
    global_batch,
    masked_logsumexp,
)
from reacgan.tensors import without_autocast


def conditional_contrastive(
    features: Tensor, class_vectors: Tensor, labels: Tensor, *, temperature: float
) -> Tensor:
    """Conditional contrastive loss, 2C (Kang, Park, NeurIPS 2020: ContraGAN).

    With f_i the normalised features and v_c the normalised class vectors::

        q_i  = exp(f_i . v_(y_i) / temperature)
        s_ij = exp(f_i . f_j / temperature)
        loss = - mean_i log( (q_i + sum_(j != i, y_j = y_i) s_ij) / (q_i + sum_(j != i) s_ij) )

    Args:
        features: ``[N, D]``, of any length other than zero; normalised here.
        class_vectors: ``[K, D]``, normalised here.
        labels: ``[N]`` int64 of 0 .. K - 1. The range is not checked: that would stall a GPU.
        temperature: above 0.

    Returns:
        A scalar, float32 or float64. It and its gradient are finite for any finite batch; a sample
        without negatives adds zero and gets no gradient.

    Raises:
        ConfigError: wrong shapes or types, or a temperature that is not above 0.
    """
    check_batch(features, class_vectors, labels, temperature=temperature)
    with without_autocast(features):
        features = unit(features)
        positive = (features * unit(class_vectors[labels])).sum(dim=1) / temperature
        pairs = features @ features.T / temperature
        same = labels[:, None] == labels[None, :]
        itself = torch.eye(labels.shape[0], dtype=torch.bool, device=labels.device)
        attraction = torch.logaddexp(positive, masked_logsumexp(pairs, same & ~itself))
        # log(1 + sum of negatives / sum of positives)
        return -F.logsigmoid(attraction - masked_logsumexp(pairs, ~same)).mean()


class ContrastiveHead(EmbeddingHead, full_precision=False):
    """ContraGAN's head (Kang, Park, NeurIPS 2020).

    The score is w . h + b. The embedding is a linear projection of the features h, compared on the
    unit hypersphere with one vector a class and with the embeddings of the whole batch, over all
    processes: see :func:`conditional_contrastive`.

    Shapes: features ``[N, F]``, score ``[N]``, embedding ``[N, E]``, class vectors ``[K, E]``.
    D minimises the loss of real samples, G that of fake samples with the labels it was given.

    Args:
        in_features: F.
        num_classes: K.
        layers: how linear layers are built.
        embedding_dim: E.
        temperature: cosines are divided by it.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        embedding_dim: Width = 512,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(
            in_features=in_features,
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            layers=layers,
        )
        self.temperature = temperature

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """2C of the real samples; fake ones are not compared."""
        return self._loss(real)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """2C of the fake samples."""
        return self._loss(fake)

    def _loss(self, output: HeadOutput) -> Tensor:
        embedding, class_vectors, labels = global_batch(output)
        return conditional_contrastive(
            embedding, class_vectors, labels, temperature=self.temperature
        )
