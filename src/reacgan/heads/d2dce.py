"""The data-to-data cross-entropy (D2D-CE) and ReACGAN's head."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError, PositiveFloat, PositiveInt, UnitFloat, Width
from reacgan.heads.base import PLAIN_LAYERS, HeadOutput, Layers, unit
from reacgan.heads.hypersphere import (
    EmbeddingHead,
    check_batch,
    global_batch,
    masked_logsumexp,
)
from reacgan.kernels.d2d import D2DSettings, d2d_loss
from reacgan.tensors import without_autocast

Form = Literal["paper", "released"]
Negatives = Literal["data", "classes"]
Suppressed = Literal["both", "positives", "negatives", "none"]


def d2d_cross_entropy(
    features: Tensor,
    class_vectors: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    margin: float,
    form: Form = "paper",
    suppress_easy: Suppressed = "both",
    negatives: Negatives = "data",
    false_negatives: bool = False,
    kernels: bool = False,
) -> Tensor:
    """Data-to-data cross-entropy (Kang, Shim, Cho, Park, NeurIPS 2021, equation 6).

    With f_i the normalised features, v_c the normalised class vectors, m the margin of positives
    and 1 - m that of negatives::

        p_i  = min(f_i . v_(y_i) - m, 0) / temperature
        n_ij = max(f_i . f_j - (1 - m), 0) / temperature
        loss = - mean_i log( exp(p_i) / (exp(p_i) + sum_(j: y_j != y_i) exp(n_ij)) )

    A positive with a cosine above m and a negative with a cosine below 1 - m are easy and get no
    gradient; with easy pairs alone, the loss is at its floor, mean_i ln(1 + number of negatives).
    ``form="released"`` is what the authors' published code computes, and the published results
    were made with: from each n_ij it subtracts, as a constant for the gradient,
    M_i = max_(j != i) (f_i . f_j - (1 - m)) / temperature over *all* other samples, and does not
    add it back. This lowers the weight of the negatives where a sample has a near neighbour.

    The last three options are for ablations: which easy pairs get no gradient (without suppression
    min(., 0) or max(., 0) is left out), whether the negatives are the other samples or the vectors of
    the other classes, and whether other samples of the same class are negatives too, as in losses
    without labels. With classes as negatives and without suppression it is the cross-entropy of cosines
    / temperature, with 1 - 2m added to the own class's cosine.

    Args:
        features: ``[N, D]``, of any length other than zero; normalised here.
        class_vectors: ``[K, D]``, normalised here.
        labels: ``[N]`` int64 of 0 .. K - 1. The range is not checked: that would stall a GPU.
        temperature: above 0.
        margin: 0 .. 1.
        form: ``"paper"`` or ``"released"``.
        suppress_easy: ``"both"``, ``"positives"``, ``"negatives"`` or ``"none"``.
        negatives: ``"data"`` or ``"classes"`` (in the paper's form alone).
        false_negatives: whether samples of the same class are negatives.
        kernels: by fused operations (:mod:`reacgan.kernels.d2d`), where negatives are data.

    Returns:
        A scalar, float32 or float64. It and its gradient are finite for any finite batch; a sample
        without negatives adds zero and gets no gradient.

    Raises:
        ConfigError: wrong shapes or types, or a setting outside its range.
    """
    check_batch(features, class_vectors, labels, temperature=temperature)
    _check_settings(margin, form, suppress_easy, negatives, false_negatives=false_negatives)
    if kernels and negatives == "data":
        settings = D2DSettings(
            temperature,
            margin,
            easy_positives=suppress_easy in ("both", "positives"),
            easy_negatives=suppress_easy in ("both", "negatives"),
            false_negatives=false_negatives,
            released=form == "released",
        )
        return d2d_loss(features, class_vectors, labels, settings)
    with without_autocast(features):
        points, vectors = unit(features), unit(class_vectors)
        if negatives == "classes":
            return _against_classes(
                points, vectors, labels, temperature=temperature, margin=margin, easy=suppress_easy
            )
        return d2d_on_sphere(
            points,
            vectors[labels],
            labels,
            temperature=temperature,
            margin=margin,
            form=form,
            suppress_easy=suppress_easy,
            false_negatives=false_negatives,
        )


def _check_settings(
    margin: float, form: str, suppress_easy: str, negatives: str, *, false_negatives: bool
) -> None:
    if not 0 <= margin <= 1:
        raise ConfigError(f"margin is {margin}; needed: 0 to 1")
    if form not in ("paper", "released"):
        raise ConfigError(f"form is {form!r}; needed: 'paper' or 'released'")
    if suppress_easy not in get_args(Suppressed):
        allowed = ", ".join(map(repr, get_args(Suppressed)))
        raise ConfigError(f"suppress_easy is {suppress_easy!r}; needed: one of {allowed}")
    if negatives not in ("data", "classes"):
        raise ConfigError(f"negatives is {negatives!r}; needed: 'data' or 'classes'")
    if negatives == "classes" and (form == "released" or false_negatives):
        raise ConfigError(
            "negatives is 'classes', which has no released form and no false negatives; leave "
            "form='paper' and false_negatives=False"
        )


def d2d_on_sphere(
    features: Tensor,
    vectors: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    margin: float,
    form: Form = "paper",
    suppress_easy: Suppressed = "both",
    false_negatives: bool = False,
) -> Tensor:
    """The same loss for features [N, D] and the vectors of their classes [N, D], both of length 1."""
    pairs = (features @ features.T - (1 - margin)) / temperature
    attraction = _attraction((features * vectors).sum(dim=1), temperature, margin, suppress_easy)
    repulsion = _repulsion(pairs, suppress_easy)  # n_ij >= 0
    if form == "released":
        repulsion = repulsion - _nearest(pairs)[:, None]
    if false_negatives:
        negatives = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    else:
        negatives = labels[:, None] != labels[None, :]
    # log(1 + sum_j exp(n_ij) / exp(p_i))
    return -F.logsigmoid(attraction - masked_logsumexp(repulsion, negatives)).mean()


def _against_classes(
    features: Tensor,
    vectors: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    margin: float,
    easy: Suppressed,
) -> Tensor:
    """The same loss with the vectors [K, D] of the other classes as negatives."""
    cosines = features @ vectors.T
    own = cosines.gather(1, labels[:, None])[:, 0]
    others = torch.arange(len(vectors), device=labels.device)[None, :] != labels[:, None]
    repulsion = _repulsion((cosines - (1 - margin)) / temperature, easy)
    attraction = _attraction(own, temperature, margin, easy)
    return -F.logsigmoid(attraction - masked_logsumexp(repulsion, others)).mean()


def _attraction(cosine: Tensor, temperature: float, margin: float, easy: Suppressed) -> Tensor:
    """p_i: at most 0 where easy positives are suppressed."""
    lacking = (margin - cosine) / temperature
    return -F.relu(lacking) if easy in ("both", "positives") else -lacking


def _repulsion(pairs: Tensor, easy: Suppressed) -> Tensor:
    """n_ij: at least 0 where easy negatives are suppressed."""
    return F.relu(pairs) if easy in ("both", "negatives") else pairs


def _nearest(pairs: Tensor) -> Tensor:
    """Find each row's largest entry off the diagonal, without gradient; -inf if N = 1."""
    itself = torch.eye(pairs.shape[0], dtype=torch.bool, device=pairs.device)
    return pairs.detach().masked_fill(itself, -torch.inf).amax(dim=1)


class D2DCrossEntropyHead(EmbeddingHead, full_precision=False):
    """ReACGAN's head (Kang, Shim, Cho, Park, NeurIPS 2021).

    The score is w . h + b. The embedding is a linear projection of the features h, compared on the
    unit hypersphere with one vector a class and with the embeddings of the whole batch, over all
    processes: see :func:`d2d_cross_entropy`.

    Shapes: features ``[N, F]``, score ``[N]``, embedding ``[N, E]``, class vectors ``[K, E]``.
    D minimises the loss of real samples, G that of fake samples with the labels it was given.

    Args:
        in_features: width F of the features.
        num_classes: K.
        layers: factories of layers.
        embedding_dim: E.
        temperature: of the loss, as are those below.
        margin: of positives; that of negatives is 1 - margin.
        form: of the paper or as released.
        suppress_easy: which easy pairs get no gradient; for ablations, as are those below.
        negatives: other samples, or the vectors of the other classes.
        false_negatives: whether samples of the same class are negatives.
        partners: size of groups of consecutive samples that are compared only with one another; the
            loss is the mean over groups. None for the whole batch. Published runs with gradient
            accumulation had such groups.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        embedding_dim: Width = 512,
        temperature: PositiveFloat = 0.5,
        margin: UnitFloat = 0.98,
        form: Form = "paper",
        suppress_easy: Suppressed = "both",
        negatives: Negatives = "data",
        false_negatives: bool = False,
        partners: PositiveInt | None = None,
    ) -> None:
        super().__init__(
            in_features=in_features,
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            layers=layers,
        )
        self.temperature = temperature
        self.margin = margin
        self.form: Form = form
        self.suppress_easy: Suppressed = suppress_easy
        self.negatives: Negatives = negatives
        self.false_negatives = false_negatives
        self.partners = partners

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """D2D-CE of the real samples; fake ones are not classified."""
        return self._loss(real)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """D2D-CE of the fake samples."""
        return self._loss(fake)

    def _loss(self, output: HeadOutput) -> Tensor:
        embedding, class_vectors, labels = global_batch(output)
        size = self.partners or len(labels)
        if len(labels) % size:
            raise ConfigError(
                f"model.head.partners is {size}, which does not divide the batch of {len(labels)}; take "
                f"one that does, such as {_divisor(len(labels), size)}"
            )
        losses = [
            d2d_cross_entropy(
                points,
                class_vectors,
                point_labels,
                temperature=self.temperature,
                margin=self.margin,
                form=self.form,
                suppress_easy=self.suppress_easy,
                negatives=self.negatives,
                false_negatives=self.false_negatives,
                kernels=self.kernels,
            )
            for points, point_labels in zip(embedding.split(size), labels.split(size), strict=True)
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most ``most``."""
    return next(size for size in range(min(number, most), 0, -1) if number % size == 0)
