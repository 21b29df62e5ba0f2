"""``reacgan sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reacgan.cli.drawing import AS_USUAL, Drawing
from reacgan.cli.options import Device

if TYPE_CHECKING:
    from torch import Tensor


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
    device:
        cpu, cuda, cuda:1 (and so on) or mps; auto takes CUDA, then MPS, then the CPU.
    """
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.config import size_of  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415
    from reacgan.files import as_file_name  # noqa: PLC0415

    enlarging = sampling.Enlarging(scale, side, resample)
    loaded, settings = drawing.opened(model, device)
    refuse_inside(out, loaded.experiment.data.path)
    size = size_of(loaded.experiment.data.resolution)
    larger = enlarging.describe(*size)
    made = {}
    labels = loaded.class_indices(classes)
    folders = sampling.class_folders(loaded.class_names)
    for item in sampling.sample(loaded, classes, num, settings):
        image = enlarging.apply(item.image)
        sampling.save_image(image, out / as_file_name(folders[item.label]), str(item.seed))
        if grid:
            made[item.label, item.seed] = image
    said = f"{len(labels) * num} images in {out}"
    if grid:
        seeds = range(drawing.seed, drawing.seed + num)
        rows = [[made[label, seed] for seed in seeds] for label in labels]
        _save_sheet(rows, [loaded.class_names[label] for label in labels], out / "grid.png")
        said += f", sheet {out / 'grid.png'}"
    print(f"{said}; {larger}" if larger else said)
    drawing.tell(loaded, settings)
    return 0


def _save_sheet(rows: list[list[Tensor]], names: list[str], path: Path) -> None:
    import torch  # noqa: PLC0415

    from reacgan.sampling import save_png, sheet  # noqa: PLC0415

    save_png(sheet(torch.stack([torch.stack(row) for row in rows]), names), path)
