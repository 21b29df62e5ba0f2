"""``reacgan sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    device:
        cpu, cuda, cuda:1 (and so on) or mps; auto takes CUDA, then MPS, then the CPU.
    """
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415
    from reacgan.files import as_file_name  # noqa: PLC0415

    loaded, settings = drawing.opened(model, device)
    refuse_inside(out, loaded.experiment.data.path)
    made = {}
    labels = loaded.class_indices(classes)
    folders = sampling.class_folders(loaded.class_names)
    for item in sampling.sample(loaded, classes, num, settings):
        sampling.save_image(item.image, out / as_file_name(folders[item.label]), str(item.seed))
        if grid:
            made[item.label, item.seed] = item.image
    said = f"{len(labels) * num} images in {out}"
    if grid:
        seeds = range(drawing.seed, drawing.seed + num)
        rows = [[made[label, seed] for seed in seeds] for label in labels]
        _save_sheet(rows, [loaded.class_names[label] for label in labels], out / "grid.png")
        said += f", sheet {out / 'grid.png'}"
    print(said)
    drawing.tell(loaded, settings)
    return 0


def _save_sheet(rows: list[list[Tensor]], names: list[str], path: Path) -> None:
    import torch  # noqa: PLC0415

    from reacgan.sampling import save_png, sheet  # noqa: PLC0415

    save_png(sheet(torch.stack([torch.stack(row) for row in rows]), names), path)
