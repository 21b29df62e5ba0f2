"""Samples of classes, and the ways between two of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reacgan.models.trained import TrainedGenerator
from reacgan.pictures.drawing import Picture, image_png
from reacgan.sampling import generate, interpolate, latents_for
from reacgan.sampling import sheet as draw_sheet
from reacgan.sampling.grids import draw_classes, rows_for


def sheet(model: TrainedGenerator, *, columns: int = 10, seed: int = 0) -> Picture:
    """A row a class (25 evenly spaced ones of many), a column a seed from ``seed`` on."""
    rows = rows_for(len(model.class_names))
    seeds = [*range(seed, seed + columns)] * len(rows)
    z = latents_for(seeds[:columns], model.latent_dim).repeat(len(rows), 1)
    labels = torch.tensor(rows).repeat_interleave(columns)
    images = generate(model.generator, z, labels, seeds=seeds, class_names=model.class_names)
    drawn = draw_classes(images.unflatten(0, (len(rows), columns)), model.class_names)
    shown = "" if len(rows) == len(model.class_names) else f" of {len(model.class_names)}"
    caption = f"generated images: {len(rows)}{shown} classes, seeds {seed} to {seed + columns - 1}"
    return Picture(image_png(drawn), caption, {"classes": rows, "columns": columns}, pixels=True)


def interpolations(
    model: TrainedGenerator, *, num: int = 10, steps: int = 8, seed: int = 0
) -> dict[str, Picture]:
    """What lies between two latents of one class, and between two classes at one latent.

    A generator that knows single images alone jumps from one to the next. ``steepest`` of a row is
    its largest step over its mean step, a step being the mean absolute difference of two images
    beside each other: 1 where all steps are equal, ``steps - 1`` where there is one jump.

    Args:
        model: from :func:`reacgan.load`.
        num: rows at most.
        steps: images in a row, both ends included; 2 or more.
        seed: of the first latent; the second one's is the next.

    Returns:
        ``latents``: a row a class, from ``seed`` to ``seed + 1``. ``classes``: a row two classes,
        from one to the next at ``seed``; absent where there is one class.

    Raises:
        ConfigError: ``steps`` or ``seed`` out of range.
    """
    labels = spread(len(model.class_names), min(num, len(model.class_names)))
    rows = [
        interpolate(model, classes=(label, label), seeds=(seed, seed + 1), steps=steps)
        for label in labels
    ]
    names = [model.class_names[label] for label in labels]
    caption = f"from seed {seed} to seed {seed + 1}, a row a class"
    drawn = {"latents": _between(torch.stack(rows), names, caption)}
    ends = list(zip(labels, labels[1:], strict=False))
    if ends:
        rows = [interpolate(model, classes=pair, seeds=(seed, seed), steps=steps) for pair in ends]
        names = [" to ".join(model.class_names[label][:10] for label in pair) for pair in ends]
        caption = f"from class to class with seed {seed} throughout"
        drawn["classes"] = _between(torch.stack(rows), names, caption)
    return drawn


def spread(available: int, count: int) -> list[int]:
    """``count`` evenly spaced of 0 to ``available - 1``; again from 0 where there are fewer."""
    if count >= available:
        return [place % available for place in range(count)]
    return [round(place * (available - 1) / max(1, count - 1)) for place in range(count)]


def _between(images: Tensor, names: Sequence[str], caption: str) -> Picture:
    steps = (images[:, 1:].double() - images[:, :-1].double()).abs().flatten(2).mean(2)
    mean = steps.mean(1)
    steepest = torch.where(mean > 0, steps.amax(1) / mean.clamp_min(1e-12), torch.nan)
    known = steepest[mean > 0]
    numbers = {
        "steps": images.shape[1],
        "rows": [
            {
                "of": name,
                "mean_step": float(mean[row]),
                "steepest": None if mean[row] == 0 else float(steepest[row]),
            }
            for row, name in enumerate(names)
        ],
        "steepest_median": float(known.median()) if len(known) else None,
    }
    told = (
        f"; largest step over mean step {numbers['steepest_median']:.2f} ({len(steps[0])} were one jump)"
        if len(known)
        else "; nothing changes on the way"
    )
    png = image_png(draw_sheet(images, list(names)))
    return Picture(png, caption + told, numbers, pixels=True)
