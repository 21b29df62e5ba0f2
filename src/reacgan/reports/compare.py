"""Several runs beside one another: what cannot be compared, their sheets, their losses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reacgan.config import flatten
from reacgan.evaluation.protocols import word
from reacgan.reports import page, plots
from reacgan.reports.cells import Cell, html_rows
from reacgan.reports.palette import NAMES, Style, styles
from reacgan.reports.record import Points, RunRecord, data_in_words
from reacgan.reports.sheets import (
    PageSheet,
    newest_sheet,
    read_sheet,
    same_rows,
    sheet_figure,
    sheets_beside,
)
from reacgan.reports.tables import ScoreTable
from reacgan.reports.words import how_good, newest_scores

_OF_DATA = ("data.name", "data.path", "data.resolution", "data.channels")
_MOST_LOSSES = 8
_GLANCE = ("run", "method", "data", "pixels", "images seen", "seed")


def names_of(runs: Sequence[RunRecord]) -> list[str]:
    """A name for each run: its own, or its path where two share one."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def run_styles(runs: Sequence[RunRecord]) -> dict[str, Style]:
    """How each run is drawn: by the colour of its method."""
    heads = [_head(run) for run in runs]
    return dict(zip(names_of(runs), styles([run.name for run in runs], heads), strict=True))


def comparison(runs: Sequence[RunRecord], table: ScoreTable) -> list[str]:
    """What the runs are, what cannot be compared, their newest sheets, how good they are; HTML."""
    names = names_of(runs)
    trained = [(name, run) for name, run in zip(names, runs, strict=True) if run.experiment]
    parts = []
    if trained:
        body = [[*map(Cell, _facts(name, run))] for name, run in trained]
        parts.append(html_rows(_GLANCE, body, 2, brief=True))
    if differences := apart(runs, table):
        parts.append(page.note("\n".join(differences)))
    parts += _sheets(runs, names)
    said = [
        (f"How good {name} is", how_good(newest_scores(run.scores), run))
        for name, run in zip(names, runs, strict=True)
    ]
    return [*parts, page.lead(said)]


def apart(runs: Sequence[RunRecord], table: ScoreTable) -> list[str]:
    """Sentences about what must not be compared."""
    trained = [(n, run) for n, run in zip(names_of(runs), runs, strict=True) if run.experiment]
    said = []
    kinds: list[tuple[str, Callable[[RunRecord], Any], str]] = [
        ("other data", data_in_words, "scores and losses of these do not compare"),
        ("other pixels", lambda run: _pixels(run) or None, "scores of these do not compare"),
        ("other classes", _classes_in_words, "label accuracy and class by class do not compare"),
    ]
    for title, of, so in kinds:
        groups = _grouped(trained, of)
        if len(groups) > 1:
            parts = "; ".join(f"{', '.join(names)}: {value}" for value, names in groups.items())
            said.append(f"Not comparable, {title}. {parts}. So {so}.")
    paths = _grouped(trained, lambda run: json.dumps(_data_key(run)))
    if len(paths) > len(_grouped(trained, lambda run: (data_in_words(run), _pixels(run)))):
        parts = " / ".join(", ".join(names) for names in paths.values())
        said.append(f"Of one kind of data, but not the same images: {parts}.")
    if len(table.blocks) > 1:
        said.append(
            f"Scores of {len(table.blocks)} protocols are here, each in a table of its own: numbers of two "
            "tables do not compare."
        )
    seen = {name: run.images_seen for name, run in trained}
    if seen and min(seen.values()) < 0.9 * max(seen.values()):
        listed = ", ".join(f"{name} {count:,}" for name, count in seen.items())
        said.append(f"Unequal training: images seen are {listed}; read curves at equal images.")
    return said


def losses_beside(runs: Sequence[RunRecord]) -> list[str]:
    """Losses that several runs on the same data share, one figure each; HTML."""
    drawn_as = run_styles(runs)
    groups: dict[str, dict[str, Mapping[str, Points]]] = {}
    for name, run in zip(names_of(runs), runs, strict=True):
        if run.experiment:
            groups.setdefault(json.dumps(_data_key(run)), {})[name] = run.series()
    pictures = []
    for group in groups.values():
        keys = dict.fromkeys(key for series in group.values() for key in series)
        for key in [key for key in keys if key.startswith(("d/", "g/"))][:_MOST_LOSSES]:
            lines = {name: series[key] for name, series in group.items() if key in series}
            if len(lines) > 1:
                title = f"{_SIDES[key[0]]}: {key[2:].replace('_', ' ')}"
                png = plots.journal_curve(lines, title, drawn_as=drawn_as)
                pictures.append(page.picture(png, f"{title}, {', '.join(lines)}", kind="plot"))
    if not pictures:
        return []
    said = "Losses of different methods measure different things: compare their course, not height."
    return [page.heading("Losses"), page.paragraph(said), *page.figures(pictures)]


_SIDES = {"d": "discriminator", "g": "generator"}


def _sheets(runs: Sequence[RunRecord], names: Sequence[str]) -> list[str]:
    """Newest sheets side by side where they show the same classes, else one after the other."""
    sheets: dict[str, PageSheet] = {}
    for name, run in zip(names, runs, strict=True):
        path = newest_sheet(run.path / "samples")
        sheet = read_sheet(path) if path is not None else None
        if path is not None and sheet is not None:
            sheets[f"{name}, {int(path.stem):,} images"] = sheet
    if not sheets:
        return []
    by_rows = _grouped(list(sheets.items()), lambda sheet: json.dumps(sheet.names))
    parts = [page.heading("What they make")]
    for titles in by_rows.values():
        group = {title: sheets[title] for title in titles}
        if len(group) > 1 and same_rows(list(group.values())):
            parts += sheets_beside(group, "the newest sheets: a row a class, a column a seed")
        else:
            parts += [sheet_figure(sheet, title) for title, sheet in group.items()]
    return parts


def _grouped(items: Sequence[tuple[str, Any]], of: Callable[[Any], Any]) -> dict[Any, list[str]]:
    """Names by what ``of`` says of them; those of which it says None are left out."""
    groups: dict[Any, list[str]] = {}
    for name, item in items:
        if (value := of(item)) is not None:
            groups.setdefault(value, []).append(name)
    return groups


def _facts(name: str, run: RunRecord) -> list[str]:
    flat = flatten(run.experiment)
    head = str(flat.get("model.head.name", ""))
    seen, whole = run.images_seen, flat.get("training.images")
    of = f" of {whole:,}" if isinstance(whole, int) else ""
    seed = flat.get("training.seed")
    return [
        *(name, NAMES.get(head, head), data_in_words(run) or ""),
        *(_pixels(run), f"{seen:,}{of}", "" if seed is None else word(seed)),
    ]


def _head(run: RunRecord) -> str | None:
    head = flatten(run.experiment).get("model.head.name")
    return head if isinstance(head, str) else None


def _data_key(run: RunRecord) -> list[str]:
    flat = flatten(run.experiment)
    options = {key: value for key, value in flat.items() if key.startswith("data.options")}
    return [word(flat.get(key)) for key in _OF_DATA] + [json.dumps(options, default=str)]


def _pixels(run: RunRecord) -> str:
    flat = flatten(run.experiment)
    size, channels = flat.get("data.resolution"), flat.get("data.channels")
    kind = {1: "grey", 3: "colour"}.get(channels, "") if isinstance(channels, int) else ""
    sides = size if isinstance(size, list | tuple) else [size, size]
    return "" if size is None else ", ".join(filter(None, [" x ".join(map(str, sides)), kind]))


def _classes_in_words(run: RunRecord) -> str | None:
    names = run.class_names
    if not names:
        return None
    return f"{len(names)} classes ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
