"""Folders of images as generators leave them: loose or in class folders, with what lies beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.data import DataError, ImageData
from reacgan.data.flat import is_flat, is_image, list_flat
from reacgan.data.folder import list_folder
from reacgan.data.listed import scan_listings
from reacgan.data.names import readable_name
from reacgan.data.pack import open_listings
from reacgan.data.scan import MAX_REFUSED, Scan
from reacgan.data.walk import Entry, Listing

READ = (
    "What is read: a folder of images, loose or in class folders (PNG, JPEG, WebP, BMP, TIFF, or .npy "
    "with [height, width, channels]); a .zip of them; all images as one array uint8 [N, H, W, C] (.npy, "
    ".npz) or tensor uint8 [N, C, H, W] (.pt); a table (.csv, .tsv, .jsonl); a packed file"
)
SHEET = "grid.png"
"""What `reacgan sample --grid` writes beside the images: all of them once more."""
MOST_UNREADABLE = 0.5
"""Share of a generator's files without which the rest is still scored, with a warning."""


@dataclass(frozen=True)
class Opened:
    """Images that lay in a folder or file."""

    images: ImageData
    labelled: bool
    warnings: tuple[str, ...] = ()
    """What is not as it seems, such as files that were left out."""


@dataclass(frozen=True)
class Samples:
    """The files of a folder that hold its images, and what of it was left out."""

    root: Path
    listings: list[Listing]
    scan: Scan
    labelled: bool
    warnings: tuple[str, ...]

    def open(self, resolution: Any, channels: int | None, *, most_refused: float) -> Opened:
        """The pixels; files whose headers alone are whole are left out now."""
        images = open_listings(
            self.listings,
            resolution=resolution if resolution is not None else self.resolution(),
            channels=channels if channels is not None else self.scan.channels,
            max_refused=1.0,
        )
        lost = tuple(f"{self.root}: {note}" for note in images.lost)
        return Opened(images, self.labelled, (*self.warned(len(images), most_refused), *lost))

    def warned(self, usable: int, most_refused: float) -> tuple[str, ...]:
        """What was left out, once so many images have been decoded.

        Raises:
            DataError: more than a share ``most_refused`` cannot be used.
        """
        damaged = len(self.scan.files) - usable
        if not damaged and not self.scan.refused:
            return self.warnings
        reasons = Counter(one.reason for one in self.scan.refused)
        reasons.update({"truncated or damaged": damaged} if damaged else {})
        return (*self.warnings, self._unreadable(reasons, usable, most_refused))

    def resolution(self) -> Any:
        """The one size that all have, as a configuration says it.

        Raises:
            ConfigError: there are several.
        """
        sizes = sorted(set(self.scan.sizes))
        if len(sizes) > 1:
            raise ConfigError(many_sizes(self.root, [(high, wide) for wide, high in sizes]))
        width, height = sizes[0]
        return height if height == width else (height, width)

    def _unreadable(self, reasons: Counter[str], usable: int, most: float) -> str:
        count = sum(reasons.values())
        told = ", ".join(f"{number} x {reason}" for reason, number in reasons.most_common(4))
        named = [one.path for one in self.scan.refused][:3]
        such = f", such as {', '.join(named)}" if named else ""
        if count > most * (count + usable):
            raise DataError(
                f"{self.root}: {count} of {count + usable} image files cannot be used: {told}{such}. "
                "Repair them or move them out of the folder"
            )
        return f"{self.root}: {count} of {count + usable} image files were left out: {told}{such}"


def find_samples(root: Path) -> Samples:
    """Which files of a folder are the images to score; headers are read, nothing is decoded.

    Sub-folders without an image are passed over, and so is the sheet of `reacgan sample --grid`.

    Raises:
        ConfigError: no image, or loose images beside class folders, of which nothing says which to
            take.
    """
    flat = is_flat(root)
    try:
        listings = [_pictures_of(list_flat(root))] if flat else list_folder(root, split="train")
    except DataError as error:
        raise DataError(f"{error}. {READ}") from None
    listing, sheets = _without_sheet(listings[-1], flat=flat)
    if not listing.entries:
        raise DataError(f"{root}: no image found in it. {READ}")
    _refuse_loose(root, listing)
    scan = scan_listings([*listings[:-1], listing])
    if flat and SHEET in scan.files and len(scan.files) > 1:
        listing, scan, sheets = _flat_without_sheet(listing, scan)
    warnings = (f"{root / SHEET}: left out, a sheet of the other images",) if sheets else ()
    return Samples(root, [*listings[:-1], listing], scan, not flat, warnings)


def many_sizes(source: object, sizes: Iterable[tuple[int, int]]) -> str:
    """What to do about images of several sizes (height, width)."""
    held = list(sizes)
    shown = ", ".join(f"{wide} x {high}" for high, wide in held[:3])
    return (
        f"{source}: images of {len(held)} sizes ({shown}{' ...' if len(held) > 3 else ''}); give "
        "--resolution, to which all are cropped and resized"
    )


def _pictures_of(listing: Listing) -> Listing:
    """Without files that their names call something else than images."""
    kept = tuple(one for one in listing.entries if is_image(one.relative.rpartition("/")[2]))
    others = len(listing.entries) - len(kept)
    return replace(listing, entries=kept, ignored=listing.ignored + others)


def _without_sheet(listing: Listing, *, flat: bool) -> tuple[Listing, bool]:
    """Beside class folders a sheet is no image of any class."""
    kept = tuple(one for one in listing.entries if flat or one.relative != SHEET)
    return replace(listing, entries=kept), len(kept) < len(listing.entries)


def _flat_without_sheet(listing: Listing, scan: Scan) -> tuple[Listing, Scan, bool]:
    """Beside loose images it is a sheet where no other image has its size."""
    place = scan.files.index(SHEET)
    if scan.sizes[place] in scan.sizes[:place] + scan.sizes[place + 1 :]:
        return listing, scan, False
    kept = tuple(one for one in listing.entries if one.relative != SHEET)
    rest = replace(listing, entries=kept)
    return rest, scan_listings([rest]), True


def _refuse_loose(root: Path, listing: Listing) -> None:
    """Several loose images beside class folders could be the ones that are meant."""
    loose = [one for one in listing.entries if _is_loose(one)]
    if len(loose) > MAX_REFUSED * len(listing.entries):
        names = ", ".join(listing.class_names[:3])
        raise ConfigError(
            f"{root}: holds {len(loose)} loose images (such as {readable_name(loose[0].relative)}) and "
            f"folders of images ({names}{', ...' if len(listing.class_names) > 3 else ''}). Give the "
            "folder of those to score, or move the others out"
        )


def _is_loose(entry: Entry) -> bool:
    return entry.label < 0 and "/" not in entry.relative
