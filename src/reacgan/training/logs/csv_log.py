"""Reports, sheets and scores as CSV, for spreadsheets: nothing beyond the standard library."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, ClassVar

from reacgan.evaluation import Score
from reacgan.files import naming, replacing
from reacgan.training.logs.base import Log, numbers_of

_TABLES = ("reports", "sheets", "scores")


class CsvLog(Log):
    """``reports.csv``, ``scores.csv`` and ``sheets.csv``; the first column is ``images_seen``."""

    name: ClassVar[str] = "csv"

    def open(self, until: int, *, anew: bool) -> int:
        """Drop rows of later moments."""
        self._columns: dict[str, list[str]] = {}
        if not (self.folder / "reports.csv").is_file():
            until = -1
        for table in _TABLES:
            rows = [row for row in self._rows(table) if int(row["images_seen"]) <= until]
            self._write(table, rows)
        return until

    def scalars(self, values: dict[str, float], images_seen: int) -> None:
        """A row of ``reports.csv``."""
        self._append("reports", {"images_seen": images_seen, **values})

    def image(self, tag: str, path: Path, images_seen: int) -> None:
        """A row of ``sheets.csv``: where the picture is, from the run's folder."""
        shown = path.relative_to(self.run).as_posix()
        self._append("sheets", {"images_seen": images_seen, "picture": tag, "path": shown})

    def score(self, tag: str, score: Score, images_seen: int) -> None:
        """A row of ``scores.csv``, with the protocol as JSON."""
        row = {"images_seen": images_seen, "score": tag, **numbers_of(score)}
        row |= {"better": score.better, "protocol": json.dumps(score.protocol)}
        self._append("scores", row)

    def _append(self, table: str, row: dict[str, Any]) -> None:
        columns = self._columns.get(table, [])
        if not columns or not set(row) <= set(columns):
            self._write(table, [*self._rows(table), row])
            return
        path = self.folder / f"{table}.csv"
        with naming(path), path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, columns).writerow(row)

    def _rows(self, table: str) -> list[dict[str, Any]]:
        path = self.folder / f"{table}.csv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            # What a killed process left unfinished has no number first, or too few values.
            return [row for row in csv.DictReader(file) if _is_whole(row)]

    def _write(self, table: str, rows: list[dict[str, Any]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row)) or ["images_seen"]
        self._columns[table] = columns if rows else []
        with (
            replacing(self.folder / f"{table}.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _is_whole(row: dict[str, Any]) -> bool:
    return str(row.get("images_seen")).isdigit() and None not in row.values()
