"""``reacgan walk``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Device, load_generator, tell_statistics

if TYPE_CHECKING:
    from reacgan.models.trained import TrainedGenerator


def walk(
    model: Path,
    *,
    out: Path,
    between: str | None = None,
    seeds: str | None = None,
    directions: int = 0,
    classes: str = "all",
    num: int = 8,
    seed: int = 0,
    steps: int = 8,
    span: float = 3.0,
    truncation: float | None = None,
    psi: float | None = None,
    statistics: Literal["auto", "own", "moving", "standing"] = "auto",
    device: Device = "auto",
    json_: Json = False,
) -> int:
    """Draw sheets of interpolations between two classes or seeds, or along latent directions.

    Between classes: <out>/between.png, a row a seed. Between seeds: the same, a row a
    class. Between both: one row. Directions: <out>/direction-1.png and so on, a row a
    class; they are those in which the first layers react most (SeFa), strongest first.

    Example: reacgan walk runs/pets --between cat,dog --directions 3 --out walk/

    Parameters
    ----------
    model:
        A run's folder or a model folder.
    out:
        Where to write.
    between:
        Two classes, names or indices separated by a comma.
    seeds:
        Two seeds separated by a comma.
    directions:
        How many directions.
    classes:
        The rows, where they are classes: names or indices separated by commas, or all.
    num:
        How many seeds, where rows are seeds.
    seed:
        The first of these, or the one that directions pass through.
    steps:
        Images in a row, both ends included.
    span:
        How far to go to each side along a direction; the latent's standard deviation is 1.
    truncation:
        As in sample.
    psi:
        As in sample.
    statistics:
        As in sample.
    device:
        As in sample.
    json_:
        Print JSON instead of text.
    """
    import torch  # noqa: PLC0415

    from reacgan import sampling  # noqa: PLC0415
    from reacgan.config import ConfigError  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415

    if not (between or seeds or directions):
        raise ConfigError("nothing to draw: give --between A,B, --seeds 0,1 or --directions 3")
    loaded = load_generator(model, statistics, device)
    refuse_inside(out, loaded.experiment.data.path)
    settings = sampling.SamplingSettings(truncation, psi)
    options: dict[str, Any] = {"steps": steps, "settings": settings}
    drawn = {}
    if between or seeds:
        ways = _ways(loaded, between, seeds, classes, range(seed, seed + num))
        rows = [
            sampling.interpolate(loaded, classes=way[1], seeds=way[2], **options) for way in ways
        ]
        drawn["between"] = torch.stack(rows), [way[0] for way in ways]
    if directions:
        names = [loaded.class_names[label] for label in loaded.class_indices(classes)]
        options |= {"classes": classes, "settings": replace(settings, seed=seed), "span": span}
        axes = sampling.semantic_directions(loaded.generator, directions)
        for number, direction in enumerate(axes, 1):
            drawn[f"direction-{number}"] = sampling.walk(loaded, direction, **options), names
    for name, (images, captions) in drawn.items():
        sampling.save_png(sampling.sheet(images, captions), out / f"{name}.png")
    files = [out / f"{name}.png" for name in drawn]
    answer({"files": files}, "\n".join(map(str, files)), as_json=json_)
    tell_statistics(loaded, statistics)
    return 0


def _ways(
    model: TrainedGenerator,
    between: str | None,
    seeds: str | None,
    classes: str,
    row_seeds: Sequence[int],
) -> list[tuple[str, tuple[int, int], tuple[int, int]]]:
    """A caption, two classes and two seeds for each row."""
    from reacgan.config import ConfigError  # noqa: PLC0415

    ends, numbers = None, None
    if between:
        labels = model.class_indices(between)
        if len(labels) != 2:
            raise ConfigError(f"--between {between}: needed: two classes separated by a comma")
        ends = labels[0], labels[1]
    if seeds:
        parts = [part.strip() for part in seeds.split(",")]
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise ConfigError(f"--seeds {seeds}: needed: two seeds separated by a comma, as 0,1")
        numbers = int(parts[0]), int(parts[1])
    if ends is None:
        labels, pair = model.class_indices(classes), numbers or (0, 0)
        return [(model.class_names[label], (label, label), pair) for label in labels]
    if numbers is None:
        if not row_seeds:
            raise ConfigError(f"num is {len(row_seeds)}; allowed: 1 or more")
        return [(str(seed), ends, (seed, seed)) for seed in row_seeds]
    return [(f"{numbers[0]} - {numbers[1]}", ends, numbers)]
