"""Tables in JSON: one object a line, or the ``dataset.json`` of StyleGAN's tool."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reacgan.data.cells import Table, label_in, path_in, split_in
from reacgan.data.columns import LABELS, PATHS, plain_name
from reacgan.data.dataset import DataError
from reacgan.data.rows import Row
from reacgan.data.splits import SPLITS, SplitsError, find_split, split_taken, unread_note
from reacgan.data.walk import read_text


def read_json_lines(file: Path) -> Table:
    """Rows of objects with path, label and perhaps a split, in every line or in none."""
    objects = list(_objects(file))
    keys = list(dict.fromkeys(key for _, held in objects for key in held))
    texts = [
        ["" if held.get(key) is None else str(held[key]) for key in keys] for _, held in objects
    ]
    known = [place for place, key in enumerate(keys) if key in (*PATHS, *LABELS)]
    try:
        split_place = find_split(keys, texts, known)
    except SplitsError as error:
        raise DataError(f"{file}: {error}") from None
    split_key = None if split_place is None else keys[split_place]
    rows = []
    for where, held in objects:
        path_key, label_key = _key(held, PATHS, where), _key(held, LABELS, where)
        split = "" if split_key is None else split_in(held.get(split_key), split_key, where)
        path = path_in(held[path_key], path_key, where)
        rows.append(Row(path, label_in(held[label_key], label_key, where), split))
    notes = []
    if split_place is not None and keys[split_place] not in SPLITS:
        key, values = keys[split_place], [text[split_place] for text in texts]
        notes.append(f"{file.name}: {split_taken(key, key, values)}")
    used = [*known, *([] if split_place is None else [split_place])]
    unread = unread_note(keys, keys, texts, used, split_place)
    notes += [f"{file.name}: {unread}"] if unread else []
    return Table(file, tuple(rows), split_key is not None, tuple(notes))


def _objects(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each object is, and what it holds by plain names."""
    for number, line in enumerate(read_text(file, may_be_wide=True).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            held = json.loads(line)
        except (ValueError, RecursionError):
            held = None
        if not isinstance(held, dict):
            raise DataError(
                f'{where}: not a JSON object such as {{"path": "1.png", "label": "cat"}}'
            )
        yield where, {plain_name(key): value for key, value in held.items()}


def _key(held: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    there = [name for name in names if name in held]
    if len(there) == 1:
        return there[0]
    state = f"both {' and '.join(there[:2])}" if there else f"only {', '.join(held) or 'nothing'}"
    raise DataError(f"{where}: has {state}; needed: one of {', '.join(names)}")


def read_style_gan(file: Path) -> Table:
    """``{"labels": [[path, class], ...]}``; a class is a whole number, a text, or a one-hot vector."""
    needed = (
        'needed: {"labels": [["00000/img00000000.png", 3], ...]}, as StyleGAN\'s tool writes it'
    )
    try:
        held = json.loads(read_text(file, may_be_wide=True))
    except (ValueError, RecursionError):
        raise DataError(f"{file}: not JSON; {needed}") from None
    if not isinstance(held, dict) or "labels" not in held:
        raise DataError(f"{file}: holds no labels; {needed}")
    labels = held["labels"]
    if labels is None:
        return Table(file, (), without_labels=True)
    if not isinstance(labels, list) or not all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in labels
    ):
        raise DataError(f"{file}: its labels are no list of [path, class]; {needed}")
    if labels and all(label is None for _, label in labels):
        return Table(file, (), without_labels=True)
    rows = []
    for number, (path, label) in enumerate(labels, start=1):
        where = f"{file}, label {number}"
        rows.append(
            Row(path_in(path, "path", where), label_in(_one_hot(label), "label", where), "")
        )
    return Table(file, tuple(rows))


def _one_hot(label: Any) -> Any:
    """The place of the only 1 among 0s; anything else as it is."""
    if isinstance(label, list) and sorted(label, key=str) == [0] * (len(label) - 1) + [1]:
        return label.index(1)
    return label
