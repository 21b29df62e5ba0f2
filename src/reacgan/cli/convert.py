"""``reacgan weights convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments, Words


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
    unused: Words = (),
    set_: Assignments = (),
    json_: Json = False,
) -> int:
    """Convert published weights (.pth) to a model folder.

    Of networks of BigGAN's type. Only tensors are read: no code in the files runs, and files with code
    are refused.

    Example: reacgan weights convert checkpoints/ --experiment cifar10/reacgan --out models/published

    Parameters
    ----------
    file:
        The generator's .pth, or a folder with model=G_ema-best-...pth and model=D-best-...pth.
    experiment:
        The experiment with these networks: a name or a file.
    out:
        The model folder to write.
    discriminator:
        Its .pth; by default the one in the folder.
    class_names:
        Class names separated by commas, or a text file with one a line.
    in_place_relu:
        Whether the discriminator was trained with in-place ReLUs, so that shortcuts get ReLU(x); auto
        means yes, as in published code.
    average:
        From a folder, whether to take the averaged generator.
    unused:
        Prefixes of names of tensors that no output depends on.
    set_:
        Change the experiment: KEY=VALUE, as for train.
    json_:
        Print JSON instead of text.
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
    networks = "generator and discriminator" if (folder / DISCRIMINATOR).exists() else "generator"
    names = read_config(folder)["class_names"]
    facts = {"folder": folder, "networks": networks.split(" and "), "class_names": names}
    answer(facts, f"{folder}: {networks} of {len(names)} classes", as_json=json_)
    return 0


def _names(given: str | None) -> list[str] | None:
    """Class names from a text file or separated by commas."""
    if given is None:
        return None
    if given.endswith(".txt"):
        lines = Path(given).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return [name.strip() for name in given.split(",")]
