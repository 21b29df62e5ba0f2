"""How a generator was trained, from its run's folder: command, cost, losses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from reacgan.config import ConfigError
from reacgan.files import without_paths
from reacgan.reports.plots import have_plots, journal_curve
from reacgan.reports.record import RunRecord, read_run

_LOSSES = ("d/adversarial", "d/conditioning", "g/adversarial", "g/conditioning")


def record_of(path: Path) -> RunRecord:
    """The record of a run, given its folder, its ``model`` or its ``best``.

    Raises:
        ConfigError: neither is a run's.
    """
    for folder in (path, path.parent):
        if (folder / "experiment.json").is_file():
            return read_run(folder)
    raise ConfigError(
        f"{path}: not of a run (no experiment.json); a card needs its journal: give the run's folder"
    )


def command_of(run: RunRecord) -> str | None:
    """The command that trained it, without the folder it wrote to; None where it was Python code."""
    words = run.environment.get("command")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return None
    if not re.search(r"(^|[/\\])reacgan([/\\]__main__\.py|\.exe)?$", words[0]):
        return None
    kept = ["reacgan"]
    skip = False
    for word in words[1:]:
        if not skip and word != "--out" and not word.startswith("--out="):
            kept.append(without_paths(word))
        skip = word == "--out" and not skip
    return shlex.join(kept)


def seconds_of(run: RunRecord, until: int) -> float:
    """Seconds of training up to ``until`` images seen, from the speeds in the journal."""
    seconds, before = 0.0, 0
    for line in run.journal:
        seen, speed = line["images_seen"], line.get("images_per_second")
        if before < seen <= until and isinstance(speed, int | float) and speed > 0:
            seconds += (seen - before) / speed
        if speed is not None:
            before = seen  # after going back, a run counts from there
    return seconds


def cost_of(run: RunRecord, images_seen: int) -> list[tuple[str, str]]:
    """Rows for a table: images, time, machine, memory, versions; unknown values are left out."""
    facts = run.environment
    rows = {"real images seen": f"{images_seen:,} (repeats counted)"}
    planned = run.experiment.get("training", {}).get("images")
    if isinstance(planned, int) and planned > images_seen + run.experiment["training"]["batch"]:
        rows["planned"] = f"{planned:,}: this state is at {images_seen / planned:.0%} of it"
    if seconds := seconds_of(run, images_seen):
        rows["time"] = f"{seconds / 3600:.2g} hours ({seconds:,.0f} s) of training steps"
    machine = str(facts.get("device") or facts.get("computes_on") or "")
    if facts.get("computes_on") == "cpu":
        threads = facts.get("cpu_threads")
        names = " ".join(filter(None, (machine, facts.get("cpu"))))
        machine = f"CPU, {threads} thread(s), {names}"
    if machine:
        rows["device"] = f"{facts.get('world', 1)} x {machine}"
    if "precision" in facts:
        rows["precision"] = str(facts["precision"])
    if most := max((line.get("memory_bytes") or 0 for line in run.journal), default=0):
        rows["memory, at most"] = f"{most / 2**20:,.0f} MiB"
    versions = [f"{name} {facts[name]}" for name in ("reacgan", "torch", "python") if name in facts]
    return [*rows.items(), *([("software", ", ".join(versions))] if versions else [])]


def loss_curve(run: RunRecord) -> bytes | None:
    """The losses over the images seen as PNG; None without matplotlib, or with nothing to draw."""
    series = run.series()
    losses = {name: series[name] for name in _LOSSES if name in series}
    return journal_curve(losses, "losses") if losses and have_plots() else None
