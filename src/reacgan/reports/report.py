"""The report of runs: what was trained, scores with their protocols, curves, classes, samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from reacgan.evaluation.scores import Score
from reacgan.files import write_text
from reacgan.reports import page, plots
from reacgan.reports.blocks import Block, Column, Row
from reacgan.reports.record import RunRecord, read_run
from reacgan.reports.run_part import run_parts
from reacgan.reports.short import in_short
from reacgan.reports.tables import Table, score_table
from reacgan.reports.text import Cell

__all__ = ["RunRecord", "read_run", "report_html", "table_of", "write_report"]

_MOST_PICTURES = 24
_MOST_CLASSES = 10


def table_of(runs: Sequence[RunRecord]) -> Table:
    """All scores of all runs; with several runs, each subject says of which one it is."""
    names = {run.path: run.name for run in runs}
    if len(set(names.values())) < len(names):
        names = {run.path: str(run.path) for run in runs}
    several = len(names) > 1
    return score_table(
        [
            replace(score, subject=_of_run(score.subject, run.name, names[run.path]))
            if several
            else score
            for run in runs
            for score in run.scores
        ]
    )


def report_html(runs: Sequence[RunRecord]) -> str:
    """The page; the same runs give the same page."""
    drawing = plots.have_plots()
    table = table_of(runs)
    parts = []
    if not drawing:
        parts.append(page.note("No plots: pip install 'reacgan[plots]' adds them."))
    parts += in_short(table)
    parts.append(page.heading("Scores"))
    parts += page.scores(table) or [page.paragraph("None yet.")]
    if drawing:
        parts += page.figures(list(_metric_curves(table)))
    parts += _classes(table, drawing)
    for run in runs:
        parts += run_parts(run, drawing)
    return page.page(", ".join(run.name for run in runs), parts)


def write_report(paths: Sequence[Path], out: Path | None = None) -> Path:
    """Write the page; by default ``report.html`` in the one run, or here for several.

    Raises:
        ConfigError: a folder that is none of a run.
    """
    runs = [read_run(path) for path in dict.fromkeys(paths)]
    target = out or (runs[0].path if len(runs) == 1 else Path()) / "report.html"
    write_text(target, report_html(runs))
    return target


def _metric_curves(table: Table) -> Iterator[str]:
    for block in table.blocks:
        for column in block.columns:
            held = {row: score for row, score in column.scores.items() if _of_training(row, score)}
            moments = Counter((row.subject, row.seed) for row in held)
            seeds = len({row.seed for row in held}) > 1
            scores = [
                replace(score, subject=f"{row.subject}, seed {row.seed}" if seeds else row.subject)
                for row, score in held.items()
                if moments[row.subject, row.seed] > 1
            ]
            if scores:
                drawn = plots.metric_curve(scores, column.metric)
                yield page.picture(drawn, f"{column.title}, {block.title}")


def _of_training(row: Row, score: Score) -> bool:
    """Whether a score is a point of a curve; that of a chosen best state is none."""
    selection = score.protocol.get("selection")
    best = isinstance(selection, Mapping) and selection.get("checkpoint") == "best"
    return row.images_seen is not None and not best


def _classes(table: Table, drawing: bool) -> list[str]:
    """Worst classes and pictures of the newest state of each subject."""
    newest = [(block, column, row) for block in table.blocks for column, row in _newest(block)]
    parts = []
    for block, column, row in newest:
        parts += _worst(column.scores[row], f"{_state(row)}, {block.title}")
    pictures = (
        (f"{caption}; {_state(row)}, {block.title}", png)
        for block, column, row in newest
        for caption, png in plots.pictures_of(column.scores[row]).items()
    )
    drawn = list(islice(pictures, _MOST_PICTURES + 1)) if drawing else []
    parts += page.figures([page.picture(png, caption) for caption, png in drawn[:_MOST_PICTURES]])
    if len(drawn) > _MOST_PICTURES:
        parts.append(page.paragraph(f"Only the first {_MOST_PICTURES} pictures are drawn."))
    return [page.heading("Behind the scores"), *parts] if parts else []


def _state(row: Row) -> str:
    seen = "" if row.images_seen is None else f" at {row.images_seen:,} images seen"
    return f"{row.subject}{seen}"


def _newest(block: Block) -> Iterator[tuple[Column, Row]]:
    for column in block.columns:
        last: dict[str, Row] = {}
        for row in block.rows:
            if row in column.scores:
                last[row.subject] = row
        yield from ((column, row) for row in last.values())


def _worst(score: Score, where: str) -> list[str]:
    held = score.details.get("classes")
    if not isinstance(held, Mapping):
        return []
    numbers = [(value, str(name)) for name, value in held.items() if isinstance(value, int | float)]
    ranked = sorted(numbers, key=lambda one: one[0], reverse=score.better == "lower")
    body = [[Cell(name), Cell(f"{value:.4g}")] for value, name in ranked[:_MOST_CLASSES]]
    head = f"{score.metric}: worst {len(body)} of {len(numbers)} classes; {where}"
    return [page.heading(head, 3), page.rows(["class", score.metric], body, 1)]


def _of_run(subject: str, run: str, name: str) -> str:
    return name if subject in (run, name) else f"{name}: {subject}"
