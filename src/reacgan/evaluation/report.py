"""The report of runs: what was trained, scores with their protocols, curves, classes, samples."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.evaluation import plots, report_page
from reacgan.evaluation.blocks import Block, Column, Row
from reacgan.evaluation.protocols import flatten, word
from reacgan.evaluation.results import Score, read_scores
from reacgan.evaluation.tables import Table, score_table
from reacgan.evaluation.text import Cell
from reacgan.files import write_text

_MOST_POINTS = 1000
_MOST_PICTURES = 24
_MOST_CLASSES = 10
_MOST_BYTES = 16 * 2**20
_TRAINED = {
    "name": "experiment",
    "data.name": "data",
    "data.resolution": "resolution",
    "data.channels": "channels",
    "model.generator.name": "generator",
    "model.backbone.name": "backbone",
    "model.head.name": "head",
    "loss.adversarial": "adversarial loss",
    "augment.name": "augmentation",
    "training.batch": "batch",
    "training.images": "images to see",
    "training.seed": "seed",
    "training.precision": "precision",
}
_MACHINE = ("reacgan", "torch", "python", "device", "world")


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says."""

    path: Path
    name: str
    experiment: Mapping[str, Any]
    environment: Mapping[str, Any]
    journal: Sequence[Mapping[str, Any]]
    scores: Sequence[Score]

    @property
    def images_seen(self) -> int:
        """At the last line of the journal."""
        return max((line["images_seen"] for line in self.journal), default=0)

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """What detectors saw."""
        return [line for line in self.journal if "event" in line]


def read_run(path: Path) -> RunRecord:
    """Read a run's folder, or that of an evaluation; one of experiment.json and scores.jsonl is there.

    Raises:
        ConfigError: no such folder, or not that of a run.
    """
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder; needed: the folder of a run")
    file, scored = path / "experiment.json", path / "scores.jsonl"
    if not file.is_file() and not scored.is_file():
        raise ConfigError(
            f"{path}: not the folder of a run or an evaluation, it has no experiment.json and no "
            "scores.jsonl; needed: what `reacgan train` or `reacgan evaluate` wrote"
        )
    experiment = _json(file) if file.is_file() else {}
    if experiment is None:
        raise ConfigError(f"{file}: damaged; write it anew from model/config.json")
    journal = [
        line for line in _lines(path / "journal.jsonl") if isinstance(line.get("images_seen"), int)
    ]
    name = path.name or path.resolve().name
    scores = [
        score if score.subject else replace(score, subject=name) for score in read_scores(scored)
    ]
    return RunRecord(
        path, name, experiment, _json(path / "environment.json") or {}, journal, scores
    )


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
        parts.append(report_page.note("No plots: pip install 'reacgan[plots]' adds them."))
    parts.append(report_page.heading("Scores"))
    parts += report_page.scores(table) or [report_page.paragraph("None yet.")]
    if drawing:
        parts += _metric_curves(table)
    parts += _classes(table, drawing)
    for run in runs:
        parts += _run(run, drawing)
    return report_page.page(", ".join(run.name for run in runs), parts)


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
            moments = Counter(row.subject for row in column.scores if row.images_seen is not None)
            if max(moments.values(), default=0) > 1:
                seeds = len({row.seed for row in column.scores}) > 1
                scores = [
                    replace(
                        score, subject=f"{row.subject}, seed {row.seed}" if seeds else row.subject
                    )
                    for row, score in column.scores.items()
                ]
                drawn = plots.metric_curve(scores, column.metric)
                yield report_page.picture(drawn, f"{column.title}, {block.title}")


def _classes(table: Table, drawing: bool) -> list[str]:
    """Worst classes and pictures of the newest state of each subject."""
    newest = [(block, column, row) for block in table.blocks for column, row in _newest(block)]
    parts = []
    for block, column, row in newest:
        parts += _worst(column.scores[row], f"{row.subject}, {block.title}")
    pictures = (
        (f"{caption}; {row.subject}, {block.title}", png)
        for block, column, row in newest
        for caption, png in plots.pictures_of(column.scores[row]).items()
    )
    drawn = list(islice(pictures, _MOST_PICTURES + 1)) if drawing else []
    parts += [report_page.picture(png, caption) for caption, png in drawn[:_MOST_PICTURES]]
    if len(drawn) > _MOST_PICTURES:
        parts.append(report_page.paragraph(f"Only the first {_MOST_PICTURES} pictures are drawn."))
    return [report_page.heading("Behind the scores"), *parts] if parts else []


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
    return [report_page.heading(head, 3), report_page.rows(["class", score.metric], body, 1)]


def _run(run: RunRecord, drawing: bool) -> list[str]:
    flat = flatten(run.experiment)
    known = {said: word(flat[key]) for key, said in _TRAINED.items() if flat.get(key) is not None}
    machine = [f"{key} {run.environment[key]}" for key in _MACHINE if key in run.environment]
    if isinstance(flat.get("training.images"), int):
        known["images to see"] = f"{flat['training.images']:,}"
    known |= {"images seen": f"{run.images_seen:,}"} if run.experiment else {}
    known |= {"with": ", ".join(machine)} if machine else {}
    title = f"Run {run.name}" if run.experiment else f"Evaluation {run.name}"
    parts = [report_page.heading(title), report_page.facts(known)]
    if drawing:
        parts += _journal_curves(run)
    parts += _events(run)
    sheets = [
        *sorted((run.path / "samples").glob("[0-9]*.png"))[-1:],
        run.path / "samples/real.png",
    ]
    for sheet in (*sheets, *sorted((run.path / "scores").glob("pairs-*.png"))):
        parts += _sheet(run, sheet)
    return parts


def _journal_curves(run: RunRecord) -> list[str]:
    series: dict[str, list[tuple[float, float]]] = {}
    step = math.ceil(len(run.journal) / _MOST_POINTS) or 1
    for line in run.journal[::-1][::step][::-1]:
        for key, value in line.items():
            if isinstance(value, int | float) and math.isfinite(value):
                series.setdefault(key, []).append((line["images_seen"], value))
    parts = []
    for title, prefix in (("discriminator", "d/"), ("generator", "g/")):
        chosen = {key: points for key, points in series.items() if key.startswith(prefix)}
        if chosen:
            parts.append(report_page.picture(plots.journal_curve(chosen, title), f"{title} losses"))
    if "images_per_second" in series:
        speed = {"images per second": series["images_per_second"]}
        drawn = plots.journal_curve(speed, "images per second", from_zero=True)
        parts.append(report_page.picture(drawn, "speed"))
    return parts


def _events(run: RunRecord) -> list[str]:
    if not run.events:
        return []
    body = []
    for line in run.events:
        held = line["event"]
        more = {key: one for key, one in line.items() if key not in ("images_seen", "event")}
        more |= held if isinstance(held, Mapping) else {"kind": held}
        kind = word(more.pop("kind", "event")).replace("_", " ")
        told = "; ".join(f"{key} {word(one)}" for key, one in flatten(more).items())
        body.append([Cell(f"{line['images_seen']:,}"), Cell(kind), Cell(told)])
    head = ["images seen", "what", "more"]
    return [report_page.heading("What detectors saw", 3), report_page.rows(head, body, 0)]


def _sheet(run: RunRecord, path: Path) -> list[str]:
    if not path.is_file():
        return []
    name = path.relative_to(run.path).as_posix()
    if path.stat().st_size > _MOST_BYTES:
        return [report_page.paragraph(f"{name} is too large for this page; see the file.")]
    png = path.read_bytes()
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        return [report_page.note(f"{name} is no PNG; it is left out.")]
    return [report_page.picture(png, name, pixels=True)]


def _of_run(subject: str, run: str, name: str) -> str:
    return name if subject in (run, name) else f"{name}: {subject}"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
