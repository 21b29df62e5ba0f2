"""The parts of a report as HTML: one file, no external resources, all names escaped."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from reacgan.reports.cells import html_rows
from reacgan.reports.sheets import read_sheet, sheet_figure
from reacgan.reports.tables import ScoreTable
from reacgan.sampling.fonts import FOLDER, font_of
from reacgan.text import escape

_STYLE = """
:root { color-scheme: light dark; --text: #1a202c; --soft: #5a6577; --line: #d9dee7;
  --ground: #ffffff; --raised: #f3f6fa; --best: #22543d; --mark: #b45309; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ef; --soft: #a3adbd; --line: #3a4252;
  --ground: #14171d; --raised: #1e232c; --best: #9ae6b4; --mark: #f0a44b; }
  img.plot { filter: invert(1) hue-rotate(180deg) brightness(.93); mix-blend-mode: screen; } }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1rem 4rem; color: var(--text);
  background: var(--ground); font: 16px/1.5 system-ui, sans-serif; font-family: FAMILIES;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.4rem; }
h3 { font-size: 1rem; } h2 { border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
.lead { margin: 1rem 0 1.5rem; max-width: 60rem; }
.lead dt { font-weight: 600; } .lead dd { margin: 0 0 .7rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums;
  font-size: .94rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; min-width: 5rem; overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; } td.number, th.number { text-align: right;
  white-space: nowrap; overflow-wrap: normal; }
td.best { font-weight: 700; color: var(--best); }
ul.protocol { color: var(--soft); margin: .2rem 0 .6rem; padding-left: 1.2rem; }
.brief th, .brief td { min-width: 3.2rem; white-space: normal; }
code { background: var(--raised); padding: .1rem .3rem; border-radius: .2rem; font-size: .9em; }
.note { background: var(--raised); border-left: 3px solid var(--mark); margin: .5rem 0;
  padding: .4rem .8rem; white-space: pre-wrap; }
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: .4rem; }
summary { cursor: pointer; padding: .45rem .8rem; color: var(--soft); }
summary:focus-visible { outline: 2px solid var(--mark); }
details > :not(summary) { margin-left: .8rem; margin-right: .8rem; }
.figures { display: grid; gap: 0 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); }
.across { grid-column: 1 / -1; } figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .94rem; max-width: 60rem; }
img { max-width: 100%; height: auto; background: #ffffff; vertical-align: top; }
img.pixels { image-rendering: pixelated; }
.broad { overflow-x: auto; } .broad img { max-width: none; width: 100%; min-width: 44rem; }
.sheet figcaption { margin-bottom: .4rem; }
.row { display: grid; gap: .15rem .6rem; align-items: center; margin-bottom: .15rem;
  grid-template-columns: minmax(3rem, max-content) repeat(var(--beside), minmax(0, 1fr)); }
.walk .row { grid-template-columns: var(--named) minmax(0, 26rem) var(--ended); }
.plain .row { grid-template-columns: repeat(var(--beside), minmax(0, 1fr)); }
.row .name, .row .end { font-size: .9rem; line-height: 1.25; }
.sheet:not(.walk) .name { width: var(--named); }
.strip img { width: 100%; } .which { display: none; color: var(--soft); font-size: .78rem; }
.heads { align-items: end; color: var(--soft); font-size: .78rem; }
.heads .title { color: var(--text); font-size: .9rem; font-weight: 600; }
.columns { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr);
  text-align: center; overflow: hidden; white-space: nowrap; }
.cells { display: flex; gap: .3rem; margin-bottom: .5rem; font-size: .78rem; line-height: 1.25; }
.cell { flex: 0 1 5.2rem; min-width: 4.2rem; } .cell:first-child { margin-right: .8rem; }
.cells img { width: 100%; }
.cells span { display: block; overflow-wrap: break-word; }
@media (max-width: 40rem) { .row, .plain .row { grid-template-columns: minmax(0, 1fr); }
  .walk .row { grid-template-columns: 1fr 1fr; } .walk .end { text-align: right; grid-row: 1;
  grid-column: 2; } .walk .strip { grid-column: 1 / 3; grid-row: 2; }
  .walk .heads .name, .walk .heads .end { display: none; }
  .sheet:not(.walk) .name { width: auto; margin-top: .4rem; }
  .several .which { display: block; } .several .heads .title { display: none; }
  .several .heads .strip ~ .strip { display: none; }
  .pair th, .pair td { min-width: 0; padding: .25rem .3rem; } .pair .number { white-space: normal; }
  .brief tr:first-child { display: none; } .brief tr { display: block; margin-bottom: .8rem; }
  .brief table, .brief tbody { display: block; } .brief td { display: flex; gap: 1rem;
  justify-content: space-between; padding: .15rem 0; } .brief td:empty { display: none; }
  .brief td::before { content: attr(data-head); color: var(--soft); font-weight: 400; }
  .cells { flex-wrap: wrap; margin-bottom: 1rem; } .cell { flex: 0 0 min(9rem, 33% - .25rem); }
  .cell:first-child { margin-right: 0; } .cell:first-child img { outline: 2px solid var(--mark); }
  .row.heads .name { display: none; } body { padding: .5rem .7rem 3rem; } }
"""
Kind = Literal["image", "plot", "pixels"]
_BROAD = 700
_OURS = "reacgan "
_USUAL, _BESIDE = 0x24F, " 0123456789\u200c\u200d\u25cc"
_MOST_BYTES = 16 * 2**20
_POLICY = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'"
_FAMILIES = (
    *("system-ui", "sans-serif"),
    *('"PingFang SC"', '"Microsoft YaHei"', '"Malgun Gothic"', '"Noto Sans CJK SC"'),
)
"""The reader's fonts come first; those of the page have what they lack."""
_EMOJI = {"NotoEmoji-Regular": ("Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji")}
"""Font of the page: those of the reader that are better. Chromium draws empty boxes in some sizes where a
font of emoji stands behind its own, so it comes first, for its signs alone."""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole document; ``parts`` are HTML."""
    body = f"<h1>{escape(title)}</h1>\n" + "\n".join(parts)
    faces = _faces(body)
    first = [name for name in faces if name.removeprefix(_OURS) in _EMOJI]
    rest = [name for name in faces if name not in first]
    families = ", ".join([*map(_quoted, first), *_FAMILIES, *map(_quoted, rest)])
    style = "".join(faces.values()) + _STYLE.replace("FAMILIES", families)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _faces(text: str) -> dict[str, str]:
    """Rules with the parts of our fonts that draw a page's unusual signs, by name; a few kB each.

    Cut by fonttools, which comes with matplotlib; without it the reader's own fonts must do.
    """
    signs: dict[Path, set[str]] = {}
    for sign in sorted({sign for sign in text if ord(sign) > _USUAL}):
        if (font := font_of(sign)) is not None and font.parent == FOLDER:
            signs.setdefault(font, set()).add(sign)
    try:
        from fontTools import subset  # noqa: PLC0415
    except ImportError:
        return {}
    faces = {}
    for font, wanted in signs.items():
        options = subset.Options(layout_features=["*"], notdef_outline=True)
        loaded = subset.load_font(str(font), options)
        cutter = subset.Subsetter(options)
        cutter.populate(text="".join(sorted(wanted)) + _BESIDE)
        cutter.subset(loaded)
        file = io.BytesIO()
        loaded.save(file)
        data = base64.b64encode(file.getvalue()).decode()
        name = f"{_OURS}{font.stem}"
        better = "".join(f'local("{other}"), ' for other in _EMOJI.get(font.stem, ()))
        source = f"src: {better}url(data:font/ttf;base64,{data})"
        signs_of = ", ".join(f"U+{ord(sign):X}" for sign in wanted)
        only = f" unicode-range: {signs_of};" if better else ""
        faces[name] = f'@font-face {{ font-family: "{name}"; {source};{only} }}\n'
    return faces


def _quoted(name: str) -> str:
    return f'"{name}"'


def heading(text: str, level: int = 2) -> str:
    """``<h2>``."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """``<p>``."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """A warning."""
    return f'<div class="note">{escape(text)}</div>'


def facts(values: Mapping[str, object]) -> str:
    """Names and values, one a line."""
    rows = (
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in values.items()
    )
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def bullets(lines: Iterable[str]) -> str:
    """The facts of a protocol, one a line."""
    return f'<ul class="protocol">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def lead(said: Sequence[tuple[str, str]]) -> str:
    """Questions and their answers in plain words."""
    pairs = "".join(f"<dt>{escape(what)}</dt><dd>{_marked(text)}</dd>" for what, text in said)
    return f'<dl class="lead">{pairs}</dl>'


def _marked(text: str) -> str:
    """Commands between backticks are set as such."""
    return re.sub(r"`([^`<]+)`", r"<code>\1</code>", escape(text))


def folded(title: str, parts: Sequence[str]) -> list[str]:
    """Parts that are shown when their title is clicked; nothing without parts."""
    if not parts:
        return []
    return [f"<details><summary>{escape(title)}</summary>\n" + "\n".join(parts) + "</details>"]


def picture(png: bytes, caption: str, *, kind: Kind = "image", below: str | None = None) -> str:
    """An embedded image.

    Args:
        png: of the image.
        caption: what it shows.
        below: the words below it, where a title in the picture says a part of the caption; None for all
            of it.
        kind: ``plot``: a figure, drawn to be read at its own size, inverted on a dark page; ``pixels``: of
            small images that are shown larger.
    """
    data = base64.b64encode(png).decode()
    shown = "" if kind == "image" else f' class="{kind}"'
    width, attributes = _shown_size(png) if kind == "plot" else (0, "")
    broad = ' class="broad"' if width > _BROAD else ""
    words = caption if below is None else below
    said = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return (
        f'<figure{broad}><img{shown}{attributes} src="data:image/png;base64,{data}" '
        f'alt="{escape(caption)}">{said}</figure>'
    )


def _shown_size(png: bytes) -> tuple[int, str]:
    """The width of a figure in the page, and it as attributes: its inches at 96 to each."""
    try:
        with Image.open(io.BytesIO(png)) as opened:
            dots = float(opened.info.get("dpi", (96.0, 96.0))[0]) or 96.0
            width, height = (round(side * 96 / dots) for side in opened.size)
    except (OSError, ValueError, TypeError):
        return 0, ""
    return width, f' width="{width}" height="{height}"'


def picture_file(path: Path, below: Path, caption: str, *, kind: Kind = "image") -> str:
    """The picture of a file, a sheet with its words as text, or the reason for leaving it out.

    Args:
        path: an existing file.
        below: the page names the file relative to this folder.
        caption: what it shows.
        kind: as in :func:`picture`.
    """
    name = path.relative_to(below).as_posix()
    if path.stat().st_size > _MOST_BYTES:
        return paragraph(f"{name} is too large for this page; see the file.")
    if (sheet := read_sheet(path)) is not None:
        return sheet_figure(sheet, caption)
    png = path.read_bytes()
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        return note(f"{name} is not a PNG and was left out.")
    return picture(png, caption, kind=kind)


def figures(pictures: Sequence[str]) -> list[str]:
    """Pictures in one part, side by side where the page is wide enough; empty without pictures."""
    return [f'<div class="figures">{"".join(pictures)}</div>'] if pictures else []


def scores(table: ScoreTable, said: str = "") -> list[str]:
    """Each block with its protocol folded, then the differences between protocols.

    ``said``: warnings with these words are left out, since the page has said so.
    """
    parts = []
    for block in table.blocks:
        parts.append(heading(block.title, 3))
        warnings = [text for text in block.warnings if not (said and said in text)]
        parts += [note(f"Warning: {text}") for text in warnings]
        parts.append(html_rows(block.head(), block.body(), block.numbers))
        parts += folded("How it was measured", [bullets(block.lines)])
        parts += folded(f"Notes ({len(block.notes)})", [note(text) for text in block.notes])
    return parts + [paragraph(text) for text in table.differences()]
