"""The command line: parse, call, print. Every command is one call of the Python interface.

Nothing here imports torch, numpy or the schema before a command runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import os
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
    stopped, 4 one in which nothing moved any more, 129, 130 and 143 one that a signal stopped, 141 a
    closed output pipe.
    """
    streams.make_patient()
    streams.escape_notes()
    _share_cores()
    if _place_is_gone():
        streams.complain("the current folder was deleted; change to one that is there (cd ..)")
        sys.exit(1)
    with streams.ending_tidily():
        sys.exit(streams.close_output(_run(arguments)))


def _place_is_gone() -> bool:
    """PyTorch's libraries end a process that works in a deleted folder, in words of their own."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib takes part of the time that help takes
    except FileNotFoundError:
        return True
    return False


def _share_cores() -> None:
    """Threads that wait for one another sleep after some 50 microseconds instead of some milliseconds.

    GNU's OpenMP, which PyTorch computes with, lets them spin that long, in each of a step's thousand
    parallel pieces. Where several processes share the cores a spinning thread takes the core that the
    awaited one needs: the first step of four runs at once took half a minute on two cores, with this a
    second, and each start 4 seconds of the processor instead of 7. Results keep their bits. It has to be
    set before PyTorch is loaded; what the environment says goes before.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "1000"


def _run(arguments: Sequence[str] | None) -> int:
    try:
        from reacgan.cli.tree import run  # noqa: PLC0415 - here Ctrl-C gives no traceback

        return run(sys.argv[1:] if arguments is None else list(arguments))
    except BaseException as error:
        interrupt = streams.interrupt_of(error)
        if interrupt is None:
            raise
        return streams.exit_code_of(interrupt)
