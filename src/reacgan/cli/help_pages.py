"""How help pages are set: paragraphs filled to the width, one example a line."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_EXAMPLES = re.compile(r"Examples?: (?=reacgan )")


class Pages:
    """A formatter for cyclopts, whose own keeps the line breaks and indents of docstrings."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print the options, or the commands, of a page."""
        from cyclopts.help import DefaultFormatter  # noqa: PLC0415 - only where help is asked for

        entries = [_filled_entry(entry) for entry in panel.entries]
        DefaultFormatter()(console, options, panel.copy(entries=entries))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line with the command."""
        from cyclopts.help import DefaultFormatter  # noqa: PLC0415

        DefaultFormatter().render_usage(console, options, usage)

    def render_description(
        self, console: Console, options: ConsoleOptions, description: Any
    ) -> None:
        """Print what a command does."""
        from rich.text import Text  # noqa: PLC0415

        text = _text_of(description)
        if text:
            console.print(Text(f"{filled(text, console.width)}\n"))


def filled(text: str, width: int) -> str:
    """Paragraphs filled to so many columns; examples on lines of their own.

    Args:
        text: of a docstring; ``Examples: reacgan a | reacgan b`` is a paragraph of two examples.
        width: of a line, columns; a longer word stays whole.
    """
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return "\n\n".join(_paragraph(" ".join(each.split()), width) for each in paragraphs)


def _paragraph(text: str, width: int) -> str:
    begin = _EXAMPLES.match(text)
    if begin is None:
        return _wrapped(text, width)
    examples = text[begin.end() :].split(" | ")
    head = "Example:" if len(examples) == 1 else "Examples:"
    return "\n".join([head, *(_wrapped(each, width, "  ", "      ") for each in examples)])


def _wrapped(text: str, width: int, first: str = "", others: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _filled_entry(entry: HelpEntry) -> HelpEntry:
    """An option's meaning as one paragraph; that a flag is off by default goes without saying."""
    from cyclopts.help import InlineText  # noqa: PLC0415

    text = _text_of(entry.description)
    usual = entry.default in ("False", '""')
    return entry.copy(
        description=InlineText.from_format(" ".join(text.split()), format="plaintext"),
        default=None if usual else entry.default,
    )


def _text_of(description: Any) -> str:
    """The words of a description, which cyclopts has made renderable already."""
    return str(getattr(description, "primary_renderable", None) or description or "")
