"""What scores are called, and what each says in a line: the one vocabulary of tables, pages and cards.

Files and ``--json`` keep the keys. Which direction is better stands with each value (``Value.better``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_ARROWS = {"lower": "↓", "higher": "↑"}
LEGEND = "↓ lower is better, ↑ higher is better; shares are from 0 to 1"
"""What a table of scores says below itself."""


class Name(NamedTuple):
    """How a score is spoken of."""

    title: str
    """The usual name in the field."""
    says: str
    """What a value is, in a few words."""


NAMES: Mapping[str, Name] = MappingProxyType(
    {
        "fid": Name("FID", "distance to the real images; 0 is best"),
        "fid_infinity": Name("FID∞", "FID as if of infinitely many images"),
        "kid": Name("KID", "distance, fair for few images; about 0 is best"),
        "is": Name("Inception score", "clear and varied; looks at no real image"),
        "precision": Name("Precision", "generated images that lie among real ones"),
        "recall": Name("Recall", "real images that lie among generated ones"),
        "density": Name("Density", "as precision, weighted; real images: about 1"),
        "coverage": Name("Coverage", "real images with a generated one nearby"),
        "ifid": Name("Intra-class FID", "FID within each class, the mean"),
        "class_precision": Name("Precision by class", "precision within each class, the mean"),
        "class_recall": Name("Recall by class", "recall within each class, the mean"),
        "class_coverage": Name("Coverage by class", "coverage within each class, the mean"),
        "top1": Name("Label accuracy", "a classifier sees the class asked for"),
        "top5": Name("Label accuracy, top 5", "that class is among its five guesses"),
        "f_8": Name("F8", "as recall, by clusters; 1 is best"),
        "f_1_8": Name("F1/8", "as precision, by clusters; 1 is best"),
        "gan_train_top1": Name("CAS", "learned from generated, right on real images"),
        "gan_test_top1": Name("GAN-test", "learned from real, right on generated images"),
        "real_top1": Name("CAS of real images", "learned from real, right on real images"),
        "gan_train_ratio": Name("CAS, relative", "CAS divided by that of real images"),
        "memorised_share": Name("Memorised share", "suspiciously close to a training image"),
        "memorisation_ratio": Name("Memorisation ratio", "distance to training images; unseen: 1"),
        "duplicates": Name("Duplicates", "equal to a training image in every pixel"),
    }
)
"""By the key of a value."""


def with_arrow(title: str, better: str) -> str:
    """``FID ↓``."""
    return f"{title} {_ARROWS.get(better, '')}".strip()


def title_of(metric: str, better: str = "neither") -> str:
    """``FID ↓`` for ``fid``; a metric of a plug-in by its own key.

    Args:
        metric: the key.
        better: which direction is; ``neither`` leaves the arrow out.
    """
    known = NAMES.get(metric)
    return with_arrow(known.title if known else metric, better)


def meaning_of(metric: str) -> str:
    """What a value says; empty for a metric of a plug-in."""
    known = NAMES.get(metric)
    return known.says if known else ""
