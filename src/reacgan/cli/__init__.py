"""The command line: parse, call, print. Every command is one call of the Python interface.

Nothing here imports torch, numpy or the schema before a command runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import cyclopts

from reacgan import __version__
from reacgan.cli import (
    cache,
    data,
    doctor,
    evaluate,
    experiments,
    report,
    sample,
    train,
    walk,
    weights,
)


def build_app() -> cyclopts.App:
    """The tree of commands."""
    app = cyclopts.App(
        name="reacgan",
        help="Class-conditional GANs you can train, judge and share.",
        version=__version__,
        help_format="plaintext",
        default_parameter=cyclopts.Parameter(negative=()),
        exit_on_error=False,
        print_error=True,
        result_action="return_value",
    )
    app.command(train.train)
    app.command(sample.sample)
    app.command(walk.walk)
    app.command(experiments.app())
    app.command(data.app())
    app.command(evaluate.evaluate)
    app.command(report.report)
    app.command(weights.app())
    app.command(cache.app())
    app.command(doctor.doctor)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0 is success, 1 a person's mistake, 2 a bad option, 3 a run that the watch stopped, 130 and 143 one
    that a signal stopped.
    """
    try:
        code = build_app()(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except cyclopts.CycloptsError:
        sys.exit(2)  # already printed
    except BrokenPipeError:  # who read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)
    except (ValueError, FloatingPointError, OSError) as error:
        if not _meant_for_a_person(error):
            raise
        print(f"reacgan: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(int(code or 0))


def _meant_for_a_person(error: Exception) -> bool:
    from reacgan.config import ConfigError  # noqa: PLC0415 - only once something went wrong

    named = {"NonFiniteError"}
    return isinstance(error, ConfigError | OSError) or type(error).__name__ in named
