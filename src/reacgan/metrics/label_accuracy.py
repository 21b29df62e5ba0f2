"""Label accuracy: whether a classifier of real images sees the label that a fake was made with."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.extractors.classifier import in_top
from reacgan.metrics.base import Comparison, Judgement, Metric, Value, share_of

_LOW = 0.5
_WORST = 10


class LabelAccuracy(Metric):
    """``top1`` and ``top5``: how often the judge gives a fake the class that it was made for.

    The judge never saw the generator, but it can be wrong and a generator can please it: its own
    accuracy on held-out real images stands in the settings of every value. ``top5`` is left out for
    five classes or fewer, where it is always 1.
    """

    needs = frozenset({"labels", "judge"})

    def measure(self, comparison: Comparison) -> list[Value]:
        """Values ``top1`` (details: each class, and what the worst are taken for) and ``top5``.

        Raises:
            ConfigError: no judge or labels, or they do not fit together.
        """
        judgement, labels = comparison.judgement, comparison.fake.labels
        if judgement is None or labels is None:
            raise ConfigError("accuracy needs labelled fakes and a judge of their classes")
        logits = judgement.logits
        names = comparison.fake.class_names or tuple(map(str, range(logits.shape[-1])))
        _check(logits, labels, names)
        labels = labels.to(logits.device)
        settings = {
            "images": len(labels),
            "classes": logits.shape[1],
            "judge": dict(judgement.facts),
            "judge_held_out_top1": _known(judgement.held_out_accuracy),
            "judge_held_out_top5": _known(judgement.held_out_top5),
        }
        notes = _notes(judgement)
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
    """Of the classes that are recognised least: what they are taken for most often instead."""
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
            f"the judge's scores are {list(logits.shape)}, the labels {list(labels.shape)}; "
            "needed: [N, K] and [N], N at least 1"
        )
    if len(names) != logits.shape[1]:
        raise ConfigError(
            f"the fakes have {len(names)} classes, the judge {logits.shape[1]}; needed: the same"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise ConfigError(f"labels reach from {low} to {high}; allowed: 0 to {logits.shape[1] - 1}")
    if not bool(torch.isfinite(logits).all()):
        raise ConfigError("the judge's scores hold NaN or infinity; look at how it was trained")


def _known(share: float) -> float | None:
    """None for a share of no images, which is NaN."""
    return None if math.isnan(share) else share


def _notes(judgement: Judgement) -> tuple[str, ...]:
    if math.isnan(judgement.held_out_accuracy):
        return ("no image was held out, so how often the judge itself is right is not known",)
    if judgement.held_out_accuracy >= _LOW:
        return ()
    return (
        f"the judge itself is right on {judgement.held_out_accuracy:.1%} of held-out real images: "
        "train it longer or on more images before reading this",
    )
