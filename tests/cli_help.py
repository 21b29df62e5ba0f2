"""All help pages as one text. Run ``python tests/cli_help.py`` to write docs/cli-help.txt anew."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cyclopts
from rich.console import Console

from reacgan.cli import build_app

FILE = Path(__file__).parents[1] / "docs" / "cli-help.txt"
WIDTH = 88


def pages_of(app: cyclopts.App, before: tuple[str, ...] = ()) -> Iterator[str]:
    """The words of each command that has a help page, in the order of the help pages."""
    yield " ".join(before)
    for name in app:
        if not name.startswith("-"):
            yield from pages_of(app[name], (*before, name))


def help_pages() -> str:
    """Every page under the line that asks for it, 88 columns wide."""
    pages = []
    for command in pages_of(build_app()):
        text = io.StringIO()
        console = Console(file=text, width=WIDTH, color_system=None, force_terminal=False)
        build_app()([*command.split(), "--help"], console=console)
        lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
        asked = " ".join(["$ reacgan", *command.split(), "--help"])
        pages.append("\n".join([asked, *lines, ""]))
    return "\n".join(pages)


if __name__ == "__main__":
    FILE.write_text(help_pages(), encoding="utf-8")
    print(FILE)
