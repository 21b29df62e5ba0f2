"""Whether a reference and the images that a generator learned from have the same value as white."""

from __future__ import annotations

from dataclasses import replace

from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.evaluation.reference import Reference


def compare_whites(reference: Reference, own: DataConfig | None) -> Reference:
    """The reference with a warning where its images were made 8 bits by another white than a run's.

    Args:
        reference: what a person named instead of the run's own data.
        own: where the run's data is.
    """
    if own is None or reference.data is None or reference.data.whites is None:
        return reference
    try:
        training: ImageData | None = open_dataset(own, "train")
    except ConfigError:
        training = None
    warning = _warning(reference.data, training)
    return replace(reference, warnings=(*reference.warnings, warning)) if warning else reference


def _warning(data: ImageData, training: ImageData | None) -> str:
    theirs = data.whites or (None, None)
    if training is None:
        values = " and ".join(f"{white:,g}" for white in theirs if white is not None)
        return (
            f"the reference has more than 8 bits, and {values} is white in it; the run's data cannot be "
            "opened to compare"
        )
    for kind, white, other in zip(
        ("integers", "floats"), theirs, training.whites or (None, None), strict=True
    ):
        if white is not None and other is not None and white != other:
            return (
                f"of the {kind} {white:,g} is white in the reference, {other:,g} in the run's data: the "
                "same value is of another brightness in each, and scores measure that, too. Bring both "
                "to one scale, or train with a white that holds both (data.options.white)"
            )
    return ""
