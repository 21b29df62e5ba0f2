"""``reacgan augment-study``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from reacgan.cli import bars, streams
from reacgan.cli.answers import Json, answer, print_json
from reacgan.cli.drawing import AS_USUAL, Drawing
from reacgan.cli.options import Device, Model, Quiet

if TYPE_CHECKING:
    from reacgan.benefit import Study

Number = TypeVar("Number", int, float)


def augment_study(
    model: Model,
    *,
    data: str | None = None,
    held_out: str | None = None,
    amounts: str = "0.5,1,2",
    sizes: str = "",
    repeats: int = 3,
    steps: int | None = None,
    width: int = 16,
    batch: int = 64,
    flip: Literal["as the run", "yes", "no"] = "as the run",
    drawing: Drawing = AS_USUAL,
    out: Path | None = None,
    device: Device = "auto",
    quiet: Quiet = False,
    json_: Json = False,
) -> int:
    """Measure whether generated data helps your classifier.

    The same small classifier learns from real images alone, from generated ones alone and from mixtures,
    and is tested on held-out real images that neither it nor the generator has seen. Prints a table and a
    verdict; writes study.json and study.png. An interrupted study goes on.

    Examples: reacgan augment-study runs/pets | reacgan augment-study runs/pets --data pets/ --sizes 10,50 |
    reacgan augment-study runs/pets --held-out new-photos/ --repeats 5 --steps 1000

    Parameters
    ----------
    data:
        The real images: a folder with train/ and test/, or another set; by default those of the run.
    held_out:
        Real images to test on; by default the test part of the data.
    amounts:
        Generated images for each real one, in the mixtures.
    sizes:
        Compare with so many real images of each class, such as 10,50; by default with all.
    repeats:
        Of each training, with other weights, order and generated images.
    steps:
        Of each training; by default ten passes over the real images, 300 to 3000.
    width:
        Channels of the classifier's first stage.
    batch:
        Images of a step.
    flip:
        Mirror half of the training images: as the run did, yes, or no.
    drawing:
        How images are made.
    out:
        Where to write; by default augment-study in the run's folder.
    """
    from reacgan.benefit import augment_study as study_of  # noqa: PLC0415
    from reacgan.benefit.showing import table  # noqa: PLC0415
    from reacgan.benefit.study import Recipe  # noqa: PLC0415
    from reacgan.reports.output import folder_for  # noqa: PLC0415

    loaded, settings = drawing.opened(model, device)
    folder = out or folder_for(model, None) / "augment-study"
    mirrored = {"yes": True, "no": False}.get(flip, loaded.experiment.data.flip)
    try:
        with bars.shown(quiet=quiet):
            study = study_of(
                loaded,
                data,
                held_out=held_out,
                out=folder,
                amounts=_numbers(amounts, "amounts", float),
                sizes=_numbers(sizes, "sizes", int),
                repeats=repeats,
                recipe=Recipe(steps=steps, width=width, batch=batch, flip=mirrored),
                settings=settings,
                device=device,
            )
    except KeyboardInterrupt as interrupt:
        streams.tell(f"stopped; what is finished is in {folder}, and the same command goes on")
        if json_:
            print_json({"folder": folder, "complete": False})
        return streams.exit_code_of(interrupt)
    files = [folder / "study.json", *_drawn(study, folder / "study.png", quiet=quiet)]
    text = f"{table(study)}\n\nwritten: {', '.join(map(str, files))}"
    answer({**study.to_json(), "files": files}, lambda: streams.fitted(text), as_json=json_)
    return 0


def _drawn(study: Study, path: Path, *, quiet: bool) -> list[Path]:
    """Write the figure; its path, or nothing where it cannot be drawn."""
    from reacgan.benefit.showing import figure  # noqa: PLC0415
    from reacgan.files import replacing  # noqa: PLC0415
    from reacgan.reports.plots import have_plots  # noqa: PLC0415

    if not have_plots():
        if not quiet:
            streams.tell(
                "note: no figure, since matplotlib is missing: pip install 'reacgan[plots]'"
            )
        return []
    with replacing(path) as temporary:
        temporary.write_bytes(figure(study))
    return [path]


def _numbers(text: str, name: str, kind: Callable[[str], Number]) -> list[Number]:
    """Numbers separated by commas."""
    from reacgan.config import ConfigError  # noqa: PLC0415

    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(
            f"--{name} {text!r}: needed: numbers separated by commas, such as 1,2"
        ) from None
