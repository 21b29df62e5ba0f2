"""``reacgan walk``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Device, load_generator, tell_statistics

if TYPE_CHECKING:
    from torch import Tensor

    from reacgan.models.trained import TrainedGenerator
    from reacgan.sampling import SamplingSettings


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
    """Draw walks between classes or seeds, along directions.

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
    json_:
        Print JSON instead of text.
    """
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.config import ConfigError, refuse_unwritable  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415

    if not (between or seeds or directions):
        raise ConfigError("nothing to draw: give --between A,B, --seeds 0,1 or --directions 3")
    refuse_unwritable(out, "folder")
    kinds = tuple(kind for kind, wanted in (("gif", gif), ("mp4", mp4)) if wanted)
    film = sampling.Film(kinds, frames, fps, once, scale)
    loaded = load_generator(model, statistics, device)
    refuse_inside(out, loaded.experiment.data.path)
    settings = sampling.SamplingSettings(truncation, psi, seed=seed)
    ways = _ways(loaded, between, seeds, classes, range(seed, seed + num))
    walks = _Walks(loaded, settings, ways if between or seeds else [], directions, classes, span)
    files: list[Path] = []
    for name, images, words in walks.drawn(steps):
        files += sampling.save_sheets(sampling.sheets(images, **words), out, name)
    for name, images, _ in walks.drawn(film.frames) if film.kinds else ():
        files += film.save(images, out, name)
    answer({"files": files}, "\n".join(map(str, files)), as_json=json_)
    tell_statistics(loaded, statistics)
    return 0


class _Way(NamedTuple):
    """A row: what is written at both ends, two classes and two seeds."""

    start: str
    end: str
    classes: tuple[int, int]
    seeds: tuple[int, int]


@dataclass(frozen=True)
class _Walks:
    """What is drawn, with any number of steps."""

    model: TrainedGenerator
    settings: SamplingSettings
    ways: list[_Way]
    directions: int
    classes: str
    span: float

    def drawn(self, steps: int) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
        """A name, images [rows, steps, C, H, W], and the words of their sheet."""
        import torch  # noqa: PLC0415

        from reacgan import sampling  # noqa: PLC0415

        if self.ways:
            settings = replace(self.settings, seed=None)
            rows = [
                sampling.interpolate(
                    self.model, classes=way.classes, seeds=way.seeds, steps=steps, settings=settings
                )
                for way in self.ways
            ]
            yield "between", torch.stack(rows), _beside_ways(self.ways, steps)
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
            where = f"seed {self.settings.seed} moved along direction {number} of {self.directions}"
            words = _beside_direction(names, where, self.span, steps)
            yield f"direction-{number}", images, words


def _beside_ways(ways: Sequence[_Way], steps: int) -> dict[str, Any]:
    """The words of a sheet: both ends of each row, and the share of the way above the columns."""
    from reacgan.sampling import share_heads  # noqa: PLC0415

    return {
        "names": [way.start for way in ways],
        "ends": [way.end for way in ways],
        "heads": share_heads(steps),
    }


def _beside_direction(names: Sequence[str], where: str, span: float, steps: int) -> dict[str, Any]:
    """The words of a sheet: classes, and the scale above the columns."""
    offsets = [f"{-span + 2 * span * step / (steps - 1):+.3g}" for step in range(steps)]
    caption = f"{where}, by standard deviations of the latent"
    return {"names": names, "heads": offsets, "caption": caption}


def _ways(
    model: TrainedGenerator,
    between: str | None,
    seeds: str | None,
    classes: str,
    row_seeds: Sequence[int],
) -> list[_Way]:
    """What is drawn in each row."""
    from reacgan.config import ConfigError  # noqa: PLC0415

    def way(ends: tuple[int, int], numbers: tuple[int, int]) -> _Way:
        words = [
            f"{model.class_names[label]}\nseed {number}"
            for label, number in zip(ends, numbers, strict=True)
        ]
        return _Way(words[0], words[1], ends, numbers)

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
        pair = numbers or (0, 0)
        return [way((label, label), pair) for label in model.class_indices(classes)]
    if numbers is None:
        if not row_seeds:
            raise ConfigError(f"num is {len(row_seeds)}; allowed: 1 or more")
        return [way(ends, (seed, seed)) for seed in row_seeds]
    return [way(ends, numbers)]
