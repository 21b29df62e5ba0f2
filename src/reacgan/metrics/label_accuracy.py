"""Label accuracy: whether a classifier of real images predicts the label that a fake was made with."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.extractors.classifier import in_top
from reacgan.metrics.base import Classification, Comparison, Metric, Value, share_of

_LOW = 0.5
_WORST = 10


class LabelAccuracy(Metric):
    """``top1`` and ``top5``: share of fakes whose label a classifier predicts.

    The classifier was trained on real images alone, but it errs, and a generator can exploit its errors:
    its own accuracy on held-out real images is in the settings of every value. ``top5`` is left out
    for five classes or fewer, where it is always 1.
    """

    needs = frozenset({"labels", "classifier"})

    def measure(self, comparison: Comparison) -> list[Value]:
        """Values ``top1`` (details: accuracy by class, most frequent confusions) and ``top5``.

        Raises:
            ConfigError: no classifier or labels, or they do not match.
        """
        classification, labels = comparison.classification, comparison.fake.labels
        if classification is None or labels is None:
            raise ConfigError("accuracy needs labelled fakes and a classifier of their classes")
        logits = classification.logits
        names = comparison.fake.class_names or tuple(map(str, range(logits.shape[-1])))
        _check(logits, labels, names)
        labels = labels.to(logits.device)
        settings = {
            "judge": dict(classification.facts),  # keys of stored protocols
            "images": len(labels),
            "classes": logits.shape[1],
            "judge_held_out_top1": _known(classification.held_out_top1),
            "judge_held_out_top5": _known(classification.held_out_top5),
        }
        notes = _notes(classification)
        values = []
        for name, k in (("top1", 1), ("top5", 5)):
            if k == 1 or logits.shape[1] > k:
                right = in_top(logits, labels, k)
                details: dict[str, Any] = {"classes": class_shares(right, labels, names)}
                if k == 1:
                    details["mistaken"] = _mistaken(logits, labels, names)
                share = share_of(right)
                values.append(
                    Value(name, share, "higher", settings=settings, details=details, notes=notes)
                )
        return values


def class_shares(right: Tensor, labels: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    """Share of the images of each class that are ``right`` (bool ``[N]``); absent classes are left out."""
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    correct = torch.bincount(labels[right], minlength=len(names)).tolist()
    return {
        name: part / whole
        for name, part, whole in zip(names, correct, counts, strict=True)
        if whole
    }


def _mistaken(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """For the classes of lowest accuracy: the class that they are confused with most."""
    classes = len(names)
    pairs = labels * classes + logits.argmax(1)
    confusion = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    counts = confusion.sum(1)
    wrong = confusion.clone().fill_diagonal_(0)
    often, instead = wrong.max(1)
    share = confusion.diagonal() / counts.clamp_min(1)
    worst = [label for label in share.argsort(stable=True).tolist() if often[label] > 0][:_WORST]
    return [
        {
            "class": names[label],
            "accuracy": int(confusion[label, label]) / int(counts[label]),
            "taken_for": names[int(instead[label])],
            "share": int(often[label]) / int(counts[label]),
        }
        for label in worst
    ]


def _check(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> None:
    if logits.ndim != 2 or len(logits) == 0 or labels.shape != logits.shape[:1]:
        raise ConfigError(
            f"the classifier's scores are {list(logits.shape)}, the labels {list(labels.shape)}; "
            "needed: [N, K] and [N], N at least 1"
        )
    if len(names) != logits.shape[1]:
        raise ConfigError(
            f"the fakes have {len(names)} classes, the classifier {logits.shape[1]}; needed: the same"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise ConfigError(f"labels reach from {low} to {high}; allowed: 0 to {logits.shape[1] - 1}")
    if not bool(torch.isfinite(logits).all()):
        raise ConfigError("the classifier's scores hold NaN or infinity; its training failed")


def _known(share: float) -> float | None:
    """None for a share of no images, which is NaN."""
    return None if math.isnan(share) else share


def _notes(classification: Classification) -> tuple[str, ...]:
    if math.isnan(classification.held_out_top1):
        return ("no real image was held out, so the classifier's own accuracy is unknown",)
    if classification.held_out_top1 >= _LOW:
        return ()
    return (
        f"the classifier itself is right on {classification.held_out_top1:.1%} of held-out real images: "
        "train it longer or on more images before reading this",
    )
