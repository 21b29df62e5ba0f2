"""What a run's images were, in its folder, so that changed ones can be named when it is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, files_of
from reacgan.data.names import plural, shown
from reacgan.files import write_text
from reacgan.records import read_json

NAME = "images.json"
_MOST_FILES = 200_000
"""Of larger sets no files are recorded, but counts."""
_NAMED = 5

Record = Mapping[str, Any]
"""``digest``, ``classes`` (images by name) and ``files`` (size and time of change, ns, by path)."""


def describe_images(config: DataConfig, data: ImageData) -> Record:
    """The record of a run's images; without files where they are none, or too many."""
    files: Mapping[str, Any] = {}
    with suppress(ConfigError, OSError):
        files = files_of(config)
    return {
        "digest": data.digest,
        "classes": dict(zip(data.class_names, data.counts.tolist(), strict=True)),
        "files": files if len(files) <= _MOST_FILES else {},
    }


def write_record(folder: Path, record: Record) -> None:
    """Write it into a run's folder."""
    write_text(folder / NAME, json.dumps(record) + "\n")


def changes_since(folder: Path, now: Record) -> Iterator[str]:
    """What has changed since the record in a run's folder: counts, classes, files by name."""
    try:
        before = read_json(folder / NAME)
        old, new = before["classes"], now["classes"]
        files, present = before["files"], now["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    yield from _counts(old, new)
    if files and present:
        yield from _named("files added", set(present) - set(files))
        yield from _named("files removed", set(files) - set(present))
        both = set(files) & set(present)
        yield from _named("files changed", {name for name in both if files[name] != present[name]})


def _counts(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[str]:
    total = sum(old.values()), sum(new.values())
    if total[0] != total[1]:
        yield f"{plural(total[0], 'image')} then, {total[1]:,} now"
    yield from _named("classes added", set(new) - set(old))
    yield from _named("classes removed", set(old) - set(new))
    counts = [
        f"{name} {old[name]:,} -> {new[name]:,}"
        for name in old
        if name in new and old[name] != new[name]
    ]
    if counts:
        yield f"images of classes: {shown(counts, _NAMED)}"


def _named(what: str, names: set[str]) -> Iterator[str]:
    """A line with the number of names and the first of them, or nothing."""
    if names:
        yield f"{what} ({len(names):,}): {shown(sorted(names), _NAMED)}"
