"""``reacgan sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def sample(
    model: Path,
    *,
    out: Path,
    classes: str = "all",
    num: int = 8,
    seed: int = 0,
    truncation: float | None = None,
    grid: bool = False,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> int:
    """Generate images: <out>/<class>/<seed>.png.

    A class and a seed are always the same image, whatever else is asked for.

    Example: reacgan sample runs/digits-reacgan --classes 3,7 --num 16 --grid --out images/

    Parameters
    ----------
    model:
        A run's folder or a model folder.
    out:
        Where to write.
    classes:
        Names or indices with commas between, or all.
    num:
        Images of each class.
    seed:
        The first seed; the others follow it.
    truncation:
        Largest absolute value of the latent, such as 0.7: less variety, more typical images.
    grid:
        Also write one sheet of all of them, grid.png, a row a class.
    device:
        auto takes CUDA, then MPS, then the CPU.
    """
    import torch  # noqa: PLC0415

    from reacgan.hub import load  # noqa: PLC0415
    from reacgan.sampling import picture_of, sample, save_png, sheet  # noqa: PLC0415

    loaded = load(model, device=device)
    made = []
    rows = len(loaded.class_indices(classes))
    for item in sample(loaded, classes, num, seed=seed, truncation=truncation):
        folder = folder_name(item.class_name, item.label)
        save_png(picture_of(item.image), out / folder / f"{item.seed}.png")
        if grid:
            made.append(item)
    if grid:
        images = torch.stack([item.image for item in made]).unflatten(0, (rows, num))
        names = [made[row * num].class_name for row in range(rows)]
        save_png(sheet(images, names), out / "grid.png")
    print(f"{rows * num} images in {out}" + (f", sheet {out / 'grid.png'}" if grid else ""))
    return 0


def folder_name(class_name: str, label: int) -> str:
    """The class name as a folder; one that cannot be a folder becomes its index, ~ and what is left.

    No safe name holds a ~, so two classes never share a folder.
    """
    safe = "".join(mark if mark.isalnum() or mark in " -_.,()'" else "_" for mark in class_name)
    safe = safe.strip(" .")
    return safe if safe == class_name and safe else f"{label}~{safe}"
