"""Cells as an aligned table for a terminal, as Markdown, and as HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reacgan.text import escape, one_line, safe

_FEW_COLUMNS = 3


class Cell(NamedTuple):
    """The text of a cell, and whether it is the best of its column."""

    text: str
    best: bool = False


def aligned(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Lines with aligned columns: numbers right, text left; the best with a star."""
    columns = []
    for title, cells in zip(
        head, zip(*rows, strict=True) if rows else [()] * len(head), strict=True
    ):
        star = any(cell.best for cell in cells)
        texts = [one_line(cell.text) + ("*" if cell.best else " " * star) for cell in cells]
        flush = all(not text.strip() or text.lstrip("-")[:1].isdigit() for text in texts)
        texts.insert(0, one_line(title))
        width = max(map(len, texts))
        columns.append([text.rjust(width) if flush else text.ljust(width) for text in texts])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def broken(texts: Iterable[str], width: int | None) -> list[str]:
    """Each as lines of so many columns, those after its first indented; None breaks nothing."""
    lines = []
    for text in map(one_line, texts):
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        lines += (
            [text]
            if width is None
            else textwrap.wrap(
                text,
                width,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return lines


def markdown_rows(head: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: int) -> list[str]:
    """A table in Markdown whose last ``numbers`` columns are right-aligned; the best in bold."""
    lines = [[safe(text) for text in head], ["---"] * (len(head) - numbers) + ["---:"] * numbers]
    for row in rows:
        lines.append([f"**{safe(cell.text)}**" if cell.best else safe(cell.text) for cell in row])
    return [f"| {' | '.join(line)} |" for line in lines]


def html_rows(
    head: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: int, *, brief: bool = False
) -> str:
    """The same in HTML; ``brief``: of few rows, each of which a narrow page shows as a list."""
    kinds = [""] * (len(head) - numbers) + ["number"] * numbers
    top = "".join(
        f"<th{_class(kind)}>{escape(text)}</th>" for kind, text in zip(kinds, head, strict=True)
    )
    titles = [f' data-head="{escape(text)}"' * brief for text in head]
    lines = (
        "".join(
            f"<td{_class(kind, 'best' * cell.best)}{title}>{escape(cell.text)}</td>"
            for kind, title, cell in zip(kinds, titles, row, strict=True)
        )
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    kind = "wide brief" if brief else "wide pair" if len(head) <= _FEW_COLUMNS else "wide"
    return f'<div class="{kind}"><table><tr>{top}</tr>{body}</table></div>'


def _class(*kinds: str) -> str:
    names = " ".join(filter(None, kinds))
    return f' class="{names}"' if names else ""
