"""``reacgan walk``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Device, load_generator, tell_statistics

if TYPE_CHECKING:
    from torch import Tensor

    from reacgan.models.trained import TrainedGenerator
    from reacgan.sampling import SamplingSettings

Way: TypeAlias = "tuple[str, tuple[int, int], tuple[int, int]]"
"""A caption, two classes and two seeds."""


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
    gif: bool = False,
    mp4: bool = False,
    frames: int = 48,
    fps: float = 24,
    once: bool = False,
    scale: int | None = None,
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
    gif:
        Also a film <out>/between.gif and so on: all rows in one frame, there and back without end.
    mp4:
        The same as MP4.
    frames:
        Of a film, from one end to the other.
    fps:
        Frames a second.
    once:
        From one end to the other and not back.
    scale:
        Enlarge the images of films by this whole factor; by default until a frame has 256 pixels.
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
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.config import ConfigError  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415

    if not (between or seeds or directions):
        raise ConfigError("nothing to draw: give --between A,B, --seeds 0,1 or --directions 3")
    kinds = tuple(kind for kind, wanted in (("gif", gif), ("mp4", mp4)) if wanted)
    film = sampling.Film(kinds, frames, fps, once, scale)
    loaded = load_generator(model, statistics, device)
    refuse_inside(out, loaded.experiment.data.path)
    settings = sampling.SamplingSettings(truncation, psi, seed=seed)
    ways = _ways(loaded, between, seeds, classes, range(seed, seed + num))
    walks = _Walks(loaded, settings, ways if between or seeds else [], directions, classes, span)
    files: list[Path] = []
    for name, images, captions in walks.drawn(steps):
        sampling.save_png(sampling.sheet(images, captions), out / f"{name}.png")
        files.append(out / f"{name}.png")
    for name, images, _ in walks.drawn(film.frames) if film.kinds else ():
        files += film.save(images, out, name)
    answer({"files": files}, "\n".join(map(str, files)), as_json=json_)
    tell_statistics(loaded, statistics)
    return 0


@dataclass(frozen=True)
class _Walks:
    """What is drawn, with any number of steps."""

    model: TrainedGenerator
    settings: SamplingSettings
    ways: list[Way]
    directions: int
    classes: str
    span: float

    def drawn(self, steps: int) -> Iterator[tuple[str, Tensor, list[str]]]:
        """A name, images [rows, steps, C, H, W], and a caption for each row."""
        import torch  # noqa: PLC0415

        from reacgan import sampling  # noqa: PLC0415

        if self.ways:
            settings = replace(self.settings, seed=None)
            rows = [
                sampling.interpolate(
                    self.model, classes=ends, seeds=seeds, steps=steps, settings=settings
                )
                for _, ends, seeds in self.ways
            ]
            yield "between", torch.stack(rows), [caption for caption, _, _ in self.ways]
        if not self.directions:
            return
        names = [self.model.class_names[label] for label in self.model.class_indices(self.classes)]
        axes = sampling.semantic_directions(self.model.generator, self.directions)
        for number, direction in enumerate(axes, 1):
            images = sampling.walk(
                self.model,
                direction,
                classes=self.classes,
                span=self.span,
                steps=steps,
                settings=self.settings,
            )
            yield f"direction-{number}", images, names


def _ways(
    model: TrainedGenerator,
    between: str | None,
    seeds: str | None,
    classes: str,
    row_seeds: Sequence[int],
) -> list[Way]:
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
