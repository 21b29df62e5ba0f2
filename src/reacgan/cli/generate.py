"""``reacgan generate``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reacgan.cli import bars, streams
from reacgan.cli.answers import Json, answer, print_json
from reacgan.cli.drawing import AS_USUAL, Drawing, renamed
from reacgan.cli.options import Device, Model, Quiet

if TYPE_CHECKING:
    from reacgan.generated import GeneratedSet


def generate(
    model: Model,
    *,
    out: Path,
    to: Literal["folder", "zip", "webdataset", "parquet", "hf"] = "folder",
    num: int | None = None,
    total: int | None = None,
    classes: str = "all",
    distribution: str = "balanced",
    order: Literal["classes", "shuffled"] | None = None,
    shard: int | None = None,
    drawing: Drawing = AS_USUAL,
    device: Device = "auto",
    quiet: Quiet = False,
    json_: Json = False,
) -> int:
    """Generate a data set with labels for other tools.

    A class and a seed are the image of "reacgan sample", and image k of each class has the seed --seed
    plus k. manifest.json says what made the images: model, settings, versions, seeds, counts, digest.
    An interrupted command goes on when it is given again, to the same bytes; another model or other
    settings in the same place are refused.

    Examples: reacgan generate runs/pets --num 1000 --out pets/ |
    reacgan generate runs/pets --total 5000 --distribution cat=3,dog=1 --to zip --out pets.zip |
    reacgan generate runs/pets --num 1000 --to webdataset --out shards/

    Parameters
    ----------
    out:
        The folder to write; with --to zip the file.
    to:
        folder (a folder a class), zip (the same in a file), webdataset (tar shards), parquet (the layout
        of the Hugging Face hub), hf (for datasets.load_from_disk).
    num:
        Images of each class; 100 by default. With another distribution than balanced their mean.
    total:
        Images of all classes, instead of --num.
    classes:
        Names or indices separated by commas, or all.
    distribution:
        balanced; training (as often as in the training images, where they are here); or shares of the
        classes, such as cat=3,dog=1.
    order:
        Class by class, or shuffled by the seed; by default shuffled in webdataset, parquet and hf.
    shard:
        Images of a file of webdataset and parquet; 1000 by default.
    drawing:
        How images are made.
    """
    from reacgan.generated import generate_dataset  # noqa: PLC0415

    loaded, settings = drawing.opened(model, device)
    seen = {"images": 0, "done": 0}
    try:
        with bars.shown(quiet=quiet):
            made = generate_dataset(
                loaded,
                out,
                to=to,
                num=num,
                total=total,
                classes=classes,
                distribution=distribution,
                order=order,
                shard=shard,
                settings=settings,
                progress=lambda done, images: seen.update(done=done, images=images),
            )
    except KeyboardInterrupt as interrupt:
        streams.tell(
            f"stopped at {seen['done']:,} of {seen['images']:,} images; the same command goes on"
        )
        if json_:
            print_json({"path": out, "form": to, **seen, "complete": False})
        return streams.exit_code_of(interrupt)
    answer(_facts(made), lambda: _summary(made), as_json=json_)
    if not quiet:
        drawing.tell(loaded, settings)
    return 0


def _facts(made: GeneratedSet) -> dict[str, Any]:
    manifest = made.manifest or {}
    return {
        "path": made.path,
        "form": made.form,
        "images": made.images,
        "done": made.done,
        "resumed": made.resumed,
        "complete": made.complete,
        "counts": made.counts,
        "digest": made.digest,
        "opened_by": _opened_by(made),
        **{key: manifest[key] for key in ("white", "values") if key in manifest},
    }


def _summary(made: GeneratedSet) -> str:
    """The result in words: how many, where, and how it is opened."""
    from reacgan.data.names import plural  # noqa: PLC0415

    few = list(made.counts.items())
    listed = ", ".join(f"{name} {count:,}" for name, count in few[:6])
    more = f" and {plural(len(few) - 6, 'more class', 'es')}" if len(few) > 6 else ""
    earlier = f" ({made.resumed:,} of them made before)" if made.resumed else ""
    classes = made.manifest["classes"] if made.manifest and made.form in ("folder", "zip") else ()
    pairs = ((entry["name"], entry["folder"]) for entry in classes)
    folders = renamed(pairs, "labels.csv has the true names")
    return (
        f"{made.images:,} images in {made.path}{earlier}: {listed}{more}{folders}\n"
        f"opened by {_opened_by(made)}\ndigest {made.digest}"
    )


def _opened_by(made: GeneratedSet) -> str:
    """What reads the set: a command, or a line of Python."""
    path = str(made.path)
    classes = made.manifest["classes"] if made.manifest else ()
    if made.form == "folder" and any(entry["folder"] != entry["name"] for entry in classes):
        path = str(made.path / "labels.csv")  # which has the names that no folder can have
    return {
        "folder": f"reacgan data inspect {shlex.quote(path)}",
        "zip": f"reacgan evaluate {shlex.quote(path)} --reference ...",
        "webdataset": f"webdataset.WebDataset({made.pattern!r})",
        "parquet": f"datasets.load_dataset({path!r})",
        "hf": f"datasets.load_from_disk({path!r})",
    }[made.form]
