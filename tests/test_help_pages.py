"""Help pages as a newcomer reads them: order, summaries on one line, lines that are filled."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli_help import pages_of
from commands import leaves
from reacgan.cli import build_app
from reacgan.cli.help_pages import filled

PAGES = list(pages_of(build_app()))


def page(command, width=80):
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, force_terminal=False)
    build_app()([*command.split(), "--help"], console=console)
    return text.getvalue()


def boxed(text):
    """The rows of the panels, without frames."""
    return [line[1:-1].rstrip() for line in text.splitlines() if line.startswith("│")]


def test_every_command_has_its_page():
    assert {name for name, _ in leaves(build_app())} < set(PAGES) and "" in PAGES


def test_the_list_begins_with_what_a_newcomer_needs():
    listed = [row.split()[0] for row in boxed(page(""))]
    assert listed[:9] == [
        "sample", "new", "train", "evaluate", "report", "app", "walk", "generate", "export"
    ]  # fmt: skip
    assert all(name.startswith("-") for name in listed[-3:])


@pytest.mark.parametrize("command", ["", "data", "experiments", "weights", "cache"])
def test_each_summary_is_one_line(command):
    rows = boxed(page(command))
    assert rows and all(row[:4].strip() and len(row.split()) > 2 for row in rows), rows


@pytest.mark.parametrize("command", PAGES)
def test_meanings_are_filled_paragraphs(command):
    """In 80 columns: none wider, one left edge, and no line ends where the next word has room."""
    text = page(command)
    assert max(map(len, text.splitlines())) <= 80
    rows = [
        row for row in boxed(text) if command and command not in ("data", "experiments", "weights")
    ]
    further = [row for row in rows if row.startswith(" " * 7)]
    assert len({len(row) - len(row.lstrip()) for row in further}) <= 2  # arguments and parameters
    for row, after in zip(rows, rows[1:], strict=False):
        if after in further:
            assert len(row) + 1 + len(after.split()[0]) > 76, (row, after)


def test_examples_stand_on_lines_of_their_own():
    said = page("evaluate")
    assert "\nExamples:\n  reacgan evaluate runs/photos\n  reacgan evaluate" in said
    assert filled("A\n  b\n\nExample: reacgan x", 80) == "A b\n\nExample:\n  reacgan x"
    assert filled("Examples: reacgan a --long | reacgan b", 12) == (
        "Examples:\n  reacgan a\n      --long\n  reacgan b"
    )


def test_flags_do_not_say_that_they_are_off():
    assert "[default: False]" not in "".join(map(page, PAGES))
    assert "[default: True]" in page("experiments run")


@pytest.mark.parametrize("command", [name for name, _ in leaves(build_app())])
def test_every_option_says_what_it_means(command):
    app = dict(leaves(build_app()))[command]
    arguments = app.assemble_argument_collection(parse_docstring=True).filter_by(show=True)
    assert [each.name for each in arguments if not each.parameter.help] == []
