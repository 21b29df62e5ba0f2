"""The part of a report about one run: what was trained, its journal, its pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from reacgan.evaluation.protocols import flatten, word
from reacgan.reports import page, plots
from reacgan.reports.pictures_part import picture_parts
from reacgan.reports.record import RunRecord
from reacgan.reports.text import Cell

_MOST_POINTS = 1000
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


def run_parts(run: RunRecord, drawing: bool) -> list[str]:
    """What was trained, losses, what detectors saw, samples; HTML."""
    flat = flatten(run.experiment)
    known = {said: word(flat[key]) for key, said in _TRAINED.items() if flat.get(key) is not None}
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
    parts += page.figures([part for one in sheets for part in _sheet(run, one)])
    for one in sorted(pairs.glob("pairs-*.png")):
        parts += _sheet(run, one)
    parts += picture_parts(run.path / "pictures")
    return [page.heading(title), *parts] if parts else []


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
            parts.append(page.picture(plots.journal_curve(chosen, title), f"{title} losses"))
    if "images_per_second" in series:
        speed = {"images per second": series["images_per_second"]}
        drawn = plots.journal_curve(speed, "images per second", from_zero=True)
        parts.append(page.picture(drawn, "speed"))
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
    return [page.heading("What detectors saw", 3), page.rows(head, body, 0)]


def _sheet(run: RunRecord, path: Path) -> list[str]:
    if not path.is_file():
        return []
    return [page.picture_file(path, run.path, _caption(path.stem), pixels=True)]


def _caption(stem: str) -> str:
    """Words for the picture of a file: its name says whose images, and after how many seen."""
    if stem == "real":
        return "real images"
    name, _, last = stem.rpartition("-")
    if not stem.startswith("pairs-"):
        return f"generated images at {int(stem):,} images seen" if stem.isdecimal() else stem
    at = f" at {int(last):,} images seen" if re.fullmatch(r"[0-9]{12,}", last) else ""
    told = f" of {(name if at else stem).removeprefix('pairs-')}"
    return (
        f"closest pairs{told}{at}: generated images above the training images nearest to them; "
        "ordinary unless memorised_share is above chance"
    )
