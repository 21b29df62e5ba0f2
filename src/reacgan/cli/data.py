"""``reacgan data``."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

import cyclopts

from reacgan.cli import streams
from reacgan.cli.options import Assignments, parse_resolution

if TYPE_CHECKING:
    from reacgan.data import Balance, Scan

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


def list_datasets() -> int:
    """List the registered data sets, with the path and the options of each.

    They go into data.name, data.path and data.options: --set data.name=cub200
    data.path=CUB_200_2011.tgz data.options.box=true. The option white is for images of more than 8
    bits: the value that becomes 255.
    """
    from reacgan.config import load_plugins  # noqa: PLC0415
    from reacgan.data import DATASETS, LISTERS, describe_opener  # noqa: PLC0415

    load_plugins()
    width = max(map(len, DATASETS)) + 2
    for name, opener in DATASETS.items():
        said = describe_opener(opener)
        if name in LISTERS:
            said["options"] = ", ".join(filter(None, (said["options"], "white=None")))
        print(f"{name:{width}}{said['what']}")
        for key in ("path", "options"):
            if said[key]:
                print(f"{'':{width}}{key}: {said[key]}")
    return 0


def inspect(
    path: str,
    *,
    split: Literal["train", "test"] = "train",
    set_: Assignments = (),
    list_refused: Path | None = None,
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
    """
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.data import (  # noqa: PLC0415
        DataError,
        ImageData,
        balance_of,
        find_dataset,
        refusal_of,
        report_refused,
        survey_dataset,
    )

    config = find_dataset(path)
    options = {
        key.removeprefix("data.options."): value for key, value in parse_assignments(set_).items()
    }
    surveyed = survey_dataset(config.model_copy(update={"options": options}), split)
    balance = balance_of(surveyed.class_names, surveyed.counts)
    source = surveyed.source if isinstance(surveyed, ImageData) else surveyed.root
    print(f"{sum(balance.counts):,} images of {len(balance.counts):,} classes in {source}")
    low, high = min(balance.counts), max(balance.counts)
    print(f"images a class   {low:,} to {high:,}, median {int(median(balance.counts)):,}")
    if isinstance(surveyed, ImageData):
        print(f"opened as        {surveyed.channels} x {surveyed.size[0]} x {surveyed.size[1]}")
        print(f"digest           {surveyed.digest}")
        if list_refused is not None:
            raise DataError(f"{path}: only sets that are read as single files have refused files")
    else:
        _print_scan(surveyed)
    _print_balance(balance)
    if not isinstance(surveyed, ImageData) and refusal_of(surveyed):
        print(f"training would refuse this: {refusal_of(surveyed)}")
    if list_refused is not None and not isinstance(surveyed, ImageData):
        print(f"list of refused files: {report_refused(surveyed, list_refused)}")
    return 0


def _print_scan(scan: Scan) -> None:
    """Sizes, colours, and what was refused."""
    sides = [min(size) for size in scan.sizes]
    colour = {1: "grey", 3: "RGB"}.get(scan.channels, f"{scan.channels} channels")
    print(f"shorter side     {min(sides)} to {max(sides)} pixels, median {int(median(sides))}")
    print(f"colour           {colour} ({', '.join(sorted(set(scan.modes)))})")
    print(f"refused          {len(scan.refused):,} ({scan.refused_share:.1%})")
    for reason, number in scan.reasons.items():
        print(f"  {number:>6,}  {reason}")
    for note in scan.notes:
        print(f"note             {note}")


def _print_balance(balance: Balance) -> None:
    """How unequal the classes are, the smallest ones by name, and the largest with their counts."""
    if len(balance.counts) > 1:
        print(f"largest/smallest {balance.ratio:.3g}")
        print(
            f"effective        {balance.effective_classes:.1f} of {len(balance.counts)} classes: "
            "as varied as this many equal classes"
        )
    tail = balance.tail
    if tail:
        named = ", ".join(f"{name} ({count:,})" for name, count in tail[:_SHOWN])
        more = f", ... and {len(tail) - _SHOWN} more" if len(tail) > _SHOWN else ""
        print(f"tail             {len(tail)} with less than half of the mean: {named}{more}")
    if balance.wants_balancing:
        print(
            "advice           the classes differ much in size: --set data.balanced=true shows each "
            "equally often"
        )
    shown = sorted(zip(balance.counts, balance.class_names, strict=True), reverse=True)
    for number, name in shown[:_SHOWN]:
        print(f"  {number:>8,}  {name}")
    if len(shown) > _SHOWN:
        print(f"  ... and {len(shown) - _SHOWN} more classes")


def prepare(
    path: Path,
    out: Path,
    *,
    resolution: str,
    channels: int | None = None,
    max_refused: float = 0.05,
    max_pixels: int | None = None,
    white: float | None = None,
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
    """
    from reacgan.data import DataError, prepare_data, refuse_inside  # noqa: PLC0415

    refuse_inside(out, path)
    if out.exists():
        raise DataError(f"{out}: exists; choose another name, or delete it first")

    def show(done: int, total: int) -> None:
        if streams.line_moves() and (done % 256 == 0 or done == total):
            streams.tell(f"\r{done:,} / {total:,} images", end="\n" if done == total else "")

    data = prepare_data(
        path,
        out,
        resolution=parse_resolution(resolution),
        channels=channels,
        max_refused=max_refused,
        max_pixels=max_pixels,
        progress=show,
        white=white,
    )
    print(
        f"{out}: {len(data):,} images, {data.num_classes} classes, "
        f"{data.channels} x {data.size[0]} x {data.size[1]}"
    )
    for split in ("", ".test"):
        listed = out.with_name(f"{out.stem}{split}{out.suffix}.refused.txt")
        if listed.exists():
            lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"refused {len(lines):,} files, with reasons in {listed}")
    print(f"digest {data.digest}")
    return 0
