"""The report of runs: plain words, sheets, scores with their protocols, curves, classes, each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from reacgan.config import refuse_unwritable
from reacgan.data.names import shown
from reacgan.evaluation.scores import Score
from reacgan.files import write_text
from reacgan.metrics.names import LEGEND, meaning_of, title_of
from reacgan.outlook import HARDLY_BEGUN
from reacgan.reports import page, plots
from reacgan.reports.cells import Cell, html_rows
from reacgan.reports.compare import comparison, losses_beside, names_of, run_styles
from reacgan.reports.palette import Style
from reacgan.reports.record import RunRecord, read_run, section
from reacgan.reports.run_part import newest_sheets, run_parts
from reacgan.reports.tables import ScoreBlock, ScoreColumn, ScoreRow, ScoreTable, score_table
from reacgan.reports.words import age, sentences

__all__ = ["RunRecord", "read_run", "report_html", "table_of", "write_report"]

_IN_SHORT = ("fid", "kid", "recall", "coverage", "top1", "memorised_share")
_MOST_PICTURES = 24
_MOST_CLASSES = 10


def table_of(runs: Sequence[RunRecord]) -> ScoreTable:
    """All scores of all runs; with several runs, subjects name their run."""
    names = dict(zip((run.path for run in runs), names_of(runs), strict=True))
    if len(names) < 2:
        return score_table([score for run in runs for score in run.scores])
    scores = []
    for run in runs:
        name = names[run.path]
        for score in run.scores:
            own = score.subject in (run.name, name)
            scores.append(replace(score, subject=name if own else f"{name}: {score.subject}"))
    return score_table(scores)


def report_html(runs: Sequence[RunRecord]) -> str:
    """The page; the same runs give the same page."""
    drawing = plots.have_plots()
    table = table_of(runs)
    alone = len(runs) == 1
    parts = [page.lead(sentences(runs[0]))] if alone else comparison(runs, table)
    if not drawing:
        parts.append(page.note("No plots: pip install 'reacgan[plots]' adds them."))
    parts += newest_sheets(runs[0]) if alone else []
    parts += _in_short(table)
    if drawing:
        parts += page.figures(list(_metric_curves(table, run_styles(runs))))
        parts += [] if alone else losses_beside(runs)
    said = HARDLY_BEGUN if alone and runs[0].is_early(runs[0].images_seen) else ""
    parts.append(page.heading("Scores"))
    parts += page.scores(table, said) or [page.paragraph("None yet.")]
    parts += _what_they_say(table)
    names = runs[0].class_names if alone else ()
    parts += _classes(table, drawing, run_styles(runs), names)
    for run in runs:
        parts += run_parts(run, drawing, alone=alone)
    return page.page(", ".join(run.name for run in runs), parts)


def write_report(paths: Sequence[Path], out: Path | None = None) -> Path:
    """Write the page; by default ``report.html`` in the run, or here for several.

    Raises:
        ConfigError: a folder that is not that of a run; a file that cannot be written.
    """
    runs = [read_run(path) for path in dict.fromkeys(paths)]
    target = refuse_unwritable(
        out or (runs[0].path if len(runs) == 1 else Path()) / "report.html", "file"
    )
    write_text(target, report_html(runs))
    return target


def _in_short(table: ScoreTable) -> list[str]:
    """A line for each subject's newest scores of six metrics, a table for each protocol."""
    columns = [(block, column) for block in table.blocks for column in block.columns]
    lines: dict[tuple[str, ScoreRow], dict[str, Cell]] = {}
    better: dict[str, str] = {}
    for subject in dict.fromkeys(row.subject for block in table.blocks for row in block.rows):
        for metric in _IN_SHORT:
            states = [
                (block, column, row)
                for block, column in columns
                if column.metric == metric
                for row in column.scores
                if row.subject == subject
            ]
            if states:
                block, column, row = max(states, key=lambda state: age(state[1].scores[state[2]]))
                lines.setdefault((block.title, row), {})[metric] = _short_cell(column, row)
                better[metric] = column.scores[row].better
    parts = []
    for under in dict.fromkeys(title for title, _ in lines):  # numbers of two protocols never meet
        own = {row: cells for (title, row), cells in lines.items() if title == under}
        shown = [metric for metric in _IN_SHORT if any(metric in cells for cells in own.values())]
        seen = any(row.images_seen is not None for row in own)
        body = []
        for row, cells in own.items():
            at = "" if row.images_seen is None else f"{row.images_seen:,}"
            facts = [row.subject, *([at] if seen else [])]
            body.append([*map(Cell, facts), *(cells.get(metric, Cell("")) for metric in shown)])
        head = ["subject", *(["images seen"] if seen else [])]
        head += [title_of(metric, better[metric]) for metric in shown]
        parts += [page.paragraph(under), html_rows(head, body, len(shown), brief=True)]
    return [page.heading("In short"), *parts] if parts else []


def _what_they_say(table: ScoreTable) -> list[str]:
    """Folded: the scores of the page, a line each."""
    metrics = dict.fromkeys(column.metric for block in table.blocks for column in block.columns)
    lines = [f"{title_of(metric)}: {says}" for metric in metrics if (says := meaning_of(metric))]
    return page.folded(f"What the scores say ({LEGEND})", [page.bullets(lines)]) if lines else []


def _short_cell(column: ScoreColumn, row: ScoreRow) -> Cell:
    """The value without its interval, with the chance level where the settings hold one."""
    score = column.scores[row]
    chance = section(score.protocol, "metric").get("chance")
    beside = f" (chance {chance:.2g})" if isinstance(chance, int | float) else ""
    return Cell(f"{column.number(score.value)}{beside}")


def _metric_curves(table: ScoreTable, drawn_as: Mapping[str, Style]) -> Iterator[str]:
    """Curves over the states of training, without states chosen as the best."""
    for block in table.blocks:
        for column in block.columns:
            states = [
                (row, score)
                for row, score in column.scores.items()
                if row.images_seen is not None
                and section(score.protocol, "selection").get("checkpoint") != "best"
            ]
            moments = Counter((row.subject, row.seed) for row, _ in states)
            seeds = len({row.seed for row, _ in states}) > 1
            scores = [
                replace(score, subject=f"{row.subject}, seed {row.seed}" if seeds else row.subject)
                for row, score in states
                if moments[row.subject, row.seed] > 1
            ]
            if scores:
                drawn = plots.metric_curve(scores, column.metric, drawn_as)
                caption = f"{column.title}, {block.title}"
                yield page.picture(drawn, caption, kind="plot", below=block.title)


def _missing(score: Score, classes: Sequence[str]) -> str:
    """The classes without a bar, since too few images gave them no value."""
    values = section(score.details, "classes")
    missing = [name for name in classes if name not in values]
    if not missing or len(missing) == len(classes):
        return ""
    return f"; too few images for a value: {shown(missing, _MOST_CLASSES)}"


def _classes(
    table: ScoreTable, drawing: bool, drawn_as: Mapping[str, Style], classes: Sequence[str]
) -> list[str]:
    """Worst classes and pictures of the newest state of each subject, in the colours of its method."""
    parts = []
    newest = []
    for block in table.blocks:
        for score, row in _newest(block):
            seen = "" if row.images_seen is None else f" at {row.images_seen:,} images seen"
            newest.append((score, f"{row.subject}{seen}, {block.title}"))
    for score, where in newest:
        if section(score.details, "classes"):
            ranked = plots.worst_first(score)
            body = [[Cell(name), Cell(f"{value:.4g}")] for name, value in ranked[:_MOST_CLASSES]]
            name = title_of(score.metric)
            title = f"{name}: worst {len(body)} of {len(ranked)} classes; {where}"
            parts += [page.heading(title, 3), html_rows(["class", name], body, 1)]
    pictures = (
        page.picture(
            png,
            f"{title_of(score.metric)}: {caption}; {where}",
            kind="plot",
            below=where + _missing(score, classes) if caption == "classes" else None,
        )
        for score, where in newest
        for caption, png in plots.pictures_of(score, drawn_as.get(score.subject)).items()
    )
    drawn = list(islice(pictures, _MOST_PICTURES + 1)) if drawing else []
    numbers = page.folded("Worst classes, as numbers", parts) if drawn else parts
    parts = page.figures(drawn[:_MOST_PICTURES]) + numbers
    if len(drawn) > _MOST_PICTURES:
        parts.append(page.paragraph(f"Only the first {_MOST_PICTURES} pictures are drawn."))
    return [page.heading("Behind the scores"), *parts] if parts else []


def _newest(block: ScoreBlock) -> Iterator[tuple[Score, ScoreRow]]:
    for column in block.columns:
        last = {row.subject: row for row in block.rows if row in column.scores}
        yield from ((column.scores[row], row) for row in last.values())
