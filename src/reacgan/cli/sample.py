"""``reacgan sample``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reacgan.cli import bars, streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Device, load_generator, tell_statistics

if TYPE_CHECKING:
    from torch import Tensor

    from reacgan.sampling import Sample


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
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    grid: bool = False,
    device: Device = "auto",
    json_: Json = False,
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
    precision:
        Of the generator: auto is bfloat16 on a GPU that has it, float32 elsewhere.
    grid:
        Also write one sheet of all of them, grid.png, a row a class.
    device:
        cpu, cuda, cuda:1 (and so on) or mps; auto takes CUDA, then MPS, then the CPU.
    json_:
        Print JSON instead of text.
    """
    from reacgan import sampling  # noqa: PLC0415
    from reacgan.data import refuse_inside  # noqa: PLC0415
    from reacgan.hub import load_discriminator  # noqa: PLC0415
    from reacgan.progress import counted  # noqa: PLC0415

    chain = None
    if langevin:
        discriminator = load_discriminator(model, device=device)
        chain = sampling.Langevin(discriminator, langevin, langevin_rate, langevin_noise)
    settings = sampling.SamplingSettings(
        truncation, psi, psi_layers, seed=seed, precision=precision, langevin=chain
    )
    loaded = load_generator(model, statistics, device)
    made_in = settings.precision_on(next(loaded.generator.parameters()).device)
    refuse_inside(out, loaded.experiment.data.path)
    made: dict[tuple[int, int], Tensor] | None = {} if grid else None
    labels = loaded.class_indices(classes)
    with bars.shown():
        samples = sampling.sample(loaded, classes, num, settings)
        samples = counted(samples, "generating", len(labels) * num)
        files = _write(loaded.class_names, samples, out, made)
    facts: dict[str, Any] = {"folder": out, "images": files, "precision": made_in}
    said = f"{len(labels) * num} images in {out}"
    if made is not None:
        facts["sheet"] = _save_sheet(made, loaded.class_names, out / "grid.png")
        said += f", sheet {facts['sheet']}"
    answer(facts, said, as_json=json_)
    tell_statistics(loaded, statistics)
    if made_in != "float32":
        streams.tell(f"note: made in {made_in}; --precision float32 takes the other")
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


def _save_sheet(made: dict[tuple[int, int], Tensor], names: tuple[str, ...], path: Path) -> Path:
    """A row a class, a column a seed."""
    import torch  # noqa: PLC0415

    from reacgan.sampling import save_png, sheet  # noqa: PLC0415

    labels = list(dict.fromkeys(label for label, _ in made))
    seeds = sorted({seed for _, seed in made})
    rows = [torch.stack([made[label, seed] for seed in seeds]) for label in labels]
    save_png(sheet(torch.stack(rows), [names[label] for label in labels]), path)
    return path
