"""A suite's report: tables beside what is published, figures, verdicts, commands, cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.experiments.published import PROTOCOLS
from reacgan.files import replacing, write_text
from reacgan.reports import page as html
from reacgan.reports.tables import Cell, html_rows, markdown_rows
from reacgan.reports.text import escape, safe
from reacgan.suites.base import Scale, Suite
from reacgan.suites.blocks import Block, blocks_of, differences_in, label_of, published_of
from reacgan.suites.claims import Verdict, verdicts
from reacgan.suites.facts import commands_of, facts_of, failures_of, refuse_mixed
from reacgan.suites.figures import draw
from reacgan.suites.results import Result, folder_of, results_of


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
        suite: whose trials.
        out: the folder that :func:`reacgan.suites.runner.run_suite` was given.
        scale: of which scale.
        to: where to; ``out/<scale>/reports/<suite>`` by default.
        seeds: which ones; all there are by default.

    Returns:
        The Markdown file.

    Raises:
        ConfigError: no trial was run.
    """
    results = results_of(suite, out, scale, seeds=seeds)
    if not results:
        raise ConfigError(
            f"{out / scale}: nothing of the suite {suite.name} was run here at scale {scale}; run "
            f"`reacgan experiments run {suite.name} --scale {scale} --out {out}` first"
        )
    refuse_mixed(results)
    folder = to or out / scale / "reports" / suite.name
    folder.mkdir(parents=True, exist_ok=True)
    figures: list[tuple[str, str]] = []
    notes = []
    try:
        figures = _figures(suite, results, folder)
        figures += _drawn(suite, results, out, scale, folder=folder)
    except ConfigError as error:  # no matplotlib: the tables are there all the same
        notes.append(f"No figures: {error}")
    pictures = figures + _copied(results, out, scale, folder=folder)
    found = verdicts(suite, results)
    parts = _Parts(
        suite, scale, results, blocks_of(suite, results), found, pictures, len(figures), notes
    )
    write_text(folder / "results.json", json.dumps(_machine(parts)) + "\n")
    write_text(folder / "report.html", _html(parts, folder))
    write_text(folder / "report.md", _markdown(parts))
    return folder / "report.md"


@dataclass(frozen=True)
class _Parts:
    suite: Suite
    scale: Scale
    results: Sequence[Result]
    blocks: Sequence[Block]
    verdicts: Sequence[Verdict]
    pictures: Sequence[tuple[str, str]]
    """File names and captions."""
    drawn: int
    """How many of them are the suite's figures; the others are the trials' own."""
    notes: Sequence[str]


# -- figures


def _figures(suite: Suite, results: Sequence[Result], folder: Path) -> list[tuple[str, str]]:
    """Draw the figures of which anything was measured."""
    written = []
    for place, figure in enumerate(suite.figures, 1):
        png = draw(figure, results)
        if png is not None:
            _write(folder / f"figure-{place}.png", png)
            written.append((f"figure-{place}.png", figure.title))
    return written


def _drawn(
    suite: Suite, results: Sequence[Result], out: Path, scale: Scale, *, folder: Path
) -> list[tuple[str, str]]:
    """What the suite draws by itself, from the folders of its trials."""
    places = [
        (one.trial, one.seed, folder_of(out, scale, one.trial, one.seed))
        for one in results
        if one.complete
    ]
    if suite.drawn is None or not places:
        return []
    written = []
    for place, (caption, png) in enumerate(suite.drawn(places).items(), 1):
        _write(folder / f"drawn-{place}.png", png)
        written.append((f"drawn-{place}.png", caption))
    return written


def _copied(
    results: Sequence[Result], out: Path, scale: Scale, *, folder: Path
) -> list[tuple[str, str]]:
    """Copy the trials' own pictures of the first seed."""
    written = []
    first: dict[str, Result] = {}
    for one in results:
        if one.complete:
            first.setdefault(one.trial.name, one)
    for one in first.values():
        place_of = folder_of(out, scale, one.trial, one.seed)
        for name in one.held.get("pictures", ()):
            source = place_of / name
            if source.is_file():
                target = f"{one.trial.name.replace('/', '-')}-{source.name}"
                _write(folder / target, source.read_bytes())
                caption = f"{label_of(one.trial).strip()}, {one.trial.column}".strip(", ")
                written.append((target, f"{caption}, seed {one.seed}: {_told(source.stem)}"))
    return written


def _told(stem: str) -> str:
    """Sheets are named by the images seen."""
    return f"after {int(stem):,} images" if stem.isdecimal() else stem.replace("-", " ")


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


# -- words


def _machine(parts: _Parts) -> dict[str, Any]:
    return {
        "suite": parts.suite.name,
        "scale": parts.scale,
        "trials": [dict(one.held) for one in parts.results],
        "verdicts": [
            {
                "claim": one.claim.text,
                "source": one.claim.source,
                "where": one.column,
                "verdict": one.word,
                "evidence": one.evidence,
                "seeds": list(one.seeds),
            }
            for one in parts.verdicts
        ],
    }


def _verdict_rows(parts: _Parts) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(one.claim.text),
            Cell(one.claim.source),
            Cell(one.column),
            Cell(one.word),
            Cell(one.evidence),
            Cell(" / ".join(map(str, one.seeds))),
        )
        for one in parts.verdicts
    ]


_TOY = (
    "Scale toy: the smallest thing that runs (20 steps on the embedded digits, or 40 on points), whatever "
    "names say. It shows that everything works; tables and verdicts say nothing of the methods."
)


def _note(parts: _Parts) -> str:
    return _TOY if parts.scale == "toy" else parts.suite.notes.get(parts.scale, "")


_VERDICTS = ("claim", "whose", "where", "verdict", "evidence", "seeds")


def _protocol_words(parts: _Parts) -> list[str]:
    trials = dict.fromkeys(one.trial for one in parts.results)
    used = {held.protocol for trial in trials for held in published_of(trial)}
    return [*(f"[{name}] {PROTOCOLS[name]}" for name in sorted(used)), *differences_in(trials)]


def _markdown(parts: _Parts) -> str:
    suite = parts.suite
    lines = [f"# {suite.title}", "", suite.about, ""]
    if told := _note(parts):
        lines += [f"*{told}*", ""]
    for block in parts.blocks:
        lines += [f"## {safe(block.title)}", ""]
        lines += markdown_rows(block.head, block.rows, block.numbers)
        lines += ["", *(f"- {safe(line)}" for line in block.lines), ""]
    if parts.verdicts:
        lines += ["## What is claimed, and what this says", ""]
        lines += [*markdown_rows(_VERDICTS, _verdict_rows(parts), 0), ""]
    for name, caption in parts.pictures:
        lines += [f"![{safe(caption)}]({name})", "", f"*{safe(caption)}*", ""]
    if words := _protocol_words(parts):
        lines += ["## Published scores", "", *(f"- {safe(line)}" for line in words), ""]
    lines += [
        "## How",
        "",
        *(
            f"- {name}: {safe(held)}"
            for name, held in facts_of(parts.suite, parts.scale, parts.results).items()
        ),
    ]
    lines += [f"- {safe(line)}" for line in (*parts.notes, *failures_of(parts.results))]
    lines += ["", "```", *commands_of(parts.results), "```", ""]
    return "\n".join(lines)


# Heads of many words wrap, names of rows do not stand in a narrow column.
_STYLE = (
    "<style>th.number { white-space: normal; min-width: 4rem; vertical-align: bottom; }\n"
    ".wide td:first-child:not(.number) { min-width: 11rem; }</style>"
)


def _html(parts: _Parts, folder: Path) -> str:
    suite = parts.suite
    held = [_STYLE, html.paragraph(suite.about)]
    held += [html.note(told)] if (told := _note(parts)) else []
    held += [html.note(line) for line in (*parts.notes, *failures_of(parts.results))]
    for block in parts.blocks:
        held += [html.heading(block.title), html_rows(block.head, block.rows, block.numbers)]
        lines = "".join(f"<li>{escape(line)}</li>" for line in block.lines)
        held.append(f'<ul class="protocol">{lines}</ul>')
    if parts.verdicts:
        held += [html.heading("What is claimed, and what this says")]
        held += [html_rows(_VERDICTS, _verdict_rows(parts), 0)]
    shown = [html.picture((folder / name).read_bytes(), text) for name, text in parts.pictures]
    held += shown[: parts.drawn] + html.figures(shown[parts.drawn :])
    if words := _protocol_words(parts):
        held += [html.heading("Published scores"), *(html.paragraph(line) for line in words)]
    held += [html.heading("How"), html.facts(facts_of(parts.suite, parts.scale, parts.results))]
    held += [html.note("\n".join(commands_of(parts.results)))]
    return html.page(suite.title, held)
