"""The command line: parse, call, print. Every command is one call of the Python interface.

Nothing here imports torch, numpy or the schema before a command runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reacgan.cli import streams

if TYPE_CHECKING:
    import cyclopts


def build_app() -> cyclopts.App:
    """The tree of commands."""
    from reacgan.cli.tree import build_app as build  # noqa: PLC0415

    return build()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 success, 1 an error for the user, 2 an invalid option, 3 a run that the monitor
    stopped, 129, 130 and 143 one that a signal stopped, 141 a closed output pipe.
    """
    streams.make_patient()
    with streams.ending_imports():
        sys.exit(streams.close_output(_run(arguments)))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        from reacgan.cli.tree import run  # noqa: PLC0415 - here Ctrl-C gives no traceback

        return run(sys.argv[1:] if arguments is None else list(arguments))
    except BaseException as error:
        if not streams.is_interrupt(error):
            raise
        return 128 + signal.SIGINT
