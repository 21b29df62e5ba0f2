"""Text from outside (class names, paths, configurations): one function for each way out."""

from __future__ import annotations

import html

_IN_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in r"\`*_{}[]|#"})


def one_line(text: str) -> str:
    """For a terminal: without line ends and control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def safe(text: str) -> str:
    """For Markdown: no character of a name ends a cell or begins a tag."""
    return html.escape(one_line(text), quote=False).translate(_IN_MARKDOWN)


def escape(text: object) -> str:
    """For HTML: lines stay, other control characters become spaces."""
    return html.escape("\n".join(map(one_line, str(text).split("\n"))))


def shorten(text: str, most: int) -> str:
    """For a figure: one line that loses its middle, since both ends may tell classes apart."""
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}"


def file_stem(text: str) -> str:
    """For the name of a file: letters, digits and ``-_.``, 80 at most."""
    marks = "".join(mark if mark.isalnum() or mark in "-_." else " " for mark in text)
    return "-".join(marks.split())[:80]
