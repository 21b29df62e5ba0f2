"""Scan a folder: every header is read, and unusable files are refused with a reason."""

from __future__ import annotations

import math
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reacgan.data.dataset import DataError
from reacgan.data.decode import Box, pillow_warnings_off, pixel_limit
from reacgan.data.depth import Whites, white_problem
from reacgan.data.images import Header, read_header
from reacgan.data.listing import Entry, Listing
from reacgan.data.names import alike_note, plural, readable_name
from reacgan.data.threads import ordered_map
from reacgan.data.values import measure
from reacgan.files import naming
from reacgan.progress import counted

MAX_REFUSED = 0.05
_MANY_CLASSES, _FEW_IMAGES = 10, 3
"""From so many classes on a mean of fewer images is worth a note: it may be a column of numbers."""
SEVERAL_FRAMES = "several frames; the first one is used"


@dataclass(frozen=True)
class Refused:
    """A file that is not used (its path relative to the root) and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """The usable images of one split, in a fixed order, and the refused files.

    ``files`` are relative to ``root``; ``labels`` int64 ``[N]``; ``sizes`` (width, height) and
    ``modes`` (Pillow's names) from the headers; ``grey``: whether every image is grey; ``channels``
    of the images before conversion: 1 (grey), 3 (pictures), or the arrays' own; ``boxes``: the part of each
    file to crop, or None; ``whites``: white values of deep images, or None; ``lost``: the notes on what
    such images lose; ``table``: the table that names the files, if that was given; ``max_refused``: the
    share of refused files with which the rest is used.
    """

    root: Path
    split: str
    files: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    refused: tuple[Refused, ...]
    sizes: tuple[tuple[int, int], ...]
    modes: tuple[str, ...]
    grey: bool
    channels: int = 3
    boxes: tuple[Box | None, ...] | None = None
    ignored: int = 0
    notes: tuple[str, ...] = ()
    whites: Whites | None = None
    lost: tuple[str, ...] = ()
    table: Path | None = None
    max_refused: float = MAX_REFUSED

    @property
    def source(self) -> Path:
        """Where the images come from, for messages: the table, or the folder."""
        return self.table or self.root

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Images of each class, int64 ``[num_classes]``."""
        return np.bincount(self.labels, minlength=len(self.class_names)).astype(np.int64)

    @property
    def reasons(self) -> dict[str, int]:
        """Number of refused files by reason, the most frequent first."""
        return dict(Counter(each.reason for each in self.refused).most_common())

    @property
    def refused_share(self) -> float:
        """Share of refused files."""
        return len(self.refused) / max(1, len(self.refused) + len(self.files))


def scan_listings(
    listings: list[Listing], *, max_pixels: int | None = None, white: float | None = None
) -> Scan:
    """Read the headers of the last listing; a listing of train before it determines the classes.

    Only images of more than 8 bits are decoded, to count their values: the white value is ``white``, or
    follows from the training images.

    Raises:
        DataError: no usable image, or an invalid limit or white.
    """
    limit = pixel_limit(max_pixels)
    if white is not None and (problem := white_problem(white)):
        raise DataError(problem)
    scan = _scan(listings[0], limit, None, white)
    for listing in listings[1:]:
        scan = _scan(_with_classes(listing, scan.class_names), limit, scan.whites, white)
    return scan


def with_held_out(
    scan: Scan, list_test: Callable[[], list[Listing]], *, white: float | None = None
) -> Scan:
    """A scan of training images of more than 8 bits, with notes on what held-out ones lose."""
    if scan.split != "train" or scan.whites is None:
        return scan
    try:
        listing = _with_classes(list_test()[-1], scan.class_names)
        held_out = _scan(listing, pixel_limit(), scan.whites, white)
    except DataError:  # no such split
        return scan
    lost = tuple(f"held-out images: {note}" for note in held_out.lost)
    return replace(scan, notes=(*scan.notes, *lost))


def _with_classes(listing: Listing, class_names: tuple[str, ...]) -> Listing:
    """Relabel a listing to the classes of another split; files of other classes are refused."""
    numbers = {name: label for label, name in enumerate(class_names)}
    entries = []
    for entry in listing.entries:
        label = numbers.get(listing.class_names[entry.label], -1) if entry.label >= 0 else -1
        problem = entry.problem or ("" if label >= 0 else "its class has no training image")
        entries.append(replace(entry, label=label, problem=problem))
    return replace(listing, class_names=class_names, entries=tuple(entries))


def _scan(listing: Listing, max_pixels: int, whites: Whites | None, white: float | None) -> Scan:
    root = str(listing.root)

    def read(entry: Entry) -> Header:
        if entry.problem:
            return Header(problem=entry.problem)
        return read_header(os.path.join(root, entry.relative), max_pixels)  # noqa: PTH118 - fast

    headers = _read_all(read, listing.entries)
    headers, whites, measured, lost = measure(
        listing, headers, max_pixels=max_pixels, whites=whites, white=white
    )
    pairs = list(zip(listing.entries, headers, strict=True))
    usable = [(entry, header) for entry, header in pairs if not header.problem]
    refused = tuple(
        Refused(readable_name(entry.relative), header.problem)
        for entry, header in pairs
        if header.problem
    )
    if not usable:
        raise DataError(_nothing_usable(listing, refused))
    labels = np.array([entry.label for entry, _ in usable], dtype=np.int64)
    labels, class_names, notes = _drop_empty(listing, labels)
    own = {header.channels for _, header in usable}
    animated = sum(header.animated for _, header in usable)
    if animated:
        images = "1 image has" if animated == 1 else f"{animated:,} images have"
        measured += (f"{images} {SEVERAL_FRAMES}",)
    boxes = tuple(entry.box for entry, _ in usable)
    if listing.split == "train":
        notes += class_notes(class_names, len(usable), is_table=listing.table is not None)
    return Scan(
        root=listing.root,
        split=listing.split,
        files=tuple(entry.relative for entry, _ in usable),
        labels=labels,
        class_names=class_names,
        refused=refused,
        sizes=tuple(header.size for _, header in usable),
        modes=tuple(header.mode for _, header in usable),
        grey=own == {1},
        channels=own.pop() if len(own) == 1 else 3,
        boxes=boxes if any(boxes) else None,
        ignored=listing.ignored,
        notes=(*listing.notes, *notes, *measured),
        whites=whites,
        lost=lost,
        table=listing.table,
    )


def class_notes(
    class_names: tuple[str, ...], images: int, *, is_table: bool = False
) -> tuple[str, ...]:
    """Notes on names that are almost the same, and on many classes of hardly any images."""
    notes = [alike_note(class_names)]
    classes = len(class_names)
    if classes >= _MANY_CLASSES and images < _FEW_IMAGES * classes:
        remedy = "name their column: --set data.options.label=NAME" if is_table else "join folders"
        notes.append(
            f"{classes:,} classes of {images / classes:.1f} images each: too few to learn a class from. "
            f"If these are not the classes, {remedy}"
        )
    return tuple(filter(None, notes))


def _nothing_usable(listing: Listing, refused: Sequence[Refused]) -> str:
    if refused:
        reasons = _reasons(refused, listing.root)
        return f"{listing.source}: no usable image among {plural(len(refused), 'file')}: {reasons}"
    names = ", ".join(f"{name}/" for name in listing.class_names[:5])
    return (
        f"{listing.source}: no image in the folders of its classes ({names}); put the images of each class "
        "into its folder"
    )


def _read_all(read: Callable[[Entry], Header], entries: Sequence[Entry]) -> list[Header]:
    with pillow_warnings_off():
        headers = ordered_map(read, entries)
        return list(counted(headers, "reading headers", len(entries), "files"))


def _drop_empty(
    listing: Listing, labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Remove classes without images (in train; test keeps the classes of train)."""
    counts = np.bincount(labels, minlength=len(listing.class_names))
    empty = [name for name, count in zip(listing.class_names, counts, strict=True) if not count]
    if not empty:
        return labels, listing.class_names, ()
    shown = ", ".join(empty[:10]) + (", ..." if len(empty) > 10 else "")
    if listing.split != "train":
        return labels, listing.class_names, (f"classes without a {listing.split} image: {shown}",)
    kept = np.flatnonzero(counts)
    numbers = np.cumsum(counts > 0) - 1
    note = f"{plural(len(empty), 'class', 'es')} left out without a usable image: {shown}"
    return numbers[labels], tuple(listing.class_names[label] for label in kept), (note,)


def report_refused(scan: Scan | Iterable[Refused], path: str | Path) -> Path:
    """Write the refused files as lines of ``reason<TAB>path``; returns the path."""
    path = Path(path)
    refused = scan.refused if isinstance(scan, Scan) else tuple(scan)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{each.reason}\t{_on_one_line(each.path)}\n" for each in refused)
    return path


def read_refused(path: Path) -> tuple[Refused, ...]:
    """What :func:`report_refused` wrote; nothing where no such file is readable."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()
    pairs = (line.partition("\t") for line in lines)
    return tuple(Refused(name, reason) for reason, _, name in pairs)


def check_share(
    refused: Sequence[Refused],
    total: int,
    *,
    max_refused: float,
    source: str | Path,
    report: Path | None = None,
    root: Path | None = None,
    settable: bool = True,
) -> None:
    """Check the share of refused files, which are in ``root``, or in ``source``.

    ``settable``: whether ``data.options.max_refused`` is an option of the set.

    Raises:
        DataError: it exceeds ``max_refused``; with counts by reason, and the path of the list if
            ``report`` is to be written.
    """
    problem = _share_problem(refused, total, max_refused, source, root or Path(source))
    if problem and settable:
        problem += _setting(len(refused) / total)
    if problem and report is not None:
        problem += f" The list is in {report_refused(refused, report)}."
    if problem:
        raise DataError(problem)


def refusal_of(scan: Scan) -> str:
    """Why training would refuse these files, as known from headers, or empty."""
    total = len(scan.refused) + len(scan.files)
    problem = _share_problem(scan.refused, total, scan.max_refused, scan.source, scan.root)
    if problem:
        problem += _setting(scan.refused_share)
    if not problem or scan.table is not None:  # whose columns the command would have to name, too
        return problem
    words = ["reacgan", "data", "inspect", str(scan.source), "--split", scan.split]
    return f"{problem} All names: {shlex.join([*words, '--list-refused', 'refused.txt'])}"


def _share_problem(
    refused: Sequence[Refused], total: int, max_refused: float, source: str | Path, root: Path
) -> str:
    """The error for too many refused files, or empty."""
    if len(refused) <= max_refused * total:
        return ""
    return (
        f"{source}: {len(refused)} of {plural(total, 'file')} {'was' if len(refused) == 1 else 'were'} "
        "refused, more than the share of "
        f"{max_refused:g} that is allowed: {_reasons(refused, root)}. "
        "Repair or remove them"
    )


def _setting(share: float) -> str:
    """How to go on without this share of the files, rounded up to a whole percentage."""
    enough = math.ceil(100 * share) / 100
    return f", or leave them out: add --set data.options.max_refused={enough:g} to the command."


def share_problem(share: object) -> str:
    """Why a given share of refused files cannot be allowed, or empty."""
    if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
        return ""
    return f"max_refused is {share!r}; allowed: a share of the files, 0 to 1, such as 0.2"


OPTIONS_OF_FILES = {"white": white_problem, "max_refused": share_problem}
"""Keys of ``data.options`` of every set that consists of files; each says why a value is not allowed."""


def _reasons(refused: Sequence[Refused], root: Path) -> str:
    """Number of files by reason, each with an example."""
    first = {each.reason: each.path for each in reversed(refused)}
    counted = Counter(each.reason for each in refused).most_common(8)
    texts = (f"{count} x {reason} (such as {root / first[reason]})" for reason, count in counted)
    return ", ".join(texts) or "nothing there"


def _on_one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
