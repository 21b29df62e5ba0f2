"""``reacgan data``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import cyclopts

from reacgan.cli import bars
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments, Named, parse_resolution

if TYPE_CHECKING:
    from reacgan.data import Balance, ImageData, Scan

_SHOWN = 20


def app() -> cyclopts.App:
    """The commands below ``data``."""
    group = cyclopts.App(
        name="data", help="List data sets, inspect one, or pack a folder into one file."
    )
    group.command(list_datasets, name="list")
    group.command(inspect)
    group.command(prepare)
    return group


def list_datasets(*, json_: Json = False) -> int:
    """List the registered data sets, with the path and the options of each.

    They go into data.name, data.path and data.options: --set data.name=cub200
    data.path=CUB_200_2011.tgz data.options.box=true. The option white is for images of more than 8
    bits: the value that becomes 255.

    Parameters
    ----------
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import load_plugins  # noqa: PLC0415
    from reacgan.data import DATASETS, LISTERS, describe_opener  # noqa: PLC0415

    load_plugins()
    width = max(map(len, DATASETS)) + 2
    datasets, lines = [], []
    for name, opener in DATASETS.items():
        said = describe_opener(opener)
        if name in LISTERS:
            said["options"] = ", ".join(filter(None, (said["options"], "white=None")))
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
    """Report what a set of labelled images holds and what would be refused; it is not changed.

    Examples: reacgan data inspect photos/ | reacgan data inspect cub200:CUB_200_2011.tgz

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those; a packed
        file; a table (.csv, .jsonl); or a registered data set as NAME or NAME:PATH.
    split:
        Which part to inspect.
    set_:
        Options of the data set: --set train_on_all=true.
    list_refused:
        Write the refused files and the reasons here.
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.data import (  # noqa: PLC0415
        DataError,
        ImageData,
        balance_of,
        find_dataset,
        report_refused,
        survey_dataset,
    )

    config = find_dataset(path)
    options = {
        key.removeprefix("data.options."): value for key, value in parse_assignments(set_).items()
    }
    with bars.shown():
        surveyed = survey_dataset(config.model_copy(update={"options": options}), split)
    if isinstance(surveyed, ImageData):
        if list_refused is not None:
            raise DataError(f"{path}: only sets that are read as single files have refused files")
        facts = {"source": surveyed.source, **_of_images(surveyed)}
    else:
        facts = {"source": surveyed.root, **_of_scan(surveyed), "refused_list": list_refused}
        if list_refused is not None:
            report_refused(surveyed, list_refused)
    balance = balance_of(surveyed.class_names, surveyed.counts)
    facts |= _of_balance(balance)
    answer(facts, lambda: "\n".join(_lines(facts, balance)), as_json=json_)
    return 0


def _of_images(data: ImageData) -> dict[str, Any]:
    """Of a set that is opened as a whole."""
    return {"size": data.size, "channels": data.channels, "digest": data.digest}


def _of_scan(scan: Scan) -> dict[str, Any]:
    """Of single files: sizes, colours, and what was refused."""
    from reacgan.data import refusal_of  # noqa: PLC0415

    sides = [min(size) for size in scan.sizes]
    return {
        "channels": scan.channels,
        "modes": sorted(set(scan.modes)),
        "shorter_side": {
            "smallest": min(sides),
            "median": int(median(sides)),
            "largest": max(sides),
        },
        "refused": len(scan.refused),
        "refused_share": scan.refused_share,
        "reasons": scan.reasons,
        "refused_files": [{"file": each.path, "reason": each.reason} for each in scan.refused],
        "notes": scan.notes,
        "training_refuses": refusal_of(scan),
    }


def _of_balance(balance: Balance) -> dict[str, Any]:
    """Images of each class, and how unequal these are."""
    return {
        "images": sum(balance.counts),
        "classes": dict(zip(balance.class_names, balance.counts, strict=True)),
        "largest_to_smallest": balance.ratio,
        "effective_classes": balance.effective_classes,
        "wants_balancing": balance.wants_balancing,
    }


def _lines(facts: dict[str, Any], balance: Balance) -> Iterator[str]:
    """What a person reads of a set."""
    yield f"{facts['images']:,} images of {len(balance.counts):,} classes in {facts['source']}"
    low, high = min(balance.counts), max(balance.counts)
    yield f"images a class   {low:,} to {high:,}, median {int(median(balance.counts)):,}"
    if "digest" in facts:
        yield f"opened as        {facts['channels']} x {facts['size'][0]} x {facts['size'][1]}"
        yield f"digest           {facts['digest']}"
    else:
        side = facts["shorter_side"]
        yield (
            f"shorter side     {side['smallest']} to {side['largest']} pixels, median {side['median']}"
        )
        colour = {1: "grey", 3: "RGB"}.get(facts["channels"], f"{facts['channels']} channels")
        yield f"colour           {colour} ({', '.join(facts['modes'])})"
        yield f"refused          {facts['refused']:,} ({facts['refused_share']:.1%})"
        for reason, number in facts["reasons"].items():
            yield f"  {number:>6,}  {reason}"
        for note in facts["notes"]:
            yield f"note             {note}"
    yield from _lines_of_balance(balance)
    if facts.get("training_refuses"):
        yield f"training would refuse this: {facts['training_refuses']}"
    if facts.get("refused_list"):
        yield f"list of refused files: {facts['refused_list']}"


def _lines_of_balance(balance: Balance) -> Iterator[str]:
    """How unequal the classes are, the smallest ones by name, and the largest with their counts."""
    if len(balance.counts) > 1:
        yield f"largest/smallest {balance.ratio:.3g}"
        yield (
            f"effective        {balance.effective_classes:.1f} of {len(balance.counts)} classes: "
            "as varied as this many equal classes"
        )
    tail = balance.tail
    if tail:
        named = ", ".join(f"{name} ({count:,})" for name, count in tail[:_SHOWN])
        more = f", ... and {len(tail) - _SHOWN} more" if len(tail) > _SHOWN else ""
        yield f"tail             {len(tail)} with less than half of the mean: {named}{more}"
    if balance.wants_balancing:
        yield (
            "advice           the classes differ much in size: --set data.balanced=true shows each "
            "equally often"
        )
    shown = sorted(zip(balance.counts, balance.class_names, strict=True), reverse=True)
    for number, name in shown[:_SHOWN]:
        yield f"  {number:>8,}  {name}"
    if len(shown) > _SHOWN:
        yield f"  ... and {len(shown) - _SHOWN} more classes"


def prepare(
    path: Path,
    out: Path,
    *,
    resolution: str,
    channels: int | None = None,
    max_refused: float = 0.05,
    max_pixels: int | None = None,
    white: float | None = None,
    json_: Json = False,
) -> int:
    """Pack a folder of labelled images into one memory-mappable file, cropped and resized.

    Training from it starts at once: reacgan train NAME --data OUT, or reacgan train --data OUT.

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those.
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
    json_:
        Print JSON instead of text.
    """
    from reacgan.data import DataError, prepare_data, refuse_inside  # noqa: PLC0415

    refuse_inside(out, path)
    if out.exists():
        raise DataError(f"{out}: exists; choose another name, or delete it first")

    with bars.shown():
        data = prepare_data(
            path,
            out,
            resolution=parse_resolution(resolution),
            channels=channels,
            max_refused=max_refused,
            max_pixels=max_pixels,
            white=white,
        )
    lines = [
        f"{out}: {len(data):,} images, {data.num_classes} classes, "
        f"{data.channels} x {data.size[0]} x {data.size[1]}"
    ]
    refused = {}
    for split in ("", ".test"):
        listed = out.with_name(f"{out.stem}{split}{out.suffix}.refused.txt")
        if listed.exists():
            reasons = listed.read_text(encoding="utf-8", errors="replace").splitlines()
            refused[str(listed)] = len(reasons)
            lines.append(f"refused {len(reasons):,} files, with reasons in {listed}")
    facts = {"file": out, "images": len(data), "classes": data.num_classes, **_of_images(data)}
    text = "\n".join([*lines, f"digest {data.digest}"])
    answer({**facts, "refused": refused}, text, as_json=json_)
    return 0
