"""The part of a report about one run: what was trained, its journal, its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reacgan.config import flatten
from reacgan.evaluation.protocols import word
from reacgan.reports import page, plots
from reacgan.reports.record import PICTURE_NUMBERS, RunRecord, read_json, section
from reacgan.reports.tables import Cell, html_rows

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
_OF_PICTURES = (
    *("images_seen", "weights", "seed", "num", "discriminator_images_seen"),
    *("reference.name", "reference.split", "reference.images", "training.images"),
)


def run_parts(run: RunRecord, drawing: bool) -> list[str]:
    """Configuration, losses, events of the monitor, samples; HTML."""
    flat = flatten(run.experiment)
    known = {title: word(flat[key]) for key, title in _TRAINED.items() if flat.get(key) is not None}
    machine = [f"{key} {run.environment[key]}" for key in _MACHINE if key in run.environment]
    if isinstance(flat.get("training.images"), int):
        known["images to see"] = f"{flat['training.images']:,}"
    known |= {"images seen": f"{run.images_seen:,}"} if run.experiment else {}
    known |= {"with": ", ".join(machine)} if machine else {}
    title = f"Run {run.name}" if run.experiment else f"Evaluation {run.name}"
    parts = [page.facts(known)] if known else []
    parts += page.figures(_journal_curves(run) if drawing else [])
    parts += _events(run)
    samples, pairs = run.path / "samples", run.path / "scores"
    sheets = [*sorted(samples.glob("[0-9]*.png"))[-1:], samples / "real.png"]
    parts += page.figures([part for path in sheets for part in _sheet(run, path)])
    for path in sorted(pairs.glob("pairs-*.png")):
        parts += _sheet(run, path)
    parts += picture_parts(run.path / "pictures")
    return [page.heading(title), *parts] if parts else []


def picture_parts(folder: Path) -> list[str]:
    """Every picture with its caption, skipped pictures, and the settings; HTML."""
    numbers = read_json(folder / PICTURE_NUMBERS)
    if numbers is None:
        return []
    wide: list[str] = []
    narrow: list[str] = []
    pictures = section(numbers, "pictures")
    for name in pictures:
        drawn = _drawn(folder, name, section(pictures, name))
        (narrow if name.startswith("interpolations") else wide).append(drawn)
    flat = flatten(numbers)
    known = {key: word(flat[key]) for key in _OF_PICTURES if flat.get(key) is not None}
    facts = {key.replace("_", " ").replace(".", ", "): value for key, value in known.items()}
    if extractor := section(numbers, "extractor"):
        facts["extractor"] = f"{extractor.get('name')} {str(extractor.get('weights'))[:16]}"
    parts = [page.heading("Pictures", 3), page.facts(facts), *wide[:1]]
    parts += [*page.figures(narrow), *wide[1:]]
    skipped = section(numbers, "skipped").items()
    return parts + [page.note(f"{name}: skipped: {reason}") for name, reason in skipped]


def _drawn(folder: Path, name: str, facts: Mapping[str, Any]) -> str:
    path = folder / f"{name}.png"
    if path.parent != folder or not path.is_file():
        return page.paragraph(f"The picture {name} is missing.")
    caption = str(facts.get("caption", name))
    return page.picture_file(path, folder.parent, caption, pixels=facts.get("pixels") is True)


def _journal_curves(run: RunRecord) -> list[str]:
    series = run.series()
    parts = []
    for title, prefix in (("discriminator", "d/"), ("generator", "g/")):
        losses = {key: points for key, points in series.items() if key.startswith(prefix)}
        if losses:
            parts.append(page.picture(plots.journal_curve(losses, title), f"{title} losses"))
    if "images_per_second" in series:
        speed = {"images per second": series["images_per_second"]}
        drawn = plots.journal_curve(speed, "images per second", from_zero=True)
        parts.append(page.picture(drawn, "speed"))
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
    return [page.picture_file(path, run.path, _caption(path.stem), pixels=True)]


def _caption(stem: str) -> str:
    """A caption from the name of a file, which holds the subject and the images seen."""
    if stem == "real":
        return "real images"
    name, _, last = stem.rpartition("-")
    if not stem.startswith("pairs-"):
        return f"generated images at {int(stem):,} images seen" if stem.isdecimal() else stem
    at = f" at {int(last):,} images seen" if re.fullmatch(r"[0-9]{12,}", last) else ""
    subject = (name if at else stem).removeprefix("pairs-")
    return (
        f"closest pairs of {subject}{at}: generated images above their nearest training images; "
        "ordinary unless memorised_share is above chance"
    )
