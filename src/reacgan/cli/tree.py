"""The tree of commands, and how errors are reported."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

import cyclopts

from reacgan import __version__
from reacgan.cli import (
    augment_study,
    cache,
    data,
    doctor,
    evaluate,
    experiments,
    generate,
    report,
    sample,
    streams,
    train,
    walk,
    weights,
)
from reacgan.cli.options import convert, written_out

_NARROWEST, _USUAL = 20, 80


def build_app() -> cyclopts.App:
    """The tree of commands."""
    app = cyclopts.App(
        name="reacgan",
        help="Class-conditional GANs you can train, evaluate and share.",
        version=__version__,
        help_format="plaintext",
        default_parameter=cyclopts.Parameter(negative=(), converter=convert),
        exit_on_error=False,
        print_error=True,
        result_action="return_value",
    )
    app.command(train.train)
    app.command(sample.sample)
    app.command(walk.walk)
    app.command(generate.generate)
    app.command(experiments.app())
    app.command(data.app())
    app.command(evaluate.evaluate)
    app.command(augment_study.augment_study)
    app.command(report.report)
    app.command(weights.app())
    app.command(cache.app())
    app.command(doctor.doctor)
    return app


def run(words: Sequence[str]) -> int:
    """Run a command; returns its exit code, also for errors."""
    try:
        return int(build_app()(written_out(words), **_consoles()) or 0)
    except cyclopts.CycloptsError:
        return 2  # already printed
    except BrokenPipeError:
        return streams.BROKEN_PIPE
    except SystemExit as ended:  # how the help printer ends on a closed pipe
        return streams.BROKEN_PIPE if isinstance(ended.__context__, BrokenPipeError) else 1
    except (ValueError, FloatingPointError, OSError) as error:
        if not _meant_for_a_person(error):
            raise
        streams.complain(streams.explained(error))
        return 1


def _consoles() -> dict[str, Any]:
    """Consoles of usual width where the terminal has none: help in one column never ends."""
    if shutil.get_terminal_size().columns >= _NARROWEST and os.environ.get("COLUMNS") != "0":
        return {}
    from rich.console import Console  # noqa: PLC0415

    return {
        "console": Console(width=_USUAL),
        "error_console": Console(width=_USUAL, stderr=True),
    }


def _meant_for_a_person(error: Exception) -> bool:
    from reacgan.config import ConfigError  # noqa: PLC0415 - only once something went wrong

    return isinstance(error, ConfigError | OSError) or type(error).__name__ == "NonFiniteError"
