"""The page's own parts as HTML. Every text of a model or a person passes :func:`text`."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reacgan.app.pixels import address
from reacgan.text import escape

_TEMPLATES = str.maketrans({mark: f"&#{ord(mark)};" for mark in "{}$`"})
_BLOCKY = 128
"""Images with a shorter longer side are enlarged without smoothing."""


@dataclass(frozen=True)
class Shown:
    """A picture with its words."""

    source: str
    """Its address."""
    words: str
    """Alternative text: class, seed and what else it is made of."""
    caption: str = ""


def text(value: object) -> str:
    """A text for HTML; also what the templates of the toolkit would read stays text."""
    return escape(value).translate(_TEMPLATES)


def words(value: str) -> str:
    """Words with names in them: each keeps its direction, so that Hebrew turns no number around."""
    parts = re.split("( · |, )", value)
    return "".join(
        text(part) if at % 2 or part.isascii() else f"<bdi>{text(part)}</bdi>"
        for at, part in enumerate(parts)
    )


def sheet(
    rows: Sequence[tuple[str, Sequence[Shown]]], side: int, *, label: str, picks: bool = True
) -> str:
    """Pictures in rows, each a button (with ``picks``) that the arrow keys reach.

    Args:
        rows: a name, or nothing, and its pictures.
        side: longer side of an image, in pixels of its own.
        label: of the whole, for screen readers.
        picks: whether a picture can be picked.
    """
    columns = max(len(cells) for _, cells in rows)
    named = any(name for name, _ in rows)
    parts, number = [], 0
    for name, cells in rows:
        if named:
            parts.append(f'<div class="rg-name" aria-hidden="true">{words(name)}</div>')
        for cell in cells:
            parts.append(_cell(cell, number, picks))
            number += 1
        parts += ["<span></span>"] * (columns - len(cells))
    kind = "rg-named" if named else "rg-plain"
    wide = _width([name for name, _ in rows])
    how = "; arrow keys move, Enter picks" if picks else ""
    return (
        f'<div class="rg-sheet {kind} {_sharpness(side)}" role="group" '
        f'aria-label="{text(label)}{how}" style="--columns: {columns}; --names: {wide}rem">'
        f"{''.join(parts)}</div>"
    )


def _width(names: Sequence[str]) -> float:
    """Of the column of names: for the longest word, and for a long name in three lines."""
    lengths = [max([_letters(name) / 3, *map(_letters, name.split())]) for name in names]
    return round(0.6 + 0.6 * min(max(lengths, default=0), 14), 1)


def _letters(word: str) -> int:
    """Columns of a terminal: two for a sign of Chinese and the like, none for an accent."""
    return sum(
        0 if unicodedata.combining(mark) else 1 + (unicodedata.east_asian_width(mark) in "WF")
        for mark in word
    )


def _cell(cell: Shown, number: int, picks: bool) -> str:
    image = f'<img src="{cell.source}" alt="{text(cell.words)}" title="{text(cell.words)}">'
    caption = f"<figcaption>{words(cell.caption)}</figcaption>" if cell.caption else ""
    if not picks:
        return f"<figure>{image}{caption}</figure>"
    reached = 0 if number == 0 else -1
    return (
        f'<button type="button" class="rg-cell" data-index="{number}" tabindex="{reached}" '
        f'aria-pressed="false">{image}{caption}</button>'
    )


def picture(cell: Shown, side: int, about: Sequence[str] = ()) -> str:
    """A large picture with its words below."""
    lines = "".join(f"<br>{text(line)}" for line in about)
    return (
        f'<figure class="rg-picture {_sharpness(side)}">'
        f'<img src="{cell.source}" alt="{text(cell.words)}">'
        f'<figcaption role="status"><strong>{words(cell.caption or cell.words)}</strong>{lines}'
        "</figcaption></figure>"
    )


def downloads(files: Sequence[tuple[str, str, bytes, str]]) -> str:
    """Links that save: (words, name of the file, content, kind)."""
    links = "".join(
        f'<a class="rg-link" download="{text(name)}" href="{address(content, kind)}">{text(words)}</a>'
        for words, name, content, kind in files
    )
    return f'<p class="rg-links">{links}</p>'


def command(line: str) -> str:
    """A command line with a button that copies it."""
    rows = min(4, 1 + len(line) // 60)
    return (
        '<div class="rg-command"><label>Command line that gives the same'
        f'<textarea readonly rows="{rows}" spellcheck="false">{text(line)}</textarea></label>'
        '<button type="button" class="rg-copy">Copy</button>'
        '<span role="status" class="rg-copied"></span></div>'
    )


def note(words: str) -> str:
    """A line of text, read out when it changes."""
    return f'<p class="rg-note" role="status">{text(words)}</p>'


def progress(done: int, total: int, words: str) -> str:
    """A bar with its numbers."""
    return (
        f'<div class="rg-progress"><label>{text(words)}: {done:,} of {total:,} images'
        f'<progress max="{total}" value="{done}"></progress></label></div>'
    )


def as_json(facts: dict[str, Any]) -> bytes:
    """Settings as a file."""
    return (json.dumps(facts, indent=2, ensure_ascii=True) + "\n").encode()


def _sharpness(side: int) -> str:
    return "rg-blocky" if side < _BLOCKY else "rg-smooth"
