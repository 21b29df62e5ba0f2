"""Cells as aligned text and as Markdown; what people named may hold any character."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

TINY = 1e-3
"""Below it, a number is given by three significant digits."""


class Cell(NamedTuple):
    """The text of a cell, and whether it is the best of its column."""

    text: str
    best: bool = False


def aligned(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Lines with columns aligned: numbers right, all else left; the best with a star."""
    cells = [[one_line(text) for text in head]]
    marked = [any(row[place].best for row in rows) for place in range(len(head))]
    cells += [
        [one_line(cell.text) + ("*" if cell.best else " " * any_best) for cell, any_best in pairs]
        for pairs in (list(zip(row, marked, strict=True)) for row in rows)
    ]
    widths = [max(map(len, held)) for held in zip(*cells, strict=True)]
    right = [
        all(not row[place].strip() or row[place].lstrip("-")[:1].isdigit() for row in cells[1:])
        for place in range(len(widths))
    ]
    return [
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]


def markdown_rows(head: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: int) -> list[str]:
    """A table in Markdown whose last ``numbers`` columns are flush right; the best in bold."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    cells = [[safe(text) for text in head], rule]
    for row in rows:
        cells.append([f"**{safe(cell.text)}**" if cell.best else safe(cell.text) for cell in row])
    return [f"| {' | '.join(row)} |" for row in cells]


def one_line(text: str) -> str:
    """Without line ends and control characters, which would break a table or a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def safe(text: str) -> str:
    """For Markdown: no character of a name ends a cell or begins a tag."""
    return "".join(
        html.escape(letter)
        if letter in "<>&"
        else f"\\{letter}"
        if letter in r"\`*_{}[]|#"
        else letter
        for letter in one_line(text)
    )
