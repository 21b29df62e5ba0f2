"""``reacgan sample``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reacgan.cli import bars
from reacgan.cli.answers import Json, answer
from reacgan.cli.drawing import AS_USUAL, Drawing, renamed
from reacgan.cli.options import Device

if TYPE_CHECKING:
    from torch import Tensor

    from reacgan.sampling import Sample


def sample(
    model: Path,
    *,
    out: Path,
    classes: str = "all",
    num: int = 8,
    drawing: Drawing = AS_USUAL,
    grid: bool = False,
    scale: int | None = None,
    side: int | None = None,
    resample: Literal["nearest", "bicubic", "lanczos"] = "nearest",
    device: Device = "auto",
    json_: Json = False,
) -> int:
    """Generate images: <out>/<class>/<seed>.png.

    A class and a seed always give the same image; kinds of device and precisions differ in some
    pixels, by a few of 255 grey levels. Images with other than 1, 3 or 4 channels become arrays
    [height, width, channels], <seed>.npy. For a data set, see "reacgan generate".

    Example: reacgan sample runs/digits-reacgan --classes 3,7 --num 16 --grid --out images/

    Parameters
    ----------
    model:
        A run's folder or a model folder.
    out:
        Where to write.
    classes:
        Names or indices separated by commas, or all.
    num:
        Images of each class.
    drawing:
        How images are made.
    grid:
        Also write one sheet of all of them, grid.png, a row a class.
    scale:
        Enlarge images by this whole factor.
    side:
        Enlarge images until the longer side has this many pixels.
    resample:
        How: nearest repeats pixels and adds nothing; bicubic and lanczos are smooth.
    json_:
        Print JSON instead of text.
    """
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.config import refuse_unwritable, size_of  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415
    from reacgan.data.names import plural  # noqa: PLC0415
    from reacgan.progress import counted  # noqa: PLC0415

    refuse_unwritable(out, "folder")
    enlarging = sampling.Enlarging(scale, side, resample)
    loaded, settings = drawing.opened(model, device)
    refuse_inside(out, loaded.experiment.data.path)
    larger = enlarging.describe(*size_of(loaded.experiment.data.resolution))
    made: dict[tuple[int, int], Tensor] | None = {} if grid else None
    labels = loaded.class_indices(classes)
    with bars.shown():
        samples = sampling.sample(loaded, classes, num, settings)
        counting = counted(samples, "generating", len(labels) * num)
        enlarged = (replace(item, image=enlarging.apply(item.image)) for item in counting)
        files = _write(loaded.class_names, enlarged, out, made)
    precision = settings.precision_on(next(loaded.generator.parameters()).device)
    facts: dict[str, Any] = {"folder": out, "images": files, "precision": precision}
    said = f"{plural(len(labels) * num, 'image')} in {out}"
    if made is not None:
        sheets = _save_sheets(made, loaded.class_names, out)
        facts["sheets"] = sheets
        said += f", sheet{'s' * (len(sheets) > 1)} {', '.join(map(str, sheets))}"
    names = loaded.class_names
    folders = list(zip(names, sampling.class_folders(names), strict=True))
    other = renamed(folders[label] for label in dict.fromkeys(labels))
    answer(facts, (f"{said}; {larger}" if larger else said) + other, as_json=json_)
    drawing.tell(loaded, settings)
    return 0


def _write(
    names: tuple[str, ...],
    samples: Iterable[Sample],
    out: Path,
    made: dict[tuple[int, int], Tensor] | None,
) -> list[dict[str, Any]]:
    """Write each image as it is generated, and keep it in ``made``; what was written."""
    from reacgan.files import as_file_name  # noqa: PLC0415
    from reacgan.sampling import class_folders, save_image  # noqa: PLC0415

    folders = class_folders(names)
    files = []
    for item in samples:
        path = save_image(item.image, out / as_file_name(folders[item.label]), str(item.seed))
        files.append({"file": path, "class": item.class_name, "seed": item.seed})
        if made is not None:
            made[item.label, item.seed] = item.image
    return files


def _save_sheets(
    made: dict[tuple[int, int], Tensor], names: tuple[str, ...], folder: Path
) -> list[Path]:
    """A row a class, a column a seed; in pages where it is long."""
    import torch  # noqa: PLC0415

    from reacgan.sampling import save_sheets, seed_heads, sheets  # noqa: PLC0415

    labels = list(dict.fromkeys(label for label, _ in made))
    seeds = sorted({seed for _, seed in made})
    images = torch.stack([torch.stack([made[label, seed] for seed in seeds]) for label in labels])
    rows = [names[label] for label in labels]
    return save_sheets(sheets(images, rows, heads=seed_heads(seeds)), folder, "grid")
