"""Suites at toy scale, each run once: suites share the trials that they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

from reacgan.suites import SUITES, Context, Suite
from reacgan.suites.report import write_suite_report
from reacgan.suites.results import Result, results_of
from reacgan.suites.runner import run_suite

# Steps of each kind, and every watch and diagnosis; three times as many say nothing more.
CPU = Context(device="cpu", changes={"training.images": 192})


@dataclass(frozen=True)
class Ran:
    """A suite that was run and reported."""

    suite: Suite
    out: Path
    failed: list[str]
    said: list[str]
    report: Path

    @property
    def results(self) -> list[Result]:
        return results_of(self.suite, self.out, "toy")


@cache
def ran(name: str, out: Path) -> Ran:
    """The suite of that name, run in ``out``."""
    suite, said = SUITES[name], []
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f".{name}.lock"):  # another process may be at the same suite
        failed = run_suite(suite, out, "toy", context=CPU, say=said.append)
        report = write_suite_report(suite, out, "toy")
    return Ran(suite, out, failed, said, report)
