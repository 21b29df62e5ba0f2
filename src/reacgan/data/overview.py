"""What a set of images holds, in words: of the survey that training makes too."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from reacgan.data.dataset import ImageData
from reacgan.data.names import shown
from reacgan.data.order import Balance, balance_of
from reacgan.data.scan import Refused, Scan

_MOST_HASHED = 50_000
"""Files that are read to find copies; of a larger set not all are worth the time."""
_NAMED = 5
_CLASSES = 12


@dataclass(frozen=True)
class Copies:
    """Files with the same content: groups of paths relative to the root, the first one kept first."""

    groups: tuple[tuple[str, ...], ...] = ()
    across: tuple[tuple[str, ...], ...] = ()
    """Those of them whose files are in different classes."""
    looked: bool = True
    """Whether they were looked for: not in sets without files, nor in very large ones."""

    @property
    def spare(self) -> int:
        """Files beyond the first of each group."""
        return sum(len(group) - 1 for group in self.groups)


def find_copies(scan: Scan) -> Copies:
    """Files with equal bytes; of files that have another's size alone every byte is read."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, name in enumerate(scan.files):
        try:
            by_size[(scan.root / name).stat().st_size].append(index)
        except OSError:
            continue
    alike = [indices for indices in by_size.values() if len(indices) > 1]
    if sum(map(len, alike)) > _MOST_HASHED:
        return Copies(looked=False)
    groups = []
    for indices in alike:
        by_content: dict[bytes, list[int]] = defaultdict(list)
        for index in indices:
            if (digest := _digest_of(os.fspath(scan.root / scan.files[index]))) is not None:
                by_content[digest].append(index)
        groups += [same for same in by_content.values() if len(same) > 1]
    named = [tuple(scan.files[index] for index in same) for same in sorted(groups)]
    across = tuple(
        names
        for names, same in zip(named, sorted(groups), strict=True)
        if len({int(scan.labels[index]) for index in same}) > 1
    )
    return Copies(tuple(named), across)


def _digest_of(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - fast
            return hashlib.blake2b(file.read(), digest_size=16).digest()
    except OSError:
        return None


@dataclass(frozen=True)
class Overview:
    """What was found.

    Args:
        source: where.
        balance: classes and their counts.
        channels: of the images; 1 is grey, 3 colour.
        shorter_sides: smallest, median and largest shorter side, pixels.
        refused: files that cannot be used, with the reasons.
        copies: files with the same content.
        notes: of the survey.
    """

    source: str
    balance: Balance
    channels: int
    shorter_sides: tuple[int, int, int]
    refused: tuple[Refused, ...] = ()
    copies: Copies = Copies(looked=False)
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many can be used."""
        return sum(self.balance.counts)

    def first_line(self) -> str:
        """Number, kind and classes of the images."""
        kind = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels}-channel")
        counts, names = self.balance.counts, self.balance.class_names
        ordered = sorted(zip(counts, names, strict=True), key=lambda pair: -pair[0])
        listed = ", ".join(f"{_plain(name)} ({count:,})" for count, name in ordered[:_CLASSES])
        if len(ordered) > _CLASSES:
            count, name = ordered[-1]
            listed += f", ... {_plain(name)} ({count:,})"
        classes = "1 class" if len(names) == 1 else f"{len(names):,} classes"
        return f"{self.images:,} {kind} images of {classes}: {listed}"

    def lines(self) -> Iterator[str]:
        """All of it for a person."""
        yield self.first_line()
        low, middle, high = self.shorter_sides
        sides = (
            f"{low:,} pixels" if low == high else f"{low:,} to {high:,} pixels, median {middle:,}"
        )
        yield f"shorter sides: {sides}"
        yield from self.faults()

    def faults(self) -> Iterator[str]:
        """What a person may want to mend: imbalance, unreadable files by name, copies."""
        if self.balance.wants_balancing:
            yield (
                f"unequal: the largest class has {self.balance.ratio:.3g} times the images of the "
                "smallest"
            )
        if self.refused:
            files = (
                "1 file cannot" if len(self.refused) == 1 else f"{len(self.refused):,} files cannot"
            )
            yield f"{files} be used:"
            for each in self.refused[:_NAMED]:
                yield f"  {each.path}: {each.reason}"
            if len(self.refused) > _NAMED:
                yield f"  ... and {len(self.refused) - _NAMED:,} more"
        yield from self._copied()
        for note in self.notes:
            yield f"note: {note}"

    def _copied(self) -> Iterator[str]:
        copies = self.copies
        if not copies.groups:
            return
        files = "1 file is a copy" if copies.spare == 1 else f"{copies.spare:,} files are copies"
        yield f"{files} of others: {_groups(copies.groups)}"
        if copies.across:
            yield f"  in several classes, so wrong in one at least: {_groups(copies.across)}"


def _groups(groups: Sequence[tuple[str, ...]]) -> str:
    return shown([" = ".join(group[:3]) for group in groups], 3)


def _plain(name: str) -> str:
    """A class name on one line."""
    return " ".join(name.split()) or repr(name)


def overview_of(survey: Scan | ImageData, *, copies: bool = True) -> Overview:
    """The overview of a survey (:func:`reacgan.data.survey_dataset`).

    Args:
        survey: of a set's files, or the opened set.
        copies: whether to look for files with the same content, which reads some of them.
    """
    balance = balance_of(survey.class_names, survey.counts)
    if isinstance(survey, ImageData):
        side = min(survey.size)
        return Overview(survey.source, balance, survey.channels, (side, side, side))
    sides = [min(size) for size in survey.sizes]
    return Overview(
        str(survey.root),
        balance,
        survey.channels,
        (min(sides), int(median(sides)), max(sides)),
        survey.refused,
        find_copies(survey) if copies else Copies(looked=False),
        survey.notes,
    )
