"""``reacgan data``."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import cyclopts


def app() -> cyclopts.App:
    """The commands below ``data``."""
    group = cyclopts.App(name="data", help="Look at a folder of images, or pack it into one file.")
    group.command(inspect)
    group.command(prepare)
    return group


def inspect(path: Path, *, list_refused: Path | None = None) -> int:
    """Say what a folder of labelled images holds and what would be refused; nothing is changed.

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those.
    list_refused:
        Write the refused files and the reasons here.
    """
    from reacgan.data import inspect_data, report_refused  # noqa: PLC0415

    scan = inspect_data(path)
    counts = scan.counts
    sides = [min(size) for size in scan.sizes]
    print(f"{len(scan.files):,} images of {len(scan.class_names)} classes in {scan.root}")
    print(f"images a class   {counts.min():,} to {counts.max():,}, median {int(median(counts)):,}")
    print(f"shorter side     {min(sides)} to {max(sides)} pixels, median {int(median(sides))}")
    print(
        f"colour           {'grey' if scan.grey else 'RGB'} ({', '.join(sorted(set(scan.modes)))})"
    )
    print(f"refused          {len(scan.refused):,} ({scan.refused_share:.1%})")
    for reason, number in scan.reasons.items():
        print(f"  {number:>6,}  {reason}")
    for note in scan.notes:
        print(f"note             {note}")
    shown = sorted(zip(counts, scan.class_names, strict=True), reverse=True)
    for number, name in shown[:20]:
        print(f"  {number:>8,}  {name}")
    if len(shown) > 20:
        print(f"  ... and {len(shown) - 20} more classes")
    if list_refused is not None:
        print(f"list of refused files: {report_refused(scan, list_refused)}")
    return 0


def prepare(
    path: Path,
    out: Path,
    *,
    resolution: int,
    channels: int | None = None,
    max_refused: float = 0.05,
) -> int:
    """Pack a folder of labelled images into one memory-mappable file, squared and resized.

    Training from it starts at once: reacgan train NAME --data OUT, or reacgan train --data OUT.

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those.
    out:
        The file to write, such as photos.safetensors.
    resolution:
        Side in pixels: 8, 16, 32, 64, 128 or 256.
    channels:
        1 or 3; by default 1 where all images are grey.
    max_refused:
        Stop when more than this share of the files cannot be used.
    """
    from reacgan.data import DataError, prepare_data  # noqa: PLC0415

    if out.exists():
        raise DataError(f"{out}: exists; choose another name, or delete it first")

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty() and (done % 256 == 0 or done == total):
            sys.stderr.write(f"\r{done:,} / {total:,} images" + ("\n" if done == total else ""))

    data = prepare_data(
        path,
        out,
        resolution=resolution,
        channels=channels,
        max_refused=max_refused,
        progress=show,
    )
    print(
        f"{out}: {len(data):,} images, {data.num_classes} classes, "
        f"{data.channels} x {data.resolution} x {data.resolution}"
    )
    for split in ("", ".test"):
        listed = out.with_name(f"{out.stem}{split}{out.suffix}.refused.txt")
        if listed.exists():
            lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"refused {len(lines):,} files, with reasons in {listed}")
    print(f"digest {data.digest}")
    return 0
