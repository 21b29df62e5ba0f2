"""All help pages as one text. Run ``python tests/cli_help.py`` to write docs/cli-help.txt anew."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from reacgan.cli import build_app

FILE = Path(__file__).parents[1] / "docs" / "cli-help.txt"
COMMANDS = (
    "",
    "train",
    "sample",
    "walk",
    "experiments",
    "experiments list",
    "experiments show",
    "experiments suites",
    "experiments run",
    "experiments report",
    "data",
    "data list",
    "data inspect",
    "data prepare",
    "evaluate",
    "report",
    "weights",
    "weights list",
    "weights show",
    "weights check",
    "weights publish",
    "weights push",
    "weights convert",
    "cache",
    "doctor",
)


def help_pages() -> str:
    """Every page under the line that asks for it, 88 columns wide."""
    pages = []
    for command in COMMANDS:
        text = io.StringIO()
        console = Console(file=text, width=88, color_system=None, force_terminal=False)
        build_app()([*command.split(), "--help"], console=console)
        lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
        asked = " ".join(["$ reacgan", *command.split(), "--help"])
        pages.append("\n".join([asked, *lines, ""]))
    return "\n".join(pages)


if __name__ == "__main__":
    FILE.write_text(help_pages(), encoding="utf-8")
    print(FILE)
