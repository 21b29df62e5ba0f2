"""Inception Score (Salimans et al. 2016): clear images of many classes score high."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import Comparison, Metric, Value

SHUFFLE_SEED = 2020
_ROWS = 4096
_INCEPTION_CLASSES = 1008


def inception_score(logits: Tensor) -> float:
    """Inception Score of one set (Salimans et al. 2016, section 4), in float64.

    With p(y|x) the classifier's probabilities of image x and p(y) their mean over all images::

        exp( E_x KL( p(y|x) || p(y) ) ) = exp( H( p(y) ) - E_x H( p(y|x) ) )

    It is 1 if all images have the same probabilities, and at most K, for K classes. It uses no real
    images, so it detects neither copies nor wrong labels.

    Args:
        logits: class scores ``[N, K]``.

    Raises:
        ConfigError: no image, another shape, or scores that are not finite.
    """
    if logits.ndim != 2 or 0 in logits.shape:
        raise ConfigError(f"logits are {list(logits.shape)}; needed: [N, K], N and K at least 1")
    if not bool(torch.isfinite(logits).all()):
        raise ConfigError("logits hold NaN or infinity; check their source")
    marginal = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
    entropy = torch.zeros((), dtype=torch.float64, device=logits.device)
    for part in logits.split(_ROWS):
        log_share = part.double().log_softmax(1)
        share = log_share.exp()
        marginal += share.sum(0)
        entropy -= (share * log_share).sum()
    marginal /= len(logits)
    return math.exp(float(-torch.xlogy(marginal, marginal).sum() - entropy / len(logits)))


@dataclass(kw_only=True, eq=False)
class InceptionScore(Metric):
    """Inception Score in the classes of the extractor.

    Args:
        splits: 1 measures all fakes at once, in any order. More shuffles them by
            ``numpy.random.RandomState(2020).permutation`` and cuts them into this many runs of equal
            length, as torch-fidelity does (with 10): the value is the mean over them, ``low`` and
            ``high`` are one standard deviation below and above. That depends on the order of the
            images, and fewer images score lower.
    """

    needs = frozenset({"logits"})

    splits: Annotated[int, Field(ge=1)] = 1

    def measure(self, comparison: Comparison) -> list[Value]:
        """Value ``is``.

        Raises:
            ConfigError: the extractor is no classifier, fewer fakes than splits, or scores that are
                not finite.
        """
        logits = comparison.fake.logits
        if logits is None:
            raise ConfigError("is needs class scores; choose an extractor that is a classifier")
        count, classes = logits.shape
        if count < self.splits:
            raise ConfigError(
                f"{count} fakes in {self.splits} splits; needed: one each. Take fewer splits"
            )
        settings: dict[str, Any] = {"splits": self.splits, "images": count, "classes": classes}
        notes = _notes(classes)
        if self.splits == 1:
            score = inception_score(logits)
            return [Value("is", score, "higher", settings=settings, notes=notes)]
        scores = np.array([inception_score(part) for part in self._split(logits)])
        mean, spread = float(scores.mean()), float(scores.std())
        settings["shuffle"] = f"RandomState({SHUFFLE_SEED}).permutation of the order given"
        settings["interval"] = "standard deviation over the splits, below and above"
        details = {"standard_deviation": spread, "splits": scores.tolist()}
        return [
            Value(
                "is", mean, "higher", mean - spread, mean + spread, settings, details, notes=notes
            )
        ]

    def _split(self, logits: Tensor) -> list[Tensor]:
        order = np.random.RandomState(SHUFFLE_SEED).permutation(len(logits))
        shuffled = logits[torch.from_numpy(order).to(logits.device)]
        edges = [split * len(logits) // self.splits for split in range(self.splits + 1)]
        return [shuffled[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]


def _notes(classes: int) -> tuple[str, ...]:
    if classes == _INCEPTION_CLASSES:
        return ()
    return (
        f"measured in the {classes} classes of this extractor ({classes} is the highest it can be), "
        f"so not comparable with scores in the {_INCEPTION_CLASSES} of FID's Inception network",
    )
