"""A suite's report: tables with published scores, figures, verdicts, commands, cost."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.experiments.published import PROTOCOLS
from reacgan.files import replacing, write_text
from reacgan.reports import page as html
from reacgan.reports.cells import Cell, html_rows, markdown_rows
from reacgan.suites.base import Scale, Suite
from reacgan.suites.claims import Verdict, verdicts
from reacgan.suites.figures import draw
from reacgan.suites.results import Result, folder_of, results_of
from reacgan.suites.runner import changed
from reacgan.suites.tables import ResultTable, differences_in, label_of, published_of, tables_of
from reacgan.text import escape, safe


def write_suite_report(
    suite: Suite,
    out: Path,
    scale: Scale,
    *,
    to: Path | None = None,
    seeds: Sequence[int] | None = None,
) -> Path:
    """Write ``report.md``, ``report.html``, ``results.json`` and the figures.

    Args:
        suite: of the trials.
        out: the folder of :func:`reacgan.suites.runner.run_suite`.
        scale: of the trials.
        to: the folder of the report; ``out/<scale>/reports/<suite>`` by default.
        seeds: all by default.

    Returns:
        The Markdown file.

    Raises:
        ConfigError: no trial was run, or seeds of one trial with different settings.
    """
    results = results_of(suite, out, scale, seeds=seeds)
    if not results:
        raise ConfigError(
            f"{out / scale}: nothing of the suite {suite.name} was run here at scale {scale}; run "
            f"`reacgan experiments run {suite.name} --scale {scale} --out {out}` first"
        )
    _refuse_mixed(results)
    folder = to or out / scale / "reports" / suite.name
    folder.mkdir(parents=True, exist_ok=True)
    report = _Report(suite, scale, results)
    notes = [
        f"{result.trial.name}, seed {result.seed}, failed: {result.record.get('error')}"
        for result in results
        if not result.complete
    ]
    figures: list[_Picture] = []
    try:
        figures += _figures(report, out)
    except ConfigError as error:  # no matplotlib: tables only
        notes.insert(0, f"No figures: {error}")
    pictures = [*figures, *_pictures_of_trials(report, out)]
    for picture in pictures:
        with replacing(folder / picture.file) as path:
            path.write_bytes(picture.png)
    write_text(folder / "results.json", json.dumps(_machine(report)) + "\n")
    write_text(folder / "report.html", _html(report, notes, pictures, len(figures)))
    write_text(folder / "report.md", _markdown(report, notes, pictures))
    return folder / "report.md"


def _refuse_mixed(results: Sequence[Result]) -> None:
    """Raise ConfigError where seeds of one trial were run with different settings."""
    first: dict[str, tuple[int, Any]] = {}
    for result in results:
        if not result.complete:
            continue
        settings = json.loads(json.dumps(result.record.get("settings", {})))
        settings.pop("seed", None)
        settings.get("experiment", {}).get("training", {}).pop("seed", None)
        seed, before = first.setdefault(result.trial.name, (result.seed, settings))
        if what := ", ".join(changed(before, settings)):
            raise ConfigError(
                f"{result.trial.name}: seeds {seed} and {result.seed} were run with different settings "
                f"({what}), so they do not belong to one trial; report each from an --out of its own"
            )


@dataclass(frozen=True)
class _Picture:
    file: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class _Report:
    suite: Suite
    scale: Scale
    results: Sequence[Result]

    @cached_property
    def complete(self) -> list[Result]:
        return [result for result in self.results if result.complete]

    @cached_property
    def tables(self) -> list[ResultTable]:
        return tables_of(self.suite, self.results)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        return verdicts(self.suite, self.results)

    @property
    def note(self) -> str:
        """The limitations of the scale."""
        return _TOY if self.scale == "toy" else self.suite.notes.get(self.scale, "")

    def protocols(self) -> list[str]:
        """The protocols of published scores, and how published runs differ from these."""
        trials = dict.fromkeys(result.trial for result in self.results)
        used = {score.protocol for trial in trials for score in published_of(trial)}
        return [*(f"[{name}] {PROTOCOLS[name]}" for name in sorted(used)), *differences_in(trials)]

    def commands(self) -> list[str]:
        """Commands of the first seed of each trial."""
        first: dict[str, str] = {}
        for result in self.results:
            first.setdefault(result.trial.name, str(result.record["command"]))
        return list(dict.fromkeys(first.values()))

    def how(self) -> dict[str, str]:
        """Facts about the runs, by name."""
        seconds = sum(result.value("cost/seconds") or 0.0 for result in self.complete)
        record = next((result.record for result in self.complete), {})
        seeds = sorted({result.seed for result in self.complete})
        run = len({result.trial.name for result in self.complete})
        software = [result.record.get("software", {}) for result in self.complete]
        devices = dict.fromkeys(filter(None, (str(of.get("device", "")) for of in software)))
        cost = f"{seconds:.0f} seconds" if seconds < 600 else f"{seconds / 3600:.2f} hours"
        words = [f"--scale={self.scale}"]
        words += [f"--seeds={max(seeds[-1] + 1 - seeds[0], 1) if seeds else 1}"]
        words += [f"--first-seed={seeds[0]}"] if seeds and seeds[0] else []
        words += ["--by-domain"] if record.get("by_domain") else []
        changes = record.get("changes", {})
        words += [f"--set={key}={json.dumps(value)}" for key, value in changes.items()]
        return {
            "experiment of the paper": ", ".join(map(str, self.suite.numbers)) or "none: our own",
            "scale": self.scale,
            "trials": f"{run} of {len(self.suite.trials(self.scale))} x seeds "
            + ", ".join(map(str, seeds)),
            "cost": f"{cost} on {', '.join(devices) or 'one device'}",
            "±": "sample standard deviation over seeds",
            "versions": ", ".join(f"{name} {of}" for name, of in dict(*software[:1]).items()),
            "command": f"reacgan experiments run {self.suite.name} {shlex.join(words)}",
        }


# -- figures


def _figures(report: _Report, out: Path) -> Iterator[_Picture]:
    """The suite's figures with results, and its further figures."""
    for number, figure in enumerate(report.suite.figures, 1):
        png = draw(figure, report.results)
        if png is not None:
            yield _Picture(f"figure-{number}.png", figure.title, png)
    runs = [
        (result.trial, result.seed, folder_of(out, report.scale, result.trial, result.seed))
        for result in report.complete
    ]
    if report.suite.drawn is not None and runs:
        for number, (caption, png) in enumerate(report.suite.drawn(runs).items(), 1):
            yield _Picture(f"drawn-{number}.png", caption, png)


def _pictures_of_trials(report: _Report, out: Path) -> Iterator[_Picture]:
    """The trials' own pictures of the first seed."""
    first: dict[str, Result] = {}
    for result in report.complete:
        first.setdefault(result.trial.name, result)
    for result in first.values():
        trial = result.trial
        label = f"{label_of(trial).strip()}, {trial.column}".strip(", ")
        for name in result.record.get("pictures", ()):
            path = folder_of(out, report.scale, trial, result.seed) / name
            if path.is_file():
                stem = path.stem  # sheets are named by the images seen
                words = (
                    f"after {int(stem):,} images" if stem.isdecimal() else stem.replace("-", " ")
                )
                yield _Picture(
                    f"{trial.name.replace('/', '-')}-{path.name}",
                    f"{label}, seed {result.seed}: {words}",
                    path.read_bytes(),
                )


# -- words


_TOY = (
    "Scale toy: the smallest thing that runs (20 steps on the embedded digits, or 40 on points), whatever "
    "names say. It shows that everything works; tables and verdicts say nothing of the methods."
)
_VERDICTS = ("claim", "whose", "where", "verdict", "evidence", "seeds")
_CLAIMED = "What is claimed, and what this says"


def _machine(report: _Report) -> dict[str, Any]:
    return {
        "suite": report.suite.name,
        "scale": report.scale,
        "trials": [dict(result.record) for result in report.results],
        "verdicts": [
            {
                "claim": verdict.claim.text,
                "source": verdict.claim.source,
                "where": verdict.column,
                "verdict": verdict.word,
                "evidence": verdict.evidence,
                "seeds": list(verdict.seeds),
            }
            for verdict in report.verdicts
        ],
    }


def _verdict_rows(report: _Report) -> list[tuple[Cell, ...]]:
    return [
        tuple(map(Cell, (*list(row.values())[:-1], " / ".join(map(str, row["seeds"])))))
        for row in _machine(report)["verdicts"]
    ]


def _markdown(report: _Report, notes: Sequence[str], pictures: Sequence[_Picture]) -> str:
    lines = [f"# {report.suite.title}", "", report.suite.about, ""]
    lines += [f"*{report.note}*", ""] if report.note else []
    for table in report.tables:
        lines += [f"## {safe(table.title)}", ""]
        lines += markdown_rows(table.head, table.rows, table.numbers)
        lines += ["", *(f"- {safe(line)}" for line in table.lines), ""]
    if report.verdicts:
        lines += [f"## {_CLAIMED}", "", *markdown_rows(_VERDICTS, _verdict_rows(report), 0), ""]
    for picture in pictures:
        caption = safe(picture.caption)
        lines += [f"![{caption}]({picture.file})", "", f"*{caption}*", ""]
    if protocols := report.protocols():
        lines += ["## Published scores", "", *(f"- {safe(line)}" for line in protocols), ""]
    lines += ["## How", "", *(f"- {name}: {safe(text)}" for name, text in report.how().items())]
    lines += [f"- {safe(line)}" for line in notes]
    return "\n".join([*lines, "", "```", *report.commands(), "```", ""])


# Long headers wrap; the column of row names is wide.
_STYLE = (
    "<style>th.number { white-space: normal; min-width: 4rem; vertical-align: bottom; }\n"
    ".wide td:first-child:not(.number) { min-width: 11rem; }</style>"
)


def _html(report: _Report, notes: Sequence[str], pictures: Sequence[_Picture], figures: int) -> str:
    """``figures``: number of pictures that are the suite's; the others are shown side by side."""
    parts = [_STYLE, html.paragraph(report.suite.about)]
    parts += [html.note(text) for text in (report.note, *notes) if text]
    for table in report.tables:
        parts += [html.heading(table.title), html_rows(table.head, table.rows, table.numbers)]
        lines = "".join(f"<li>{escape(line)}</li>" for line in table.lines)
        parts.append(f'<ul class="protocol">{lines}</ul>')
    if report.verdicts:
        parts += [html.heading(_CLAIMED), html_rows(_VERDICTS, _verdict_rows(report), 0)]
    shown = [
        html.picture(picture.png, picture.caption, kind="plot" if number < figures else "image")
        for number, picture in enumerate(pictures)
    ]
    parts += shown[:figures] + html.figures(shown[figures:])
    if protocols := report.protocols():
        parts += [html.heading("Published scores"), *map(html.paragraph, protocols)]
    parts += [html.heading("How"), html.facts(report.how())]
    parts += [html.note("\n".join(report.commands()))]
    return html.page(report.suite.title, parts)
