"""Running a suite: every trial of every seed, one after another; what is complete is not run again."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reacgan import __version__
from reacgan.config import ConfigError
from reacgan.devices import find_device
from reacgan.suites.base import Context, Scale, Suite, Trial
from reacgan.suites.results import folder_of, read_result, write_result
from reacgan.suites.work import StoppedError
from reacgan.training.run_folder import BusyError

Say = Callable[[str], None]

_BETWEEN_LOOKS = 2.0
"""Seconds after which a trial that another process is at is looked at again."""
_COMES_AGAIN = (ConfigError, ArithmeticError)
"""What a second attempt would end with too: a wrong value, a loss that is no number."""


@dataclass(frozen=True)
class Job:
    """One trial of one seed, and where it goes."""

    trial: Trial
    seed: int
    folder: Path


def jobs_of(
    suite: Suite, out: Path, scale: Scale, *, seeds: Sequence[int], only: Sequence[str] = ()
) -> list[Job]:
    """All trials of all seeds: each seed of all rows before the next one, so that halves are whole.

    Raises:
        ConfigError: a name in ``only`` that is none of the suite's trials (or rows).
    """
    trials = suite.trials(scale)
    known = {name for trial in trials for name in _names_of(trial)}
    wrong = [name for name in only if name not in known]
    if wrong:
        raise ConfigError(
            f"{suite.name} has no trial or row {wrong[0]!r} at scale {scale}; there are: "
            + ", ".join(f"{trial.name} ({trial.row.strip()})" for trial in trials)
        )
    chosen = [one for one in trials if not only or _names_of(one) & set(only)]
    return [Job(one, seed, folder_of(out, scale, one, seed)) for seed in seeds for one in chosen]


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
    """Run what is not complete yet.

    A trial that fails is tried again as often as ``retries`` says, and then the next one is run; one
    that was interrupted is taken up where it was; one that another process is at is waited for. Settings
    that differ from those of a complete trial are an error, raised before anything is run.

    Returns:
        What failed: a line for each trial of a seed.

    Raises:
        ConfigError: an unknown trial, or a folder that holds other settings.
        StoppedError: a signal ended a run; the same call takes it up again.
    """
    context = context or Context()
    failed: list[str] = []
    jobs = jobs_of(suite, out, scale, seeds=seeds, only=only)
    for job in jobs:  # before anything is run, whether all of it can be
        is_complete(job, context)
    for place, job in enumerate(jobs, 1):
        told = f"[{place}/{len(jobs)}] {job.trial.name}, seed {job.seed}"
        left, waits = retries, False
        while True:
            if is_complete(job, context):
                say(f"{told}: complete")
                break
            began = time.perf_counter()
            error = _attempt(job, context)
            if isinstance(error, BusyError):
                if not waits:
                    say(f"{told}: waits for another process that is at it")
                waits = True
                time.sleep(_BETWEEN_LOOKS)
                continue
            seconds = time.perf_counter() - began
            say(f"{told}: {f'failed: {error}' if error else 'done'} ({seconds:.0f} s)")
            if error is None:
                break
            if not left or isinstance(error, _COMES_AGAIN):
                failed.append(f"{job.trial.name}, seed {job.seed}: {error}")
                break
            left -= 1
    return failed


def is_complete(job: Job, context: Context) -> bool:
    """Whether the trial was run to its end with these settings.

    Raises:
        ConfigError: with others.
    """
    held = read_result(job.folder)
    if held is None or held.get("status") != "complete":
        return False
    settings = job.trial.work.settings(job.seed, context)
    if held.get("digest") != digest_of_settings(settings):
        told = ", ".join(differing(held.get("settings", {}), settings)) or "something"
        raise ConfigError(
            f"{job.folder}: holds a trial of other settings ({told}); choose another --out, or "
            "move this folder away"
        )
    return True


def _attempt(job: Job, context: Context) -> Exception | None:
    """Run a job and keep what it found, or why it failed; that is returned."""
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
    except StoppedError as error:
        if error.signal:
            raise
        return _failed(job, head, error)
    except BusyError as error:
        return error
    except Exception as error:  # the next trial is not to blame
        return _failed(job, head, error)
    return None


def _failed(job: Job, head: dict[str, Any], error: Exception) -> Exception:
    told = f"{type(error).__name__}: {error}"
    held = {**head, "status": "failed", "error": told, "trace": traceback.format_exc()}
    text = json.dumps(held, default=str)
    write_result(job.folder, json.loads(text, parse_constant=str))  # inf and nan as words
    return error


def _finite(outcome: dict[str, Any]) -> dict[str, Any]:
    """Without the moments of curves that are no numbers, which it notes.

    Raises:
        ArithmeticError: a score that is not finite.
    """
    for name, value in outcome["values"].items():
        if not math.isfinite(value):
            raise ArithmeticError(f"{name} is {value}, which is no score")
    notes = list(outcome["notes"])
    series = {}
    for name, points in outcome["series"].items():
        series[name] = [pair for pair in points if math.isfinite(pair[1])]
        lost = len(points) - len(series[name])
        if lost:
            notes.append(f"{name} was not finite at {lost} of {len(points)} moments")
    return {**outcome, "series": series, "notes": notes}


def digest_of_settings(settings: Any) -> str:
    """16 hexadecimal digits that only equal settings share."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differing(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Dotted names of what is not the same in two trees."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from differing(one.get(key), other.get(key), f"{place}.{key}".strip("."))
    elif json.dumps(one, default=str) != json.dumps(other, default=str):
        yield f"{place}: {one!r} there, {other!r} now"


def _software(context: Context) -> dict[str, str]:
    import numpy  # noqa: PLC0415
    import torch  # noqa: PLC0415

    place = find_device(context.device)
    threads = torch.get_num_threads()
    named = torch.cuda.get_device_name(place) if place.type == "cuda" else place.type
    return {
        "reacgan": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": f"{named}, {threads} threads" if place.type == "cpu" else named,
    }
