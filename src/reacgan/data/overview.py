"""What a set of images holds, in words: of the survey that training makes too."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from reacgan.data.dataset import ImageData
from reacgan.data.names import plural, shown
from reacgan.data.order import Balance, balance_of
from reacgan.data.scan import Refused, Scan, class_notes, refusal_of
from reacgan.outlook import white_in_words
from reacgan.text import one_line

_MOST_HASHED = 50_000
"""Files that are read to find copies; of a larger set not all are worth the time."""
_NAMED, _EXAMPLES = 5, 3
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
    """What was found: in words for ``data inspect`` and ``new``, and as facts.

    Args:
        source: where.
        balance: classes and their counts.
        channels: of the images; 1 is grey, 3 colour.
        shorter_sides: smallest, median and largest shorter side, pixels.
        modes: how single files store their pixels, in Pillow's names.
        size: height and width in pixels of a set that was opened as a whole, with ``digest``.
        digest: of its pixels and labels; None where single files were looked at.
        refused: files that cannot be used, with the reasons.
        refusal: why training would refuse the set because of them, or empty.
        copies: files with the same content.
        notes: of the survey.
        white: the value that became 255 in a set that was opened as a whole, of more than 8 bits.
    """

    source: str
    balance: Balance
    channels: int
    shorter_sides: tuple[int, int, int]
    modes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    digest: str | None = None
    refused: tuple[Refused, ...] = ()
    refusal: str = ""
    copies: Copies = Copies(looked=False)
    notes: tuple[str, ...] = ()
    white: float | None = None

    @property
    def images(self) -> int:
        """How many can be used."""
        return sum(self.balance.counts)

    @property
    def refused_share(self) -> float:
        """Share of the files that cannot be used."""
        return len(self.refused) / max(1, len(self.refused) + self.images)

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Refused files by reason, the most frequent first."""
        files = defaultdict(list)
        for each in self.refused:
            files[each.reason].append(each.path)
        return dict(sorted(files.items(), key=lambda pair: -len(pair[1])))

    def facts(self) -> dict[str, Any]:
        """All of it by names, for a program."""
        balance, low_to_high = self.balance, ("smallest", "median", "largest")
        facts: dict[str, Any] = {"source": self.source, "channels": self.channels}
        if self.digest is not None:
            facts |= {
                "size": self.size,
                "digest": self.digest,
                "white": self.white,
                "notes": self.notes,
            }
        else:
            facts |= {
                "modes": self.modes,
                "shorter_side": dict(zip(low_to_high, self.shorter_sides, strict=True)),
                "refused": len(self.refused),
                "refused_share": self.refused_share,
                "reasons": {reason: len(files) for reason, files in self.reasons.items()},
                "refused_files": [
                    {"file": each.path, "reason": each.reason} for each in self.refused
                ],
                "copies": self.copies.groups if self.copies.looked else None,
                "copies_across_classes": self.copies.across if self.copies.looked else None,
                "notes": self.notes,
                "training_refuses": self.refusal,
            }
        return facts | {
            "images": self.images,
            "classes": dict(zip(balance.class_names, balance.counts, strict=True)),
            "largest_to_smallest": balance.ratio,
            "effective_classes": round(balance.effective_classes, 6),
            "wants_balancing": balance.wants_balancing,
        }

    def first_line(self) -> str:
        """Number, kind and classes of the images."""
        kind = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels}-channel")
        counts, names = self.balance.counts, self.balance.class_names
        ordered = sorted(zip(counts, names, strict=True), key=lambda pair: -pair[0])
        listed = ", ".join(f"{_plain(name)} ({count:,})" for count, name in ordered[:_CLASSES])
        if len(ordered) > _CLASSES:
            count, name = ordered[-1]
            listed += f", ... {_plain(name)} ({count:,})"
        classes, images = plural(len(names), "class", "es"), plural(self.images, "image")
        number, _, word = images.partition(" ")
        return f"{number} {kind} {word} of {classes}: {listed}"

    def lines(self) -> Iterator[str]:
        """All of it for a person."""
        yield self.first_line()
        counts = self.balance.counts
        if min(counts) != max(counts):
            middle = int(median(counts))
            yield f"images a class: {min(counts):,} to {max(counts):,}, median {middle:,}"
        if self.size is not None:
            yield f"opened as {self.channels} x {self.size[0]} x {self.size[1]}"
            yield f"digest {self.digest}"
        else:
            low, middle, high = self.shorter_sides
            yield "shorter sides: " + (
                f"{low:,} pixels"
                if low == high
                else f"{low:,} to {high:,} pixels, median {middle:,}"
            )
            if len(self.modes) > 1:
                yield f"stored as {', '.join(self.modes)}"
        yield from self.faults()

    def text(self) -> str:
        """The lines below a heading."""
        lines = [f"found in {self.source}", *(f"  {line}" for line in self.lines())]
        return "\n".join(map(one_line, lines))

    def faults(self) -> Iterator[str]:
        """What a person may want to mend: imbalance, unreadable files by name, copies."""
        yield from self._unequal()
        yield from self._unusable()
        yield from self._copied()
        for note in self.notes:
            yield f"note: {note}"

    def _unequal(self) -> Iterator[str]:
        balance = self.balance
        if balance.wants_balancing:
            yield (
                f"unequal: the largest class has {balance.ratio:.3g} times the images of the smallest; all "
                f"are as varied as {balance.effective_classes:.1f} equal classes; data.balanced=true shows "
                "each equally often"
            )
        tail = [f"{_plain(name)} ({count:,})" for name, count in balance.tail]
        if tail:
            yield f"{len(tail):,} with less than half of the mean: {shown(tail, _CLASSES)}"

    def _unusable(self) -> Iterator[str]:
        """Few files by name, many by reason."""
        if not self.refused:
            return
        files = plural(len(self.refused), "file")
        yield f"{files} ({self.refused_share:.1%}) cannot be used:"
        if len(self.refused) <= _NAMED:
            yield from (f"  {each.path}: {each.reason}" for each in self.refused)
            return
        for reason, paths in self.reasons.items():
            yield f"  {len(paths):,} x {reason}: {shown(paths, _EXAMPLES)}"

    def _copied(self) -> Iterator[str]:
        copies = self.copies
        if not copies.groups:
            return
        many = f"{copies.spare:,} files are copies of others"
        files = "1 file is a copy of another" if copies.spare == 1 else many
        yield f"{files}: {_groups(copies.groups)}"
        yield "  copies are kept and trained on; move a file out of the folder to leave it out"
        if copies.across:
            yield f"  in several classes, so wrong in one at least: {_groups(copies.across)}"


@contextmanager
def without_notes(notes: Collection[str]) -> Iterator[None]:
    """Keep notes that have been said out of the log while the images are opened."""
    known = set(notes)

    def is_new(record: logging.LogRecord) -> bool:
        return not (
            isinstance(record.args, tuple) and record.args[-1:] and record.args[-1] in known
        )

    log = logging.getLogger("reacgan.data")
    log.addFilter(is_new)
    try:
        yield
    finally:
        log.removeFilter(is_new)


def _groups(groups: Sequence[tuple[str, ...]]) -> str:
    return shown([" = ".join(group[:3]) for group in groups], 3)


def _plain(name: str) -> str:
    """A class name on one line."""
    return one_line(" ".join(name.split())) or repr(name)


def overview_of(survey: Scan | ImageData, *, copies: bool = True) -> Overview:
    """The overview of a survey (:func:`reacgan.data.survey_dataset`).

    Args:
        survey: of a set's files, or the opened set.
        copies: whether to look for files with the same content, which reads some of them.
    """
    balance = balance_of(survey.class_names, survey.counts)
    if isinstance(survey, ImageData):
        side = min(survey.size)
        return Overview(
            survey.source,
            balance,
            survey.channels,
            (side, side, side),
            size=survey.size,
            digest=survey.digest,
            white=survey.white,
            notes=(
                *filter(None, [white_in_words(survey.white)]),
                *survey.lost,
                *class_notes(survey.class_names, len(survey)),
            ),
        )
    sides = [min(size) for size in survey.sizes]
    return Overview(
        str(survey.source),
        balance,
        survey.channels,
        (min(sides), int(median(sides)), max(sides)),
        modes=tuple(sorted(set(survey.modes))),
        refused=survey.refused,
        refusal=refusal_of(survey),
        copies=find_copies(survey) if copies else Copies(looked=False),
        notes=survey.notes,
    )
