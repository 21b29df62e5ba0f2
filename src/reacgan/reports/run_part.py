"""The part of a report about one run: what was trained, its journal, its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reacgan.config import flatten
from reacgan.evaluation.protocols import word
from reacgan.outlook import white_in_words
from reacgan.records import read_mapping
from reacgan.reports import page, plots
from reacgan.reports.cells import Cell, html_rows
from reacgan.reports.record import PICTURE_NUMBERS, RunRecord, data_in_words, section
from reacgan.reports.sheets import (
    newest_sheet,
    read_sheet,
    repeats,
    same_rows,
    sheets_beside,
    shows_same,
)
from reacgan.reports.words import newest_scores
from reacgan.text import file_stem

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
_AGAIN = "a class with fewer real images than columns shows them again"
_MACHINE = ("reacgan", "torch", "python", "device", "world")
_OF_PICTURES = (
    *("images_seen", "weights", "seed", "num", "discriminator_images_seen"),
    *("reference.name", "reference.split", "reference.images", "training.images"),
)


def run_parts(run: RunRecord, drawing: bool, *, alone: bool = True) -> list[str]:
    """Events of the monitor, losses, closest pairs, pictures, the configuration folded; HTML.

    ``alone``: whether it is the page's only run, whose sheet (:func:`newest_sheets`) and losses are shown
    elsewhere else.
    """
    flat = flatten(run.experiment)
    known = {title: word(flat[key]) for key, title in _TRAINED.items() if flat.get(key) is not None}
    known |= {"data": words} if (words := data_in_words(run)) else {}
    machine = [f"{key} {run.environment[key]}" for key in _MACHINE if key in run.environment]
    if isinstance(flat.get("training.images"), int):
        known["images to see"] = f"{flat['training.images']:,}"
    known |= {"images seen": f"{run.images_seen:,}"} if run.experiment else {}
    known |= {"with": ", ".join(machine)} if machine else {}
    white = (read_mapping(run.path / "model" / "config.json") or {}).get("white")
    known |= {"values": white_in_words(white)} if isinstance(white, int | float) else {}
    title = f"Run {run.name}" if run.experiment else f"Evaluation {run.name}"
    parts = _events(run)
    parts += page.figures(_journal_curves(run, losses=alone) if drawing else [])
    for path in sorted((run.path / "scores").glob("pairs-*.png")):
        parts += _sheet(run, path)
    parts += picture_parts(run.path / "pictures", newest_sheet(run.path / "samples"))
    parts += page.folded("Settings", [page.facts(known)] if known else [])
    return [page.heading(title), *parts] if parts else []


def newest_sheets(run: RunRecord) -> list[str]:
    """The newest generated images beside real ones, a row a class; HTML."""
    samples = run.path / "samples"
    newest, real = newest_sheet(samples), samples / "real.png"
    paths = [path for path in (newest, real) if path is not None and path.is_file()]
    sheets = dict(zip(("generated", "real"), map(read_sheet, paths), strict=False))
    known = {title: sheet for title, sheet in sheets.items() if sheet is not None}
    if newest and len(known) == len(sheets) == 2 and same_rows(list(known.values())):
        caption = f"{_caption(newest.stem)}, a column a seed, and real ones; a row a class"
        again = _AGAIN if repeats(known["real"]) else ""
        return sheets_beside(
            known, "; ".join(filter(None, [caption, again, scored_elsewhere(run, newest)]))
        )
    shown = [part for path in paths for part in _sheet(run, path)]
    other = scored_elsewhere(run, newest)
    return page.figures(shown) + (
        [page.paragraph(f"{other[0].upper()}{other[1:]}.")] if other else []
    )


def scored_elsewhere(run: RunRecord, sheet: Path | None) -> str:
    """That the scores are of another state than the sheet, where they are."""
    seen = max((score.images_seen or 0 for score in newest_scores(run.scores).values()), default=0)
    if not seen or sheet is None or not sheet.stem.isdecimal() or int(sheet.stem) == seen:
        return ""
    return (
        f"the scores on this page are not of these images but of the state at {seen:,} images seen"
    )


def picture_parts(folder: Path, newest: Path | None = None) -> list[str]:
    """Every picture with its caption, skipped pictures, and the settings folded; HTML.

    ``newest``: a sheet that the page shows already.
    """
    numbers = read_mapping(folder / PICTURE_NUMBERS)
    if numbers is None:
        return []
    shown: list[str] = []
    pictures = section(numbers, "pictures")
    for name in pictures:
        if name != "sheet" or not shows_same(numbers, newest):
            shown.append(_drawn(folder, name, section(pictures, name)))
    flat = flatten(numbers)
    known = {key: word(flat[key]) for key in _OF_PICTURES if flat.get(key) is not None}
    facts = {key.replace("_", " ").replace(".", ", "): value for key, value in known.items()}
    if extractor := section(numbers, "extractor"):
        facts["extractor"] = f"{extractor.get('name')} {str(extractor.get('weights'))[:16]}"
    parts = [page.heading("Pictures", 3), *page.figures(shown)]
    skipped = section(numbers, "skipped").items()
    parts += [page.note(f"{name}: skipped: {reason}") for name, reason in skipped]
    return parts + page.folded("How the pictures were made", [page.facts(facts)])


def _drawn(folder: Path, name: str, facts: Mapping[str, Any]) -> str:
    path = folder / f"{name}.png"
    if path.parent != folder or not path.is_file():
        return page.paragraph(f"The picture {name} is missing.")
    caption = str(facts.get("caption", name))
    kind: page.Kind = "pixels" if facts.get("pixels") is True else "plot"
    return page.picture_file(path, folder.parent, caption, kind=kind)


def _journal_curves(run: RunRecord, *, losses: bool) -> list[str]:
    series = run.series()
    parts = []
    for title, prefix in (("discriminator", "d/"), ("generator", "g/")):
        lines = {
            key[2:].replace("_", " "): points
            for key, points in series.items()
            if key.startswith(prefix)
        }
        if lines and losses:
            drawn = plots.journal_curve(lines, f"{title} losses")
            parts.append(page.picture(drawn, f"{title} losses", kind="plot", below=""))
    if "images_per_second" in series:
        speed = {"images per second": series["images_per_second"]}
        drawn = plots.journal_curve(speed, "images per second", from_zero=True)
        parts.append(page.picture(drawn, "images per second", kind="plot", below=""))
    return parts


def _events(run: RunRecord) -> list[str]:
    """What detectors saw."""
    body = []
    for line in run.journal:
        if "event" in line:
            event = line["event"]
            more = {
                key: value for key, value in line.items() if key not in ("images_seen", "event")
            }
            more |= event if isinstance(event, Mapping) else {"kind": event}
            kind = word(more.pop("kind", "event")).replace("_", " ")
            words = "; ".join(f"{key} {word(value)}" for key, value in flatten(more).items())
            body.append([Cell(f"{line['images_seen']:,}"), Cell(kind), Cell(words)])
    head = ["images seen", "what", "more"]
    return [page.heading("What detectors saw", 3), html_rows(head, body, 0)] if body else []


def _sheet(run: RunRecord, path: Path) -> list[str]:
    if not path.is_file():
        return []
    caption = _caption(path.stem, [run.name, *(score.subject for score in run.scores)])
    return [page.picture_file(path, run.path, caption, kind="pixels")]


def _caption(stem: str, subjects: Sequence[str] = ()) -> str:
    """A caption from the name of a file, which holds the subject and the images seen.

    ``subjects``: those it may be of; the name of a file has not all of their letters.
    """
    if stem == "real":
        return "real images"
    name, _, last = stem.rpartition("-")
    if not stem.startswith("pairs-"):
        return f"generated images at {int(stem):,} images seen" if stem.isdecimal() else stem
    at = f" at {int(last):,} images seen" if re.fullmatch(r"[0-9]{12,}", last) else ""
    subject = (name if at else stem).removeprefix("pairs-")
    subject = next((name for name in subjects if file_stem(name) == subject), subject)
    return (
        f"closest pairs of {subject}{at}: generated images above their nearest training images; "
        "ordinary unless the memorised share is above chance"
    )
