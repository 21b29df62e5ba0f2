"""What a run's folder says about how its generator came to be: command, cost, losses."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from reacgan.config import ConfigError
from reacgan.reports.plots import have_plots, journal_curve
from reacgan.reports.record import RunRecord, read_run

_WITHIN = re.compile(r"""(?<![\w.~:/\\])~?(?:/[^/\s"',;()]+){2,}""")
_MOST_POINTS = 1000
_LOSSES = ("d/adversarial", "d/conditioning", "g/adversarial", "g/conditioning")


def record_of(place: Path) -> RunRecord:
    """The record of a run, given its folder, its ``model`` or its ``best``.

    Raises:
        ConfigError: neither is a run's.
    """
    for folder in (place, place.parent):
        if (folder / "experiment.json").is_file():
            return read_run(folder)
    raise ConfigError(
        f"{place}: not of a run (no experiment.json); a card needs its journal: give the run's folder"
    )


def without_paths(value: Any) -> Any:
    """The same with every absolute path shortened to its last part, which tells nothing of a machine."""
    if isinstance(value, Mapping):
        return {key: without_paths(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_paths(held) for held in value)
    if not isinstance(value, str):
        return value
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(value).is_absolute():
            return kind(value).name or "."
    return _WITHIN.sub(lambda found: found[0].rsplit("/", 1)[-1], value)


def command_of(run: RunRecord) -> str | None:
    """The command that trained it, without the folder it wrote to; None where a program called."""
    told = run.environment.get("command")
    if not isinstance(told, list) or not told or not all(isinstance(one, str) for one in told):
        return None
    first, *rest = told
    if not re.search(r"(^|[/\\])reacgan([/\\]__main__\.py|\.exe)?$", first):
        return None
    kept: list[str] = []
    skip = False
    for one in rest:
        if not skip and one != "--out" and not one.startswith("--out="):
            kept.append(without_paths(one))
        skip = one == "--out" and not skip
    return shlex.join(["reacgan", *kept])


def seconds_of(run: RunRecord, until: int) -> float:
    """Of training up to so many images seen, from the speeds of the journal's lines."""
    seconds, before = 0.0, 0
    for line in run.journal:
        seen, speed = line["images_seen"], line.get("images_per_second")
        if before < seen <= until and isinstance(speed, int | float) and speed > 0:
            seconds += (seen - before) / speed
        if speed is not None:
            before = seen  # one that goes back counts from there
    return seconds


def cost_of(run: RunRecord, images_seen: int) -> list[tuple[str, str]]:
    """Rows for a table: images, time, machine, memory, versions; what is not known is left out."""
    held = run.environment
    rows = [("real images seen", f"{images_seen:,} (repeats counted)")]
    planned = run.experiment.get("training", {}).get("images")
    if isinstance(planned, int) and planned > images_seen + run.experiment["training"]["batch"]:
        rows.append(("planned", f"{planned:,}: this state is at {images_seen / planned:.0%} of it"))
    seconds = seconds_of(run, images_seen)
    if seconds:
        rows.append(("time", f"{seconds / 3600:.2g} hours ({seconds:,.0f} s) of training steps"))
    machine = str(held.get("device") or held.get("computes_on") or "")
    if held.get("computes_on") == "cpu":
        threads = held.get("cpu_threads")
        machine = f"CPU, {threads} thread(s), {' '.join(filter(None, (machine, held.get('cpu'))))}"
    if machine:
        rows.append(("device", f"{held.get('world', 1)} x {machine}"))
    rows += [("precision", str(held["precision"]))] if "precision" in held else []
    most = max((line.get("memory_bytes") or 0 for line in run.journal), default=0)
    rows += [("memory, at most", f"{most / 2**20:,.0f} MiB")] if most else []
    versions = [f"{name} {held[name]}" for name in ("reacgan", "torch", "python") if name in held]
    return rows + ([("software", ", ".join(versions))] if versions else [])


def loss_curve(run: RunRecord) -> bytes | None:
    """The losses over the images seen as PNG; None without matplotlib, or with nothing to draw."""
    series: dict[str, list[tuple[float, float]]] = {}
    step = math.ceil(len(run.journal) / _MOST_POINTS) or 1
    for line in run.journal[::-1][::step][::-1]:
        for key in _LOSSES:
            value = line.get(key)
            if isinstance(value, int | float) and math.isfinite(value):
                series.setdefault(key, []).append((line["images_seen"], float(value)))
    return journal_curve(series, "losses") if series and have_plots() else None
