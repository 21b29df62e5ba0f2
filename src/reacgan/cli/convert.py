"""``reacgan weights convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def convert(
    file: Path,
    /,
    *,
    experiment: str,
    out: Path,
    discriminator: Path | None = None,
    class_names: str | None = None,
    in_place_relu: Literal["auto", "yes", "no"] = "auto",
    average: Literal["yes", "no"] = "yes",
    unused: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    set_: Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True)] = (),
) -> int:
    """Convert published weights (.pth) of a BigGAN-type network to a model folder.

    Files are read as tensors alone: nothing in them runs, and what holds code is refused.

    Example: reacgan weights convert checkpoints/ --experiment cifar10/reacgan --out models/published

    Parameters
    ----------
    file:
        The generator's .pth, or a folder with model=G_ema-best-...pth and model=D-best-...pth.
    experiment:
        Whose networks these are: a name, or a file of an experiment.
    out:
        The model folder to write.
    discriminator:
        Its .pth; of a folder the one in it.
    class_names:
        Names of the classes with commas between, or a text file with one a line.
    in_place_relu:
        Whether shortcuts of the discriminator that was trained saw ReLU(x); auto says yes, as
        published code does.
    average:
        Of a folder, whether to take the averaged generator.
    unused:
        Beginnings of names of tensors that no output depends on.
    set_:
        Change the experiment: KEY=VALUE, as for train.
    """
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.experiments import named_or_file  # noqa: PLC0415
    from reacgan.hub.convert import convert_checkpoint  # noqa: PLC0415
    from reacgan.hub.folder import DISCRIMINATOR, read_config  # noqa: PLC0415

    chosen = named_or_file(experiment)
    choice: dict[str, bool | Literal["auto"]] = {"auto": "auto", "yes": True, "no": False}
    folder = convert_checkpoint(
        file,
        chosen.replace(**parse_assignments(set_)),
        out=out,
        class_names=_names(class_names),
        discriminator=discriminator,
        in_place_relu=choice[in_place_relu],
        use_average=average == "yes",
        unused=unused,
    )
    judged = (folder / DISCRIMINATOR).exists()
    count = len(read_config(folder)["class_names"])
    print(f"{folder}: generator{' and discriminator' if judged else ''} of {count} classes")
    return 0


def _names(given: str | None) -> list[str] | None:
    """Of a text file one a line, or with commas between."""
    if given is None:
        return None
    if given.endswith(".txt"):
        lines = Path(given).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return [name.strip() for name in given.split(",")]
