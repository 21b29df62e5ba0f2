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
from reacgan.suites.base import Context, Scale, Suite, Trial
from reacgan.suites.results import folder_of, read_result, write_result
from reacgan.suites.work import StoppedError

Say = Callable[[str], None]


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
    known = {trial.name for trial in trials} | {trial.row for trial in trials}
    wrong = [name for name in only if name not in known]
    if wrong:
        raise ConfigError(
            f"{suite.name} has no trial {wrong[0]!r} at scale {scale}; there are: "
            f"{', '.join(trial.name for trial in trials)}"
        )
    chosen = [one for one in trials if not only or {one.name, one.row} & set(only)]
    return [Job(one, seed, folder_of(out, scale, one, seed)) for seed in seeds for one in chosen]


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
    that was interrupted is taken up where it was. Settings that differ from those of an earlier
    result are an error, since its folder holds another experiment.

    Returns:
        What failed: a line for each trial of a seed.

    Raises:
        ConfigError: an unknown trial, or a folder that holds other settings.
        StoppedError: a signal ended a run; the same call takes it up again.
    """
    context = context or Context()
    failed: list[str] = []
    jobs = jobs_of(suite, out, scale, seeds=seeds, only=only)
    for place, job in enumerate(jobs, 1):
        told = f"[{place}/{len(jobs)}] {job.trial.name}, seed {job.seed}"
        if is_complete(job, context):
            say(f"{told}: complete")
            continue
        for left in range(retries, -1, -1):
            began = time.perf_counter()
            error = _attempt(job, context)
            seconds = time.perf_counter() - began
            say(f"{told}: {f'failed: {error}' if error else 'done'} ({seconds:.0f} s)")
            if error is None:
                break
            if not left or isinstance(error, ConfigError):  # which comes again
                failed.append(f"{job.trial.name}, seed {job.seed}: {error}")
                break
    return failed


def is_complete(job: Job, context: Context) -> bool:
    """Whether the trial was run to its end with these settings.

    Raises:
        ConfigError: with others.
    """
    held = read_result(job.folder)
    if held is None:
        return False
    settings = job.trial.work.settings(job.seed, context)
    if held.get("digest") != digest_of_settings(settings):
        differing = ", ".join(_differing(held.get("settings", {}), settings)) or "something"
        raise ConfigError(
            f"{job.folder}: holds a trial of other settings ({differing}); choose another --out, or "
            "move this folder away"
        )
    return held.get("status") == "complete"


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
        "software": _software(),
    }
    began = time.perf_counter()
    try:
        outcome = _finite(asdict(work.run(job.folder, job.seed, context)))
    except (KeyboardInterrupt, StoppedError):
        raise
    except Exception as error:  # the next trial is not to blame
        told = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        write_result(job.folder, {**head, "status": "failed", "error": told, "trace": trace})
        return error
    outcome["cost"] = {**outcome["cost"], "seconds": round(time.perf_counter() - began, 1)}
    write_result(job.folder, {**head, "status": "complete", **outcome})
    return None


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


def _differing(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Dotted names of what is not the same in two trees."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from _differing(one.get(key), other.get(key), f"{place}.{key}".strip("."))
    elif json.dumps(one, default=str) != json.dumps(other, default=str):
        yield f"{place}: {one!r} there, {other!r} now"


def _software() -> dict[str, str]:
    import numpy  # noqa: PLC0415
    import torch  # noqa: PLC0415

    return {
        "reacgan": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
