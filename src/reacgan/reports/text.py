"""Sanitise text of users (class names, paths, configurations), one function for each output format."""

from __future__ import annotations

import html

_IN_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in r"\`*_{}[]|#"})


def one_line(text: str) -> str:
    """For a terminal: no line breaks or control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def safe(text: str) -> str:
    """For Markdown: no character ends a cell or begins a tag."""
    return html.escape(one_line(text), quote=False).translate(_IN_MARKDOWN)


def escape(text: object) -> str:
    """For HTML: line breaks stay, other control characters become spaces."""
    return html.escape("\n".join(map(one_line, str(text).split("\n"))))


def shorten(text: str, most: int) -> str:
    """For a figure: one line, shortened in the middle, since both ends may distinguish classes."""
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}"


def file_stem(text: str) -> str:
    """For the name of a file: letters, digits and ``-_.``, 80 at most."""
    marks = "".join(mark if mark.isalnum() or mark in "-_." else " " for mark in text)
    return "-".join(marks.split())[:80]
