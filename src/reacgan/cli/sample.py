"""``reacgan sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reacgan.cli import streams
from reacgan.cli.options import Device, load_generator, tell_statistics

if TYPE_CHECKING:
    from torch import Tensor

    from reacgan.sampling import Langevin


def sample(
    model: Path,
    *,
    out: Path,
    classes: str = "all",
    num: int = 8,
    seed: int = 0,
    truncation: float | None = None,
    psi: float | None = None,
    psi_layers: int | None = None,
    statistics: Literal["auto", "own", "moving", "batch", "standing"] = "auto",
    langevin: int = 0,
    langevin_rate: float = 0.01,
    langevin_noise: float = 1.0,
    toward: str | None = None,
    along: str | None = None,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    grid: bool = False,
    device: Device = "auto",
) -> int:
    """Generate images: <out>/<class>/<seed>.png.

    A class and a seed always give the same image; kinds of device and precisions differ in some
    pixels, by a few of 255 grey levels. Images with other than 1, 3 or 4 channels become arrays
    [height, width, channels], <seed>.npy.

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
    seed:
        The first seed; the others follow it.
    truncation:
        Largest absolute value of the latent, such as 0.7: less variety, more typical images.
    psi:
        Truncate styles towards their mean, such as 0.7; 1 is no truncation. Networks with styles only.
    psi_layers:
        With --psi: only in this many first layers.
    statistics:
        Of batch norms: auto takes the averages of training where they fit the generator, else its own;
        own; moving (the averages of training); batch (a class and a seed then do not fix the image);
        standing (collected anew).
    langevin:
        Langevin dynamics: move each latent by this many steps to where the run's discriminator scores
        higher.
    langevin_rate:
        Length of these steps.
    langevin_noise:
        Standard deviation of their noise; below 1 latents also shrink towards 0.
    toward:
        Move each latent towards that of another seed, such as 7:0.25: a quarter of the way to seed 7;
        several separated by commas.
    along:
        Then along a direction of SeFa (see walk), such as 1:2,3:-0.5: by 2 standard deviations along
        the strongest, and by half of one back along the third.
    precision:
        Of the generator: auto is bfloat16 on a GPU that has it, float32 elsewhere.
    grid:
        Also write one sheet of all of them, grid.png, a row a class.
    device:
        cpu, cuda, cuda:1 (and so on) or mps; auto takes CUDA, then MPS, then the CPU.
    """
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415
    from reacgan.files import as_file_name  # noqa: PLC0415

    chain = _chain(model, device, langevin, langevin_rate, langevin_noise)
    moves = sampling.parse_moves(toward, along)
    settings = sampling.SamplingSettings(
        truncation, psi, psi_layers, seed=seed, precision=precision, langevin=chain, moves=moves
    )
    loaded = load_generator(model, statistics, device)
    made_in = settings.precision_on(next(loaded.generator.parameters()).device)
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
        rows = [[made[label, seed + offset] for offset in range(num)] for label in labels]
        _save_sheet(rows, [loaded.class_names[label] for label in labels], out / "grid.png")
        said += f", sheet {out / 'grid.png'}"
    print(said)
    tell_statistics(loaded, statistics)
    if made_in != "float32":
        streams.tell(f"note: made in {made_in}; --precision float32 takes the other")
    return 0


def _chain(model: Path, device: str, steps: int, rate: float, noise: float) -> Langevin | None:
    from reacgan.hub import load_discriminator  # noqa: PLC0415
    from reacgan.sampling import Langevin  # noqa: PLC0415

    return Langevin(load_discriminator(model, device=device), steps, rate, noise) if steps else None


def _save_sheet(rows: list[list[Tensor]], names: list[str], path: Path) -> None:
    import torch  # noqa: PLC0415

    from reacgan.sampling import save_png, sheet  # noqa: PLC0415

    save_png(sheet(torch.stack([torch.stack(row) for row in rows]), names), path)
