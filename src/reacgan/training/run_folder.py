"""The folder of a run: whose it is, what it was made with, and that one process writes to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reacgan.assembly import complete
from reacgan.config import ConfigError, Experiment, as_written, differing, path_of, read_experiment
from reacgan.devices import describe_machine
from reacgan.files import write_text
from reacgan.hub.models import settle
from reacgan.hub.selection import BEST
from reacgan.leftovers import UNFINISHED, sweep, sweep_below

# What may differ when a run is taken up again: its length, what it reports, how it computes, what is
# watched for.
_WATCH = (
    "watch.every",
    "watch.action",
    "watch.patience",
    "watch.most_rollbacks",
    "watch.recover",
)
_MAY_CHANGE = (
    "training.images",
    "training.recompute",
    "training.per_process",
    "training.timeout",
    "training.grace",
    "report.",
    "scores.",
    "speed.",
    "data.path",
    "data.options.workers",  # of shards
    "data.options.excerpt",
    *_WATCH,
)


def refuse_file(out: str | Path) -> None:
    """Raise ConfigError where a run's folder would have the place of a file."""
    if path_of(out).is_file():
        raise ConfigError(f"{out}: a file; needed: the folder of a run, which is made if need be")


_LOCK = ".lock"
_SOURCE = "training.start_from"


class BusyError(ConfigError):
    """Another process holds the folder of a run."""


def default_folder(experiment: Experiment, number: int = 1) -> Path:
    """Where an experiment is trained if nothing else is said: ``runs/<name>``, ``runs/<name>-2``, ..."""
    name = experiment.name.replace("/", "-")
    return Path("runs") / (name if number == 1 else f"{name}-{number}")


def free_folder(experiment: Experiment) -> Path:
    """The first default folder that is new or holds a run of this very experiment."""
    for number in count(1):
        folder = RunFolder(default_folder(experiment, number))
        with suppress(ConfigError):
            folder.check(folder.with_precision(complete(experiment)))
            return folder.path
    raise AssertionError("numbers do not end")


class RunFolder:
    """Names of the files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.experiment = path / "experiment.json"
        self.environment = path / "environment.json"
        self.journal = path / "journal.jsonl"
        self.samples = path / "samples"
        self.scores = path / "scores.jsonl"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"

    def journal_of(self, rank: int, experiment: Experiment) -> Path | None:
        """The journal of a process; None where it keeps none."""
        if rank == 0:
            return self.journal
        if not experiment.report.every_process:
            return None
        return self.path / f"journal-{rank}.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process; a dead process's lock is no obstacle.

        Where nothing comes of it, such as images that are not there, no new folder is left.

        Raises:
            ConfigError: a living process writes to this folder.
        """
        new = [path for path in (self.path, *self.path.parents) if not path.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                f"{self.path}: another process is training in this folder; wait for it, stop it, "
                "or choose another --out"
            ) from None
        try:
            self._sweep()
            yield
        finally:
            with suppress(OSError):
                if [file.name for file in self.path.iterdir()] == [_LOCK]:
                    (self.path / _LOCK).unlink()  # while it is locked: nobody else has it
            lock.release()
            with suppress(OSError):  # not empty
                for path in new:
                    path.rmdir()

    def _sweep(self) -> None:
        """Remove what killed processes have left of this run; a model that was set aside comes back."""
        sweep(self.checkpoints, also=UNFINISHED)
        for model in (self.model, self.path / BEST):
            settle(model)
        sweep_below(self.path)

    def check(self, experiment: Experiment) -> None:
        """See that the folder is new or holds a run of this experiment; changes nothing.

        Raises:
            ConfigError: the folder holds another experiment; lists the differences.
        """
        remedy = f"choose another --out, or write it anew from {self.model / 'config.json'}"
        if self.experiment.exists():
            try:
                recorded = read_experiment(self.experiment)
            except ConfigError as error:
                raise ConfigError(f"{self.experiment}: damaged; {remedy}:\n{error}") from None
            with suppress(ConfigError):  # a member that is not here: the names will differ
                recorded = complete(recorded)  # an earlier version wrote out fewer options
            differences = compare(recorded, experiment)
            if differences and self._has_begun():
                raise ConfigError(
                    f"{self.path}: holds a run of another configuration; choose another --out, or "
                    "resume with the same values:\n" + "\n".join(differences)
                )
        elif self._has_begun():
            raise ConfigError(
                f"{self.path}: has checkpoints but no experiment.json; not a whole run; {remedy}"
            )

    def with_precision(self, experiment: Experiment) -> Experiment:
        """The experiment with the precision that the run here was begun in, where it may be any."""
        if experiment.training.precision != "auto" or not self.experiment.exists():
            return experiment
        try:
            recorded = read_experiment(self.experiment).training.precision
        except ConfigError:
            return experiment  # :meth:`check` says what is wrong
        return experiment.replace(**{"training.precision": recorded})

    def _has_begun(self) -> bool:
        """Whether there is a state or a model to lose; a start that failed leaves neither."""
        return self.model.exists() or (
            self.checkpoints.is_dir() and any(self.checkpoints.iterdir())
        )

    def record(self, experiment: Experiment, command: list[str], facts: dict[str, Any]) -> None:
        """Write what the run is made from, before its first step."""
        write_text(self.experiment, experiment.to_json())
        environment = {**describe_machine(), "command": command, **facts}
        write_text(self.environment, json.dumps(environment, indent=2) + "\n")


def _same_place(recorded: Any, wanted: Any) -> bool:
    """Whether two paths may be one: earlier versions recorded it as it was written, from any folder."""
    if not isinstance(recorded, str) or not isinstance(wanted, str):
        return False
    known, asked = Path(recorded), Path(wanted)
    if known.is_absolute() and asked.is_absolute():
        return known == asked
    whole, part = (known, asked) if known.is_absolute() else (asked, known)
    ends = Path(os.path.normpath(part)).parts
    return whole.parts[-len(ends) :] == ends


def compare(recorded: Experiment, wanted: Experiment) -> list[str]:
    """``key: recorded -> wanted`` for each value that may not change within a run."""
    return [
        f"  {key}: {as_written(old)} -> {as_written(new)}"
        for key, old, new in sorted(
            differing(recorded.model_dump(), wanted.model_dump()), key=lambda each: each[0]
        )
        if not key.startswith(_MAY_CHANGE) and not (key == _SOURCE and _same_place(old, new))
    ]
