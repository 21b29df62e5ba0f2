"""A run's journal as records to compute with: read here, written by the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reacgan.config import ConfigError, path_of
from reacgan.records import json_lines

if TYPE_CHECKING:
    import pandas

JOURNAL = "journal.jsonl"
"""Within the folder of a run."""


class History(list[dict[str, Any]]):
    """Records of a run in the order they were made: a plain list with two ways to columns.

    A record holds ``images_seen``, and of a report also ``images_per_second``, means such as
    ``d/adversarial`` and ``g/conditioning``, and sometimes ``watch`` or ``diagnosis``, which hold
    numbers of their own; of an event ``event``.
    """

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name, each as long as the list; None where a record lacks the value.

        What stands within another value has its name before it: ``watch/fake_variety``.
        """
        rows = [flat(record) for record in self]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def to_pandas(self) -> pandas.DataFrame:
        """The same columns as a table.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas  # noqa: PLC0415
        except ImportError:
            raise ConfigError(
                "a table needs pandas, which is not installed: pip install pandas; to_dict() gives the "
                "same columns without it"
            ) from None
        return pandas.DataFrame(self.to_dict())


def journal(run: str | Path) -> History:
    """What a run has reported so far, also while it goes on.

    Args:
        run: its folder.

    Raises:
        ConfigError: no such folder, or no journal in it.
    """
    folder = path_of(run)
    path = folder / JOURNAL
    if not path.is_file():
        why = "it has no journal.jsonl" if folder.is_dir() else "no such folder"
        raise ConfigError(f"{folder}: {why}; needed: the folder of a run")
    return read_records(path)


def read_records(path: Path) -> History:
    """The records of a journal; what is none, as a killed process may leave it, is left out."""
    records = History()
    if not path.exists():
        return records
    records.extend(
        record for record in json_lines(path) if isinstance(record.get("images_seen"), int)
    )
    return records


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The same with the values of inner mappings beside the others, as ``outer/inner``."""
    values: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}/")
        else:
            values[prefix + name] = value
    return values
