"""Text that comes from outside, on every way out: terminal, Markdown, HTML, JSON, names of files.

Class names, file names, names of experiments, licences and notes are data of others. Escaped here they
move no cursor, begin no line, heading, link, tag or folder of their own, and hide or turn around nothing.
What a reader sees of an odd character is its code, so that two names that differ look different. Values in
JSON and in tables stay exact.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any

_IN_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in r"\`*_{}[]|#~$"})
_JOINERS = "\u200c\u200d"
"""Of letters in Persian and Hindi, and of emoji; nothing is hidden by them."""
_DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)
"""Names reserved by Windows, with or without an extension."""
_FORBIDDEN = frozenset('<>:"/\\|?*~')
"""By Windows, in names; and the ~ that sets marked names of classes apart."""
_NAME_BYTES, _STEM_BYTES = 200, 160
"""Of the name of a folder, and of a part of a file's; what is put before or after it has room in 255."""


def one_line(text: str) -> str:
    r"""For a line on a terminal: white space is a space, other control characters are their codes.

    Codes are those of Python and JSON, as ``\x1b`` and ``\u202e`` (which turns the direction around).
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def plain_lines(text: str) -> str:
    """For several lines on a terminal: as :func:`one_line`, but line breaks and tabs stay."""
    if "\n" not in text and "\t" not in text:
        return one_line(text)
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def safe(text: str) -> str:
    """For Markdown, within a line: no character ends a cell or begins a tag, a link or a heading."""
    return html.escape(one_line(text), quote=False).translate(_IN_MARKDOWN)


def code(text: str) -> str:
    """For Markdown, in letters of one width, also within tables."""
    text = one_line(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text[:1] in ("`", "") or text[-1:] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}"


def code_block(text: str, language: str = "") -> str:
    """For Markdown, several lines as they are."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{plain_lines(text)}\n{fence}"


def escape(text: object) -> str:
    """For HTML: line breaks stay, other control characters as in :func:`one_line`."""
    return html.escape("\n".join(map(one_line, str(text).split("\n"))))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """For JSON that people read too: letters stay letters, and what :func:`one_line` hides is escaped.

    Raises:
        TypeError, ValueError: as :func:`json.dumps`; NaN and infinity are refused.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return "".join(
        mark if mark == "\n" or mark.isprintable() or mark in _JOINERS else json.dumps(mark)[1:-1]
        for mark in text
    )


def shorten(text: str, most: int) -> str:
    """For a figure: one line, shortened in the middle, since both ends may distinguish classes."""
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}"


def file_stem(text: str) -> str:
    """For the name of a file: letters with their signs, digits and ``-_.``, 80 and 160 bytes at most."""
    composed = unicodedata.normalize("NFC", text)
    marks = "".join(mark if _in_words(mark) or mark in "-_." else " " for mark in composed)
    stem = file_name("-".join(marks.split())[:80]).encode()[:_STEM_BYTES].decode(errors="ignore")
    return stem.lstrip(".-").rstrip(" .") or "unnamed"


def file_name(text: str) -> str:
    """The name as Windows, macOS and Linux all take it, at most 200 bytes; may be empty.

    What one of them forbids, ``~`` and what hides or turns around is ``_``; dots and blanks at the ends go;
    reserved names get a ``_``.
    """
    marks = map(_in_names, unicodedata.normalize("NFC", text))
    kept = "".join(marks).encode()[:_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"_{kept}" if _DEVICES.fullmatch(kept.partition(".")[0].strip()) else kept


def _in_words(mark: str) -> bool:
    """Of letters, the signs that belong to them (as vowels in Hindi), digits, and joiners."""
    return unicodedata.category(mark)[0] in "LMN" or mark in _JOINERS


def _in_names(mark: str) -> str:
    if unicodedata.category(mark) == "Zs":
        return " "
    return mark if mark not in _FORBIDDEN and (mark.isprintable() or mark in _JOINERS) else "_"


def _visible(mark: str) -> str:
    if mark.isprintable() or mark in _JOINERS:
        return mark
    return " " if mark.isspace() else ascii(mark)[1:-1]
