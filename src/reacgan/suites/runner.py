"""Run a suite: every trial of every seed that is not complete."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from reacgan.config import ConfigError, differing, parse_experiment
from reacgan.devices import describe_software, find_device
from reacgan.suites.base import Context, Scale, Suite, Trial
from reacgan.suites.results import folder_of, read_result, write_result
from reacgan.suites.work import StoppedError
from reacgan.training.run_folder import BusyError

Say = Callable[[str], None]

_POLL_SECONDS = 2.0
"""Seconds before a trial that another process runs is tried again."""
_NOT_RETRIED = (ConfigError, ArithmeticError)
"""Errors that a second attempt would repeat: a wrong value, a loss that is not finite."""


@dataclass(frozen=True)
class Job:
    """A trial of one seed, and its folder."""

    trial: Trial
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Of trial and seed."""
        return f"{self.trial.name}, seed {self.seed}"


def jobs_of(
    suite: Suite, out: Path, scale: Scale, *, seeds: Sequence[int], only: Sequence[str] = ()
) -> list[Job]:
    """All trials of all seeds: one seed of all rows before the next, so that seeds are completed in turn.

    Raises:
        ConfigError: a name in ``only`` that is not a trial (or row) of the suite.
    """
    trials = suite.trials(scale)
    known = set().union(*map(_names_of, trials))
    wrong = [name for name in only if name not in known]
    if wrong:
        raise ConfigError(
            f"{suite.name} has no trial or row {wrong[0]!r} at scale {scale}; there are: "
            + ", ".join(f"{trial.name} ({trial.row.strip()})" for trial in trials)
        )
    chosen = [trial for trial in trials if not only or _names_of(trial) & set(only)]
    return [
        Job(trial, seed, folder_of(out, scale, trial, seed)) for seed in seeds for trial in chosen
    ]


def _names_of(trial: Trial) -> set[str]:
    """A trial's name, with and without the data set, and its row."""
    return {trial.name, trial.name.rpartition("/")[2], trial.row, trial.row.strip()}


def run_suite(
    suite: Suite,
    out: Path,
    scale: Scale,
    *,
    seeds: Sequence[int] = (0,),
    only: Sequence[str] = (),
    context: Context | None = None,
    retries: int = 1,
    say: Say = print,
) -> list[str]:
    """Run all incomplete trials.

    A failed trial is repeated up to ``retries`` times before the next one is run, an interrupted one is
    resumed, one that another process runs is awaited. Settings that differ from those of a complete
    trial are an error before anything is run.

    Returns:
        A line for each failed trial of a seed.

    Raises:
        ConfigError: an unknown trial, or a folder with results of other settings.
        StoppedError: a signal ended a run; the same call resumes it.
    """
    context = context or Context()
    jobs = jobs_of(suite, out, scale, seeds=seeds, only=only)
    for job in jobs:  # check all before any is run
        is_complete(job, context)
    failed: list[str] = []
    for number, job in enumerate(jobs, 1):
        label = f"[{number}/{len(jobs)}] {job.name}"
        error = _run_job(job, context, retries, say, label)
        if error is not None:
            failed.append(f"{job.name}: {error}")
    return failed


def _run_job(job: Job, context: Context, retries: int, say: Say, label: str) -> Exception | None:
    """Run a job; returns the error of its last attempt, if that failed."""
    waits = False
    while not is_complete(job, context):
        began = time.perf_counter()
        error = _attempt(job, context)
        if isinstance(error, BusyError):
            if not waits:
                say(f"{label}: waiting for another process that runs it")
            waits = True
            time.sleep(_POLL_SECONDS)
            continue
        seconds = time.perf_counter() - began
        say(f"{label}: {f'failed: {error}' if error else 'done'} ({seconds:.0f} s)")
        if error is None:
            return None
        if not retries or isinstance(error, _NOT_RETRIED):
            return error
        retries -= 1
    say(f"{label}: complete")
    return None


def is_complete(job: Job, context: Context) -> bool:
    """Whether the trial was completed with these settings.

    Raises:
        ConfigError: it was completed with others.
    """
    record = read_result(job.folder)
    if record is None or record.get("status") != "complete":
        return False
    settings = job.trial.work.settings(job.seed, context)
    recorded = _as_read_now(record.get("settings", {}))
    if digest_of_settings(recorded) != digest_of_settings(settings):
        what = ", ".join(changed(recorded, settings)) or "something"
        raise ConfigError(
            f"{job.folder}: holds a trial of other settings ({what}); choose another --out, or "
            "move this folder away"
        )
    return True


def _as_read_now(settings: dict[str, Any]) -> dict[str, Any]:
    """Recorded settings; an experiment of an earlier version is converted."""
    with suppress(KeyError, ConfigError):
        experiment = parse_experiment(settings["experiment"])
        if "tf32_products" not in settings["experiment"]["speed"]:
            experiment = experiment.replace(**{"speed.tf32": None})  # false was the default
        return {**settings, "experiment": experiment.model_dump(mode="json")}
    return settings


def _attempt(job: Job, context: Context) -> Exception | None:
    """Run a job and record its outcome, or its error, which is returned."""
    work = job.trial.work
    settings = work.settings(job.seed, context)
    head = {
        "trial": job.trial.name,
        "row": job.trial.row,
        "column": job.trial.column,
        "x": job.trial.x,
        "seed": job.seed,
        "settings": settings,
        "digest": digest_of_settings(settings),
        "command": work.command(job.folder, job.seed, context),
        "changes": dict(context.changes),
        "by_domain": context.by_domain,
        "software": _software(context),
    }
    began = time.perf_counter()
    try:
        outcome = _finite(asdict(work.run(job.folder, job.seed, context)))
        seconds = round(time.perf_counter() - began, 1)
        outcome["cost"] = {**outcome["cost"], "seconds": seconds}
        write_result(job.folder, {**head, "status": "complete", **outcome})
    except BusyError as error:
        return error
    except Exception as error:  # the next trial still runs
        if isinstance(error, StoppedError) and error.signal:
            raise
        message, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        record = {**head, "status": "failed", "error": message, "trace": trace}
        text = json.dumps(record, default=str)
        write_result(job.folder, json.loads(text, parse_constant=str))  # inf and nan as strings
        return error
    return None


def _finite(outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome without points of curves that are not finite, with a note of them.

    Raises:
        ArithmeticError: a score that is not finite.
    """
    for name, value in outcome["values"].items():
        if not math.isfinite(value):
            raise ArithmeticError(f"{name} is {value}, not a finite score")
    notes = list(outcome["notes"])
    series = {}
    for name, points in outcome["series"].items():
        series[name] = [pair for pair in points if math.isfinite(pair[1])]
        lost = len(points) - len(series[name])
        if lost:
            notes.append(f"{name} was not finite at {lost} of {len(points)} moments")
    return {**outcome, "series": series, "notes": notes}


def digest_of_settings(settings: Any) -> str:
    """16 hexadecimal digits of a hash of the settings."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Dotted names of the differences of two trees, with both values."""
    return [f"{key}: {old!r} there, {new!r} now" for key, old, new in differing(before, now)]


def _software(context: Context) -> dict[str, Any]:
    device = find_device(context.device)
    software = {**describe_software(device), "machine": platform.machine()}
    if device.type == "cpu":
        software["device"] = f"cpu, {torch.get_num_threads()} threads"
    return software
