"""``reacgan data``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cyclopts

from reacgan.cli import bars, streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments, Named, parse_resolution

if TYPE_CHECKING:
    from reacgan.data import ImageData


def app() -> cyclopts.App:
    """The commands below ``data``."""
    group = cyclopts.App(name="data", help="Data sets: list, inspect, pack into one file.")
    group.command(list_datasets, name="list")
    group.command(inspect)
    group.command(prepare)
    return group


def list_datasets(*, json_: Json = False) -> int:
    """List the registered data sets, with path and options of each.

    They go into data.name, data.path and data.options: --set data.name=cub200
    data.path=CUB_200_2011.tgz data.options.box=true. The option white is for images of more than 8
    bits: the value that becomes 255. With max_refused=0.2 a fifth of the files may be unusable.

    Parameters
    ----------
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import load_plugins  # noqa: PLC0415
    from reacgan.data import DATASETS, LISTERS, describe_opener  # noqa: PLC0415
    from reacgan.data.scan import MAX_REFUSED  # noqa: PLC0415

    load_plugins()
    width = max(map(len, DATASETS)) + 2
    datasets, lines = [], []
    for name, opener in DATASETS.items():
        said = describe_opener(opener)
        if name in LISTERS:
            also = f"white, max_refused={MAX_REFUSED}"
            said["options"] = ", ".join(filter(None, (said["options"], also)))
        datasets.append({"name": name, **said})
        lines.append(f"{name:{width}}{said['what']}")
        lines += [f"{'':{width}}{key}: {said[key]}" for key in ("path", "options") if said[key]]
    answer({"datasets": datasets}, "\n".join(lines), as_json=json_)
    return 0


def inspect(
    path: Named,
    *,
    split: Literal["train", "test"] = "train",
    set_: Assignments = (),
    list_refused: Path | None = None,
    json_: Json = False,
) -> int:
    """Report what a set of images holds and what would be refused.

    Nothing is changed. "reacgan new" says the same, and proposes how to train on it.

    Examples: reacgan data inspect photos/ | reacgan data inspect cub200:CUB_200_2011.tgz

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those; a packed
        file; a table (.csv, .jsonl); or a registered data set as NAME or NAME:PATH.
    split:
        Which part to inspect.
    set_:
        Options of the data set: --set data.options.label=Art, or --set train_on_all=true.
    list_refused:
        Write the refused files and the reasons here.
    json_:
        Print JSON instead of text.
    """
    from reacgan.data import (  # noqa: PLC0415
        DataError,
        report_refused,
        survey_dataset,
    )
    from reacgan.data.overview import overview_of  # noqa: PLC0415
    from reacgan.experiments.derive import find_set  # noqa: PLC0415

    config = find_set(path, options=_options(set_))
    with bars.shown():
        surveyed = survey_dataset(config, split, again=True)
        overview = overview_of(surveyed)
    lines = [overview.text()]
    if overview.refusal:
        lines.append(f"training would refuse this: {overview.refusal}")
    if list_refused is not None:
        if overview.digest is not None:
            raise DataError(f"{path}: only sets that are read as single files have refused files")
        report_refused(overview.refused, list_refused)
        lines.append(f"list of refused files: {list_refused}")
    facts = {**overview.facts(), "refused_list": list_refused}
    answer(facts, lambda: streams.fitted("\n".join(lines)), as_json=json_)
    return 0


def prepare(
    path: Path,
    out: Path,
    *,
    resolution: str,
    channels: int | None = None,
    max_refused: float = 0.05,
    max_pixels: int | None = None,
    white: float | None = None,
    set_: Assignments = (),
    json_: Json = False,
) -> int:
    """Pack a folder or table of images into one file.

    The file is mapped into memory, so training from it starts at once: reacgan train NAME --data OUT,
    or reacgan train --data OUT.

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those; or a table
        (.csv, .tsv, .jsonl).
    out:
        The file to write, such as photos.safetensors.
    resolution:
        Side in pixels, or height and width: 64, or 64x96.
    channels:
        1, 3 or 4, or what arrays (.npy) have; by default 1 where all images are grey.
    max_refused:
        Stop when more than this share of the files cannot be used.
    max_pixels:
        Refuse larger images; by default REACGAN_MAX_PIXELS, or 64 million.
    white:
        For images of more than 8 bits, the value that becomes 255, such as 4095; by default the end of
        the first of 8, 10, 12, 14 or 16 bits (of floats also 0..1) that holds all training images.
    set_:
        Options of a table: --set data.options.label=Art.
    json_:
        Print JSON instead of text.
    """
    from reacgan.data import DataError, prepare_data, refuse_inside  # noqa: PLC0415

    refuse_inside(out, path)
    if out.exists():
        raise DataError(f"{out}: exists; choose another name, or delete it first")
    with bars.shown():
        options = _options(set_)
        data = prepare_data(
            path,
            out,
            resolution=parse_resolution(resolution),
            channels=channels,
            max_refused=options.pop("max_refused", max_refused),
            max_pixels=max_pixels,
            white=options.pop("white", white),
            options=options,
        )
    facts, text = _packed(out, data)
    answer(facts, text, as_json=json_)
    return 0


def _packed(out: Path, data: ImageData) -> tuple[dict[str, Any], str]:
    """A packed file in facts and in words."""
    from reacgan.data.names import plural  # noqa: PLC0415
    from reacgan.outlook import white_in_words  # noqa: PLC0415

    refused = _refused_lists(out)
    lines = [
        f"{out}: {plural(len(data), 'image')}, {plural(data.num_classes, 'class', 'es')}, "
        + " x ".join(map(str, (data.channels, *data.size))),
        white_in_words(data.white),
        *(f"refused {plural(count, 'file')}, with reasons in {f}" for f, count in refused.items()),
        f"digest {data.digest}",
    ]
    facts = {
        "file": out,
        "images": len(data),
        "classes": data.num_classes,
        "size": data.size,
        "channels": data.channels,
        "digest": data.digest,
        "white": data.white,
        "lost": data.lost,
        "refused": refused,
    }
    return facts, "\n".join(filter(None, lines))


def _options(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Options of a data set, with or without ``data.options.`` before them."""
    from reacgan.config import parse_assignments  # noqa: PLC0415

    values = parse_assignments(assignments)
    return {key.removeprefix("data.options."): values[key] for key in values}


def _refused_lists(out: Path) -> dict[str, int]:
    """How many files are in each list of refused ones that was written beside a packed file."""
    files = (out.with_name(f"{out.stem}{split}{out.suffix}.refused.txt") for split in ("", ".test"))
    return {
        str(file): len(file.read_text(encoding="utf-8", errors="replace").splitlines())
        for file in files
        if file.exists()
    }
