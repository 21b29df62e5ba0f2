"""Sheets of images in a page: their pictures cut out, their words as text that is read and reflows."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from reacgan.records import parse_json
from reacgan.reports.record import section
from reacgan.sampling.fonts import text_width, visible
from reacgan.sampling.grids import SHEET_KEY
from reacgan.text import escape

_MOST_BYTES = 16 * 2**20
_MOST_BESIDE = 3


@dataclass(frozen=True, eq=False)
class PageSheet:
    """A sheet and where its images are, as :func:`reacgan.sampling.sheet` says it."""

    image: Image.Image
    words: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        """Of the rows; empty where they have none."""
        return list(map(str, self.words.get("names", ())))

    @property
    def width(self) -> int:
        """Of a row in pixels."""
        lefts = self.words["lefts"]
        return int(lefts[-1] - lefts[0] + self.words["cell"][0])

    def row(self, row: int) -> Image.Image:
        """The images of a row."""
        left, top = self.words["lefts"][0], self.words["tops"][row]
        return self.image.crop((left, top, left + self.width, top + self.words["cell"][1]))

    def cell(self, row: int, column: int) -> Image.Image:
        """One image."""
        left, top = self.words["lefts"][column], self.words["tops"][row]
        return self.image.crop(
            (left, top, left + self.words["cell"][0], top + self.words["cell"][1])
        )


def read_sheet(path: Path) -> PageSheet | None:
    """The sheet of a PNG; None where it is none, is too large, or does not say where its images are."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        with Image.open(path, formats=["PNG"]) as opened:
            opened.load()
            words = parse_json(getattr(opened, "text", {}).get(SHEET_KEY, "null"))
            sheet = PageSheet(opened.convert("RGB"), words)
        return sheet if _fits(sheet) else None
    except (OSError, ValueError, TypeError, KeyError, Image.DecompressionBombError):
        return None


def _fits(sheet: PageSheet) -> bool:
    """Whether the words are those of this image."""
    words: Any = sheet.words
    if not isinstance(words, dict):
        return False
    numbers = [*words["lefts"], *words["tops"], *words["cell"]]
    if not all(isinstance(number, int) and 0 <= number < 100_000 for number in numbers):
        return False
    right, bottom = words["lefts"][-1] + words["cell"][0], words["tops"][-1] + words["cell"][1]
    rows = [words.get(key) for key in ("names", "ends", "cells") if words.get(key)]
    return (
        min(words["cell"]) > 0
        and right <= sheet.image.width
        and bottom <= sheet.image.height
        and all(isinstance(row, list) and len(row) == len(words["tops"]) for row in rows)
    )


def sheet_figure(sheet: PageSheet, caption: str) -> str:
    """One sheet as HTML."""
    if "cells" in sheet.words:
        return _cells(sheet, caption)
    return _rows({"": sheet}, caption)


def sheets_beside(sheets: Mapping[str, PageSheet], caption: str) -> list[str]:
    """Sheets of equal rows side by side, three at most in a figure; each row is named once.

    Args:
        sheets: by title, such as a run's name.
        caption: of all.
    """
    titles = list(sheets)
    parts = [titles[at : at + _MOST_BESIDE] for at in range(0, len(titles), _MOST_BESIDE)]
    return [_rows({title: sheets[title] for title in part}, caption) for part in parts]


def _rows(sheets: Mapping[str, PageSheet], caption: str) -> str:
    first = next(iter(sheets.values()))
    names = first.names or [""] * len(first.words["tops"])
    ends = [str(end) for end in first.words.get("ends", ())]
    titled = any(sheets)
    kind = "sheet walk" if ends else "sheet" if first.names else "sheet plain"
    kind += " several" if len(sheets) > 1 else ""
    lines = []
    if titled or any(section_heads(sheet) for sheet in sheets.values()):
        cells = "".join(_head(title, sheet) for title, sheet in sheets.items())
        side = '<div class="name"></div>' if first.names else ""
        lines.append(f'<div class="row heads">{side}{cells}{_end("") if ends else ""}</div>')
    for row, name in enumerate(names):
        label = f'<div class="name">{_name(name)}</div>' if first.names else ""
        strips = "".join(
            _strip(sheet.row(row), sheet.width, _alt(title, name, len(sheet.words["lefts"])), title)
            for title, sheet in sheets.items()
        )
        lines.append(f'<div class="row">{label}{strips}{_end(ends[row]) if ends else ""}</div>')
    widths = f"--named:{_room(names)};--ended:{_room(ends)}"
    return (
        f'<figure class="{kind}" style="--beside:{len(sheets)};{widths}">'
        f"<figcaption>{escape(caption)}</figcaption>{''.join(lines)}</figure>"
    )


def _room(names: Sequence[str]) -> str:
    """The width of a column of names, the same in all rows: as long as the longest, 9rem at most."""
    longest = max((text_width(line, 14) for name in names for line in name.split("\n")), default=0)
    return f"{min(9.0, max(2.5, round(longest / 16 + 0.7, 1)))}rem"


def section_heads(sheet: PageSheet) -> list[str]:
    """The words above the columns."""
    return [str(head) for head in sheet.words.get("heads", ())]


def _head(title: str, sheet: PageSheet) -> str:
    above = f'<div class="title">{escape(title)}</div>' if title else ""
    heads = "".join(f"<span>{escape(head)}</span>" for head in section_heads(sheet))
    width = f"max-width:{sheet.width}px"
    return f'<div class="strip" style="{width}">{above}<div class="columns">{heads}</div></div>'


def _cells(sheet: PageSheet, caption: str) -> str:
    """Images with a caption each: the first column apart."""
    lines = []
    for row, texts in enumerate(sheet.words["cells"]):
        cells = "".join(
            f'<div class="cell">{_picture(sheet.cell(row, column), str(text))}'
            f"<span>{_name(str(text))}</span></div>"
            for column, text in enumerate(texts[: len(sheet.words["lefts"])])
        )
        lines.append(f'<div class="cells">{cells}</div>')
    return (
        f'<figure class="sheet across"><figcaption>{escape(caption)}</figcaption>'
        f'<div class="wide">{"".join(lines)}</div></figure>'
    )


def _strip(image: Image.Image, width: int, alt: str, title: str) -> str:
    """A row's images; on a narrow page, where strips are below one another, its title is above each."""
    which = f'<span class="which">{escape(title)}</span>' if title else ""
    return f'<div class="strip" style="max-width:{width}px">{which}{_picture(image, alt)}</div>'


def _picture(image: Image.Image, alt: str) -> str:
    png = io.BytesIO()
    image.save(png, format="PNG", optimize=True)
    data = base64.b64encode(png.getvalue()).decode()
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img {size} src="data:image/png;base64,{data}" alt="{escape(_one_line(alt))}">'


def _name(name: str) -> str:
    return "<br>".join(escape(visible(line)) for line in name.split("\n"))


def _end(name: str) -> str:
    return f'<div class="end">{_name(name) if name else ""}</div>'


def _alt(title: str, name: str, count: int) -> str:
    return ": ".join(
        filter(None, [title, f"{count} images of {name}" if name else f"{count} images"])
    )


def _one_line(text: str) -> str:
    return ", ".join(text.split("\n"))


def same_rows(sheets: Sequence[PageSheet]) -> bool:
    """Whether rows of the sheets show the same classes."""
    return all(sheet.names and sheet.names == sheets[0].names for sheet in sheets)


def repeats(sheet: PageSheet) -> bool:
    """Whether a row shows an image twice."""
    columns = range(len(sheet.words["lefts"]))
    rows = (
        [sheet.cell(row, column).tobytes() for column in columns]
        for row in range(len(sheet.words["tops"]))
    )
    return any(len(set(cells)) < len(cells) for cells in rows)


def newest_sheet(folder: Path) -> Path | None:
    """The newest sheet of generated images in a run's samples."""
    paths = sorted(folder.glob("[0-9]*.png"))
    return paths[-1] if paths else None


def shows_same(numbers: Mapping[str, Any], sheet: Path | None) -> bool:
    """Whether the sheet among a run's pictures is the one that training drew."""
    drawn = section(section(numbers, "pictures"), "sheet")
    seen = numbers.get("images_seen")
    return (
        bool(drawn)
        and sheet is not None
        and sheet.stem == f"{seen:012d}"
        and not numbers.get("seed")
    )
