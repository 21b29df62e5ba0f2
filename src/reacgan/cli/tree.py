"""The tree of commands, and how errors are reported."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import shutil
from collections.abc import Sequence
from typing import Any

import cyclopts
from cyclopts import CycloptsPanel

from reacgan import __version__
from reacgan.cli import (
    answers,
    augment_study,
    cache,
    data,
    doctor,
    evaluate,
    experiments,
    export,
    generate,
    missing,
    new,
    report,
    sample,
    streams,
    train,
    walk,
    weights,
)
from reacgan.cli import app as page
from reacgan.cli.help_pages import Pages
from reacgan.cli.options import convert, written_out
from reacgan.text import plain_lines

_NARROWEST, _USUAL = 20, 80
_KEPT = {
    "train": "no step was made, and nothing is changed; the same command begins again",
    "evaluate": "scores of states that were finished are in scores.jsonl, and what was computed for "
    "others is used again by the same command",
    "sample": "images that were written stay, each is whole; the same command writes them again",
    "walk": "pictures that were written stay, each is whole; the same command writes them again",
    "export": "no file was written, and one that was there before is as it was",
    "data prepare": "no packed file was written; the same command begins again",
}
"""What is said after Ctrl-C; ``generate`` and ``augment-study`` tell how far they came."""


def build_app() -> cyclopts.App:
    """The tree of commands, in the order in which a newcomer meets them."""
    app = cyclopts.App(
        name="reacgan",
        help="Class-conditional GANs you can train, evaluate and share.",
        version=__version__,
        help_format="plaintext",
        help_formatter=Pages(),
        default_parameter=cyclopts.Parameter(negative=(), converter=convert),
        exit_on_error=False,
        print_error=True,
        error_formatter=_in_a_panel,
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # Ctrl-C is reported by :func:`run`
    )
    commands = (
        sample.sample,
        new.new,
        train.train,
        evaluate.evaluate,
        report.report,
        page.app,
        walk.walk,
        generate.generate,
        export.export,
        augment_study.augment_study,
        data.app(),
        experiments.app(),
        weights.app(),
        doctor.doctor,
        cache.app(),
    )
    for command in commands:
        app.command(command)
    app.register_install_completion_command(help="Complete words in bash, zsh or fish on Tab.")
    _list_as_added(app)
    return app


def _in_a_panel(error: cyclopts.CycloptsError) -> Any:
    return CycloptsPanel(plain_lines(_described(error)))


def _described(error: cyclopts.CycloptsError) -> str:
    """What is wrong with the words; of a missing argument also what it is, and an example."""
    argument = error.argument
    if isinstance(error, cyclopts.UnknownOptionError) and _is_json_of_train(error):
        return f"{error} {_FOR_PROGRAMS}"
    if not isinstance(error, cyclopts.MissingArgumentError) or argument is None:
        return str(error)
    page = inspect.getdoc(error.target) or ""
    option = argument.field_info.kind is argument.field_info.KEYWORD_ONLY
    name = argument.name if option else argument.name.lstrip("-").upper()
    says = re.search(rf"^{argument.field_info.name}:\n((?: +.*\n?)+)", page, re.MULTILINE)
    lacking = "has no value" if option and error.keyword is not None else "is missing"
    text = f"reacgan {' '.join(error.command_chain or ())}: {name} {lacking}."
    text += f" {' '.join(says[1].split())}" if says else ""
    example = re.search(r"^Examples?: (.*?)(?: \||\n\n)", page, re.DOTALL | re.MULTILINE)
    return f"{text}\nExample: {' '.join(example[1].split())}" if example else text


_FOR_PROGRAMS = (
    "What train reports is for programs too: journal.jsonl and scores.jsonl in the run's folder, a JSON "
    "object a line, which grow while it trains; reacgan.journal(RUN) reads them, and --log csv writes "
    "tables."
)


def _is_json_of_train(error: cyclopts.UnknownOptionError) -> bool:
    return tuple(error.command_chain or ()) == ("train",) and "--json" in str(error)


def _list_as_added(app: cyclopts.App) -> None:
    """Have help pages list commands in the order in which they were added, not by name."""
    for number, name in enumerate(app):
        if not name.startswith("-"):
            app[name].sort_key = number
            _list_as_added(app[name])


def run(words: Sequence[str]) -> int:
    """Run a command; returns its exit code, also for errors."""
    try:
        return int(build_app()(written_out(words), **_consoles()) or 0)
    except cyclopts.CycloptsError as error:
        return _failed(words, _described(error), 2)  # already printed
    except BrokenPipeError:
        return streams.BROKEN_PIPE
    except KeyboardInterrupt as interrupt:
        streams.complain(f"interrupted; {_kept(words)}")
        return _failed(words, "interrupted", streams.exit_code_of(interrupt))
    except SystemExit as ended:  # how the help printer ends on a closed pipe
        return streams.BROKEN_PIPE if isinstance(ended.__context__, BrokenPipeError) else 1
    except (ValueError, FloatingPointError, OSError, ImportError, RuntimeError) as error:
        text = _for_a_person(error)
        if text is None:
            raise
        streams.complain(text)
        return _failed(words, text, 1)


def _kept(words: Sequence[str]) -> str:
    """What Ctrl-C leaves of a command that does not say it itself."""
    names = [" ".join(words[:count]) for count in (2, 1)]
    return next((_KEPT[name] for name in names if name in _KEPT), streams.WHOLE)


def _failed(words: Sequence[str], text: str, code: int) -> int:
    """The exit code; with ``--json`` the error is an object on standard output, too."""
    if answers.asks_for_json(words):
        with contextlib.suppress(OSError):  # the output may be what failed; it has been said
            answers.print_json({"error": text})
    return code


def _consoles() -> dict[str, Any]:
    """Consoles of usual width where the terminal has none: help in one column never ends."""
    if shutil.get_terminal_size().columns >= _NARROWEST and os.environ.get("COLUMNS") != "0":
        return {}
    from rich.console import Console  # noqa: PLC0415

    return {
        "console": Console(width=_USUAL),
        "error_console": Console(width=_USUAL, stderr=True),
    }


def _for_a_person(error: Exception) -> str | None:
    """The message of an error that a person can mend; None where it is a fault of ours."""
    without_torch = missing.how_to_install(error)
    if without_torch is not None:
        return without_torch
    from reacgan.config import ConfigError  # noqa: PLC0415 - only once something went wrong

    known = isinstance(error, ConfigError | OSError)
    if known or type(error).__name__ in ("NonFiniteError", "CallbackError"):
        return streams.explained(error)
    return None
