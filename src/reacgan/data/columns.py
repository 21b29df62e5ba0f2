"""Find the columns of file, class and split in a table: by name, or where only one is possible.

Names and values are known in many languages; a note reports columns with undocumented names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reacgan.data.column_names import (
    DOUBTFUL,
    FLAGS,
    LABEL_NAMES,
    LABELS,
    MORE_SPLITS,
    NO,
    PATH_NAMES,
    PATHS,
    SPLITS,
    TEST,
    TRAIN,
    TRAIN_FLAGS,
    YES,
)
from reacgan.data.names import SplitWord, class_name_of, shown

_JOINTS = re.compile(r"[\s_\-'’.]+")
_NUMBER = re.compile(r"[+-]?([0-9]+[.,][0-9]+|[0-9]*[.,][0-9]+([eE][+-]?[0-9]+)?)")
_NUMBER_OR_BIT = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+([eE][+-]?[0-9]+)?|true|false", re.IGNORECASE)
_SAMPLED_ROWS = 200
_BITS = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}


class ColumnsError(ValueError):
    """No column, or several, for a role; the message lists the columns."""


class Wanted(NamedTuple):
    """Columns that the user names; None leaves the choice to the table."""

    file: str | None = None
    label: str | None = None
    split_column: str | None = None

    def column_of(self, role: str, header: Sequence[str]) -> int | None:
        """The column that is named for a role (a field of this tuple), if one is.

        Raises:
            ColumnsError: the table has no such column, or several.
        """
        wanted = getattr(self, role)
        if wanted is None:
            return None
        exact = [index for index, name in enumerate(header) if name.strip() == wanted.strip()]
        alike = exact or [
            index for index, name in enumerate(header) if plain_name(name) == plain_name(wanted)
        ]
        if len(alike) == 1:
            return alike[0]
        titles = ", ".join(name.strip() for name in header if name.strip())
        state = "several columns of that name" if alike else "no such column"
        raise ColumnsError(f"data.options.{role} is {wanted!r}: {state}; the columns: {titles}")


AUTOMATIC = Wanted()


@dataclass(frozen=True)
class Columns:
    """Numbers of columns."""

    path: int
    label: int | None
    """None with a column for each class (``one_hot``)."""
    split: int | None
    one_hot: tuple[int, ...] = ()
    """Columns of 0 and 1, one for each class; every line has a single 1."""
    notes: tuple[str, ...] = ()
    """Notes on columns with undocumented names, and on columns that are not read."""


def plain_name(name: str) -> str:
    """A column's name in lower case and normalised Unicode, stripped."""
    return class_name_of(name).strip().strip("\ufeff").casefold().replace(" ", "_")


def choose_columns(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    looks_like_file: Callable[[str], bool],
    wanted: Wanted = AUTOMATIC,
) -> Columns:
    """Choose by documented names, then by usual ones, then where only one column is possible.

    Args:
        header: names of the columns.
        rows: the cells below them.
        looks_like_file: whether a cell may name an image.
        wanted: columns that the user names.

    Raises:
        ColumnsError: no column, or several.
    """
    names = [plain_name(name) for name in header]
    given = [wanted.column_of(role, header) for role in Wanted._fields]
    path, label, split = given
    if label is None:
        label = named(names, "label", LABEL_NAMES, given)
    if path is None:
        path = named(names, "file", PATH_NAMES, (label, *given))
    if split is None:
        split = find_split(names, rows, (label, path))
    if path is None:
        path = _path_column(header, names, rows[:_SAMPLED_ROWS], (label, split), looks_like_file)
    one_hot: tuple[int, ...] = ()
    if label is None:
        label, one_hot = _label_columns(header, names, rows, (path, split))
    titles = [name.strip() for name in header]
    taken = []
    if label is None:
        taken.append(
            f"each column is taken for a class: {shown([titles[index] for index in one_hot], 8)}"
        )
    else:
        taken.append(taken_note(titles, path, label, wanted))
    if split is not None and names[split] not in SPLITS and split != given[2]:
        taken.append(split_taken(titles[split], names[split], [row[split] for row in rows]))
    used = [index for index in (path, label, split, *one_hot) if index is not None]
    notes = "; ".join(filter(None, taken)), unread_note(header, names, rows, used, split)
    return Columns(path, label, split, one_hot, tuple(filter(None, notes)))


def taken_note(titles: Sequence[str], path: int, label: int, wanted: Wanted) -> str:
    """A note on columns of file and class with undocumented names that the user did not name."""
    free = (path, wanted.file, PATHS), (label, wanted.label, LABELS)
    if all(given or plain_name(titles[index]) in known for index, given, known in free):
        return ""
    return f"column {titles[path]} is taken for the file, {titles[label]} for the class"


def named(
    names: Sequence[str],
    role: str,
    known: Sequence[Collection[str]],
    taken: Collection[int | None] = (),
) -> int | None:
    """The column whose plain name is known for a role, by the first set of names that has one.

    Raises:
        ColumnsError: several.
    """
    for those in known:
        there = [index for index, name in enumerate(names) if name in those and index not in taken]
        if len(there) > 1:
            first, second = names[there[0]], names[there[1]]
            if first == second:
                raise ColumnsError(f"names the column {first} twice; leave one out")
            raise ColumnsError(
                f"has both {first} and {second}; needed: one of {', '.join(known[0])}{or_name(role)}"
            )
        if there:
            return there[0]
    return None


def or_name(role: str, example: str = "NAME") -> str:
    """How to name a column without changing the table."""
    return f", or name the column: --set {shlex.quote(f'data.options.{role}={example}')}"


def _path_column(
    header: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    taken: Sequence[int | None],
    looks_like_file: Callable[[str], bool],
) -> int:
    """The only column whose values are mostly names of images."""
    candidates = []
    for index, name in enumerate(names):
        values = [row[index] for row in rows if index < len(row) and row[index].strip()]
        if name and index not in taken and 2 * sum(map(looks_like_file, values)) > len(values):
            candidates.append(index)
    if len(candidates) != 1:
        raise ColumnsError(_state(header, candidates, PATHS, "may name the files", "file"))
    return candidates[0]


def _label_columns(
    header: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    taken: Sequence[int | None],
) -> tuple[int | None, tuple[int, ...]]:
    """The only remaining column, or a column for each class."""
    left = [index for index, name in enumerate(names) if name and index not in taken]
    if len(left) > 1 and rows and all(class_column_of(row, left) is not None for row in rows):
        return None, tuple(left)
    if len(left) != 1:
        raise ColumnsError(no_label(header, rows, left) + _not_one_hot(header, rows, left))
    name = header[left[0]].strip()
    cells = (row[left[0]].strip() for row in rows[:_SAMPLED_ROWS] if left[0] < len(row))
    values = [value for value in cells if value]
    needed = f"rename it to {LABELS[0]} if it is the class{or_name('label', name)}"
    if values and all(_NUMBER.fullmatch(value) for value in values):
        raise ColumnsError(f"has the column {name}, which holds fractions; {needed}")
    if len(values) > 20 and len(set(values)) == len(values):
        raise ColumnsError(f"has the column {name}, with a different value in every line; {needed}")
    return left[0], ()


def _not_one_hot(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Why columns of numbers are not one-hot; empty where they do not resemble it."""
    numeric = [index for index in left if _is_numeric(rows, index)]
    if len(numeric) < 2 or 2 * len(numeric) <= len(left) or not rows:
        return ""
    numbered = enumerate(rows, start=2)
    number, row = next(pair for pair in numbered if class_column_of(pair[1], left) is None)
    values = shown([f"{header[index].strip()} {row[index].strip()!r}" for index in left], 8)
    return (
        ". If each of them is a class (one column a class), every row needs exactly one 1 and 0 in "
        f"the others, and there is no further column: row {number} has {values}"
    )


def class_column_of(row: Sequence[str], columns: Sequence[int]) -> int | None:
    """The one-hot column of a row, or None."""
    values = [_BITS.get(row[index].strip()) for index in columns]
    if None in values or values.count(1) != 1:
        return None
    return columns[values.index(1)]


def no_label(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """The error for a table without a column of classes; ``left`` are those that may be it."""
    ranked = _ranked(rows, left)
    texts = bool(ranked) and not _is_numeric(rows, ranked[0])
    likely = ranked[0] if texts else None
    return _state(header, ranked or left, LABELS, "may hold the class", "label", likely)


def _ranked(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[int]:
    """The columns whose values repeat as classes do: the fewest texts first, then whole numbers."""
    ranked = []
    for index in left:
        values = [row[index].strip() for row in rows]
        kinds = set(values)
        repeats = 1 < len(kinds) <= len(values) // 2 and "" not in kinds
        if repeats and not any(map(_NUMBER.fullmatch, kinds)):
            ranked.append((_is_numeric(rows, index), len(kinds), index))
    return [index for *_, index in sorted(ranked)]


def _is_numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    return all(_NUMBER_OR_BIT.fullmatch(row[index].strip()) for row in rows)


def _state(
    header: Sequence[str],
    candidates: Sequence[int],
    documented: Sequence[str],
    what: str,
    role: str,
    likely: int | None = None,
) -> str:
    titles = shown([name.strip() for name in header if name.strip()], 8) or "nothing"
    several = shown([header[index].strip() for index in candidates])
    example = "NAME" if likely is None else header[likely].strip()
    return (
        f"has only {titles}{f', of which {several} {what}' if candidates else ''}; needed: one "
        f"of {', '.join(documented)} in the header line{or_name(role, example)}"
    )


def meaning(value: str, name: str = "") -> SplitWord:
    """The split that a value means; empty for other values.

    ``name`` is the plain name of the column: in ``is_test`` True and 1 are test, False and 0 are train.
    """
    word = _JOINTS.sub("", class_name_of(value).strip().casefold())
    if name in FLAGS:
        text = value.strip().casefold()
        if text not in YES | NO:
            return ""
        return "train" if (text in YES) == (name in TRAIN_FLAGS) else "test"
    if word in TRAIN:
        return "train"
    return "test" if word in TEST else ""


def find_split(
    names: Sequence[str], rows: Sequence[Sequence[str]], taken: Iterable[int | None]
) -> int | None:
    """The column of the split: by documented name, usual name, or values.

    With a usual name most values must name splits, with other names all.

    Raises:
        ColumnsError: several that differ.
    """
    taken = set(taken)
    free = [index for index in range(len(names)) if index not in taken]
    documented = [index for index in free if names[index] in SPLITS]
    if len(documented) > 1:
        raise ColumnsError("names the column split twice; leave one out")
    if documented:
        return documented[0]
    meanings = {index: [meaning(row[index], names[index]) for row in rows] for index in free}
    filled = {index: sum(bool(row[index].strip()) for row in rows) for index in free}
    known = {index: sum(map(bool, meanings[index])) for index in free}
    candidates = [
        index for index in free if _is_usual(names[index]) and 2 * known[index] > filled[index] > 0
    ] or [
        index
        for index in free
        if names[index]
        and known[index] == filled[index]
        and {"train", "test"} <= set(meanings[index])
    ]
    for further in candidates[1:]:
        if meanings[further] != meanings[candidates[0]]:
            both = f"{names[candidates[0]]} and {names[further]}"
            raise ColumnsError(
                f"has the columns {both}, which may both be the split but differ; rename one of "
                f"them to split{or_name('split_column', names[further])}"
            )
    return candidates[0] if candidates else None


def split_taken(title: str, name: str, values: Sequence[str]) -> str:
    """A note on the column of the split and its values: ``Lernmenge is train``."""
    kinds = {value.strip(): meaning(value, name) for value in sorted(set(values))}
    foreign = [
        f"{value} is {kind}" for value, kind in kinds.items() if kind and value.casefold() != kind
    ]
    ending = f" ({shown(foreign, 6)})" if foreign else ""
    return f"column {title.strip()} is taken for the split{ending}"


def unread_note(
    header: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    used: Sequence[int],
    split: int | None,
) -> str:
    """A note on columns that are not read, and on candidates for a missing split."""
    unread, doubtful = [], []
    for index, name in enumerate(names):
        values = [text for row in rows if (text := row[index].strip())]
        if index in used or not (name or values):
            continue
        title = header[index].strip().strip("\ufeff") or f"column {index + 1} without a name"
        words = sum(bool(meaning(value)) for value in values)
        if split is None and (_is_usual(name) or name in DOUBTFUL or 2 * words > len(values)):
            doubtful.append(title)
            title += f" ({shown([value[:40] for value in dict.fromkeys(values)], 3)})"
        unread.append(title)
    if not unread:
        return ""
    note = f"columns not read: {shown(unread, 40)}"
    if doubtful:
        note += (
            f"; if {' or '.join(doubtful[:3])} is the split, call it split and its values train and "
            "test"
        )
    return note


def _is_usual(name: str) -> bool:
    return name in MORE_SPLITS or name in FLAGS
