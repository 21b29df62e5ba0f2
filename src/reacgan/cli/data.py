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
    from reacgan.data.shards.index import ShardIndex


def app() -> cyclopts.App:
    """The commands below ``data``."""
    group = cyclopts.App(name="data", help="Data sets: list, inspect, pack into a file or shards.")
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
    resolution: str | None = None,
    shards: str | None = None,
    channels: int | None = None,
    max_refused: float = 0.05,
    max_pixels: int | None = None,
    white: float | None = None,
    set_: Assignments = (),
    json_: Json = False,
) -> int:
    """Pack a folder or table of images into one file, or into shards.

    The file, of images cropped and resized, is mapped into memory, so training from it starts at once:
    reacgan train NAME --data OUT, or reacgan train --data OUT. Shards are for sets larger than a disk:
    tar files with an index, which are also read from where they are served.

    Examples: reacgan data prepare photos/ photos.safetensors --resolution 64 | reacgan data prepare
    photos/ --shards 256MB --out shards/

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those; or a table
        (.csv, .tsv, .jsonl).
    out:
        The file to write, such as photos.safetensors; with --shards the folder.
    resolution:
        Side in pixels, or height and width: 64, or 64x96. Shards without one hold the files as they are.
    shards:
        Write tar files instead: how many (64), or how large each is (256MB).
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
    from reacgan.data import (  # noqa: PLC0415
        DataError,
        prepare_data,
        prepare_shards,
        refuse_inside,
    )

    refuse_inside(out, path)
    if out.exists():
        raise DataError(f"{out}: exists; choose another name, or delete it first")
    if resolution is None and shards is None:
        raise DataError(
            "--resolution is missing, such as --resolution 64; only shards do without one"
        )
    options = _options(set_)
    settings: dict[str, Any] = {
        "resolution": None if resolution is None else parse_resolution(resolution),
        "channels": channels,
        "max_refused": options.pop("max_refused", max_refused),
        "max_pixels": max_pixels,
        "white": options.pop("white", white),
        "options": options,
    }
    with bars.shown():
        if shards is not None:
            index = prepare_shards(path, out, shards=shards, **settings)
            answer(_shard_facts(index, out), lambda: _shards_in_words(index, out), as_json=json_)
            return 0
        data = prepare_data(path, out, **settings)
    facts = _packed_facts(data, out)
    answer(facts, lambda: _packed_in_words(facts), as_json=json_)
    return 0


def _packed_facts(data: ImageData, out: Path) -> dict[str, Any]:
    lists = (out.with_name(f"{out.stem}{split}{out.suffix}.refused.txt") for split in ("", ".test"))
    return {
        "file": out,
        "images": len(data),
        "classes": data.num_classes,
        "size": data.size,
        "channels": data.channels,
        "digest": data.digest,
        "white": data.white,
        "lost": data.lost,
        "refused": _refused_lists(*lists),
    }


def _packed_in_words(facts: dict[str, Any]) -> str:
    from reacgan.data.names import plural  # noqa: PLC0415
    from reacgan.outlook import white_in_words  # noqa: PLC0415

    lines = [
        f"{facts['file']}: {plural(facts['images'], 'image')}, "
        f"{plural(facts['classes'], 'class', 'es')}, "
        + " x ".join(map(str, (facts["channels"], *facts["size"]))),
        white_in_words(facts["white"]),
        *_about_refused(facts["refused"]),
        f"digest {facts['digest']}",
    ]
    return "\n".join(filter(None, lines))


def _shard_facts(index: ShardIndex, out: Path) -> dict[str, Any]:
    return {
        "folder": out,
        "classes": len(index.class_names),
        "size": index.resolution,
        "channels": index.channels,
        "digest": index.digest,
        "splits": {
            name: {
                "images": split.images,
                "shards": len(split.shards),
                "bytes": sum(shard.bytes for shard in split.shards),
            }
            for name, split in index.splits.items()
        },
        "refused": _refused_lists(*(out / f"{name}.refused.txt" for name in index.splits)),
    }


def _shards_in_words(index: ShardIndex, out: Path) -> str:
    from reacgan.data.names import plural  # noqa: PLC0415

    facts = _shard_facts(index, out)
    size = " x ".join(map(str, (index.channels, *index.resolution))) if index.resolution else ""
    kind = size or "files as they were"
    lines = [f"{out}: {plural(len(index.class_names), 'class', 'es')}, {kind}"]
    lines += [
        f"{name}: {plural(part['images'], 'image')} in {plural(part['shards'], 'shard')}, "
        f"{part['bytes'] / 1e6:,.1f} MB"
        for name, part in facts["splits"].items()
    ]
    return "\n".join([*lines, *_about_refused(facts["refused"]), f"digest {index.digest}"])


def _about_refused(lists: dict[str, int]) -> list[str]:
    from reacgan.data.names import plural  # noqa: PLC0415

    return [
        f"refused {plural(count, 'file')}, with reasons in {file}" for file, count in lists.items()
    ]


def _options(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Options of a data set, with or without ``data.options.`` before them."""
    from reacgan.config import parse_assignments  # noqa: PLC0415

    values = parse_assignments(assignments)
    return {key.removeprefix("data.options."): values[key] for key in values}


def _refused_lists(*files: Path) -> dict[str, int]:
    """How many files are in each list of refused ones that was written."""
    return {
        str(file): len(file.read_text(encoding="utf-8", errors="replace").splitlines())
        for file in files
        if file.exists()
    }
