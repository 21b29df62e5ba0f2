"""``reacgan experiments suites | run | report``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from reacgan.cli import streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments, Device, Words

if TYPE_CHECKING:
    from reacgan.suites import Context, Suite
Scale = Literal["toy", "cpu", "full"]

_OUT = Path("runs/suites")


def list_suites(*, scale: Scale | None = None, json_: Json = False) -> int:
    """List the suites: the paper's by their numbers, then our own.

    Parameters
    ----------
    scale:
        Also list each suite's trials at this scale.
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import load_plugins  # noqa: PLC0415
    from reacgan.suites import SCALES, SUITES  # noqa: PLC0415

    load_plugins()
    width = max(map(len, SUITES))
    suites, lines = [], []
    for name, suite in SUITES.items():
        trials = {size: len(suite.trials(size)) for size in SCALES}
        listed = suite.trials(scale) if scale is not None else ()
        rows = [{"name": trial.name, "row": trial.row.strip()} for trial in listed]
        suites.append(
            {"name": name, "numbers": suite.numbers, "title": suite.title, "trials": trials,
             **({f"{scale}_trials": rows} if scale is not None else {})}
        )  # fmt: skip
        number = ", ".join(map(str, suite.numbers)) or "ours"
        counts = "  ".join(f"{size} {count:>2}" for size, count in trials.items())
        lines.append(f"{number:>4}  {name:{width}}  trials: {counts}  {suite.title}")
        lines += [f"{'':6}{row['name']}  ({row['row']})" for row in rows]
    answer({"suites": suites}, "\n".join(lines), as_json=json_)
    return 0


def run(
    suite: str,
    /,
    *,
    scale: Scale = "toy",
    seeds: int = 1,
    first_seed: int = 0,
    out: Path = _OUT,
    data: Words = (),
    set_: Assignments = (),
    only: Words = (),
    launcher: Literal["local", "slurm", "print"] = "local",
    slurm: Words = (),
    device: Device = "auto",
    by_domain: bool = False,
    resume: Annotated[bool, Parameter(negative="--no-resume")] = True,
    dry_run: bool = False,
) -> int:
    """Run a suite of experiments and write its report.

    Each trial has a folder of its own. The same command resumes: complete trials are skipped,
    interrupted ones resumed, failed ones tried again. Suites share the trials they have in common.

    Examples: reacgan experiments run collapse --scale cpu --seeds 3 |
    reacgan experiments run main-cifar10 --scale full --data cifar10=/data/cifar --launcher slurm

    Parameters
    ----------
    suite:
        Its name, or the number of the paper's experiment ("reacgan experiments suites").
    scale:
        toy: seconds, on embedded digits, to see it work; cpu: minutes to hours on two cores;
        full: as published, for a GPU.
    seeds:
        How many seeds each trial is run with.
    first_seed:
        The first of them.
    out:
        Where the runs and reports of all suites are.
    data:
        Where data sets are: --data cifar10=/data/cifar tiny_imagenet=/data/tiny-imagenet-200.
    set_:
        Change values of every experiment: --set training.precision=bfloat16.
    only:
        Only these trials, or rows, of the suite.
    launcher:
        local: one after another, here; slurm: one job each, through submitit; print: one command
        each, for anything else.
    slurm:
        Settings of the jobs: --slurm timeout_min=600 slurm_partition=gpu gpus_per_node=1.
    by_domain:
        Score full scale by a classifier trained on the images, where Inception's weights are not available.
    resume:
        Resume in a folder that holds results of the suite; --no-resume refuses one.
    dry_run:
        List what would be run, and stop.
    """
    from reacgan.suites import suite as find_suite  # noqa: PLC0415
    from reacgan.suites.report import write_suite_report  # noqa: PLC0415
    from reacgan.suites.runner import is_complete, jobs_of, run_suite  # noqa: PLC0415
    from reacgan.suites.work import StoppedError  # noqa: PLC0415

    chosen = find_suite(suite)
    all_seeds = _seeds(seeds, first_seed)
    context = replace(_context(data, set_, device), by_domain=by_domain, quiet=scale == "toy")
    jobs = jobs_of(chosen, out, scale, seeds=all_seeds, only=only)
    _refuse_nothing(chosen, scale, len(jobs))
    if not resume:
        _refuse_results(out, [job.folder for job in jobs])
    if dry_run:
        for job in jobs:
            job.trial.work.settings(job.seed, context)  # raises where --set is wrong
            begun = "to resume" if (job.folder / "journal.jsonl").exists() else "to run"
            state = "complete" if is_complete(job, context) else begun
            streams.say(f"{job.trial.name}, seed {job.seed}: {state}, {job.folder}")
        return 0
    if launcher != "local":
        return _hand_over(
            chosen, out, scale, all_seeds, only, context, launcher=launcher, slurm=slurm
        )
    try:
        failed = run_suite(chosen, out, scale, seeds=all_seeds, only=only, context=context)
    except StoppedError as stopped:
        streams.say(f"{stopped}; the same command resumes")
        return 128 + stopped.signal if stopped.signal else 3
    streams.say(f"report: {write_suite_report(chosen, out, scale)}")
    for line in failed:
        streams.say(f"failed: {line}")
    return 1 if failed else 0


def report(
    suite: str,
    /,
    *,
    scale: Scale = "toy",
    out: Path = _OUT,
    to: Path | None = None,
    json_: Json = False,
) -> int:
    """Write the report of a suite: tables, figures, verdicts, cost.

    Parameters
    ----------
    suite:
        Its name, or the number of the paper's experiment.
    scale:
        The scale of the trials.
    out:
        Where the runs are.
    to:
        The report's folder; OUT/SCALE/reports/SUITE by default.
    json_:
        Print JSON instead of text.
    """
    from reacgan.suites import suite as find_suite  # noqa: PLC0415
    from reacgan.suites.report import write_suite_report  # noqa: PLC0415

    page = write_suite_report(find_suite(suite), out, scale, to=to)
    answer({"report": page}, str(page), as_json=json_)
    return 0


def _seeds(seeds: int, first: int) -> range:
    from reacgan.config import ConfigError  # noqa: PLC0415

    if seeds < 1 or first < 0:
        raise ConfigError(
            f"--seeds is {seeds} and --first-seed {first}; allowed: 1 or more, and 0 or more"
        )
    return range(first, first + seeds)


def _context(data: tuple[str, ...], changes: tuple[str, ...], device: Device) -> Context:
    from reacgan.config import ConfigError, parse_assignments  # noqa: PLC0415
    from reacgan.data import DATASETS  # noqa: PLC0415
    from reacgan.suites import Context  # noqa: PLC0415

    paths = {}
    for text in data:
        name, separator, path = text.partition("=")
        if not separator or name not in DATASETS or not path:
            raise ConfigError(
                f"--data {text!r}: needed: NAME=PATH with a name of {', '.join(DATASETS)}"
            )
        if not Path(path).exists():
            raise ConfigError(f"--data {text!r}: {path} does not exist")
        paths[name] = str(Path(path).resolve())
    return Context(device=device, data=paths, changes=parse_assignments(changes))


def _refuse_nothing(suite: Suite, scale: Scale, jobs: int) -> None:
    from reacgan.config import ConfigError  # noqa: PLC0415

    if jobs == 0:
        note = suite.notes.get(scale, "Take another scale.")
        raise ConfigError(f"the suite {suite.name} has no trial at scale {scale}. {note}")


def _refuse_results(out: Path, folders: list[Path]) -> None:
    from reacgan.config import ConfigError  # noqa: PLC0415

    there = [folder for folder in folders if folder.exists()]
    if there:
        raise ConfigError(
            f"{there[0]} exists already; leave --no-resume out to resume, or choose another --out"
        )


def _hand_over(
    suite: Suite,
    out: Path,
    scale: Scale,
    seeds: range,
    only: tuple[str, ...],
    context: Context,
    *,
    launcher: str,
    slurm: tuple[str, ...],
) -> int:
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.suites.launch import as_text, commands, submit  # noqa: PLC0415

    wanted = commands(suite, out.resolve(), scale, seeds=seeds, only=only, context=context)
    if launcher == "print":
        streams.say(as_text(wanted), end="")
        return 0
    jobs = submit(wanted, out / "jobs", parameters=parse_assignments(slurm))
    for job, words in zip(jobs, wanted, strict=True):
        trial = next(re.sub("^--only=", "", word) for word in words if word.startswith("--only="))
        streams.say(f"job {job.job_id}: {trial}")
    streams.say(f"then: reacgan experiments report {suite.name} --scale {scale} --out {out}")
    return 0
