"""The parts of a report as HTML: one file, no external resources, all names escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reacgan.reports.tables import ScoreTable, html_rows
from reacgan.reports.text import escape

_STYLE = """
:root { color-scheme: light dark; --text: #1a202c; --soft: #5a6577; --line: #d9dee7;
  --ground: #ffffff; --raised: #f5f7fa; --best: #22543d; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ef; --soft: #a3adbd; --line: #3a4252;
  --ground: #14171d; --raised: #1e232c; --best: #9ae6b4; } }
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem 1rem 4rem; color: var(--text);
  background: var(--ground); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
h2 { border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; min-width: 5rem; overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; } td.number, th.number { text-align: right;
  white-space: nowrap; overflow-wrap: normal; }
td.best { font-weight: 700; color: var(--best); }
ul.protocol { color: var(--soft); margin: .2rem 0 .6rem; padding-left: 1.2rem; }
.note { background: var(--raised); border-left: 3px solid #dd8a2f; margin: .5rem 0;
  padding: .4rem .8rem; white-space: pre-wrap; }
.figures { display: grid; gap: 0 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(31rem, 100%), 1fr)); }
figure { margin: 1rem 0; } figcaption { color: var(--soft); }
img { max-width: 100%; height: auto; background: #ffffff; }
img.pixels { image-rendering: pixelated; }
"""
_MOST_BYTES = 16 * 2**20
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, parts: Sequence[str]) -> str:
    """A whole document; ``parts`` are HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


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


def picture(png: bytes, caption: str, *, pixels: bool = False) -> str:
    """An embedded image; ``pixels`` for small ones that are shown larger."""
    data = base64.b64encode(png).decode()
    kind = ' class="pixels"' if pixels else ""
    return (
        f'<figure><img{kind} src="data:image/png;base64,{data}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def picture_file(path: Path, below: Path, caption: str, *, pixels: bool = False) -> str:
    """The picture of a file, or the reason for leaving it out.

    Args:
        path: an existing file.
        below: the page names the file relative to this folder.
        caption: what it shows.
        pixels: as in :func:`picture`.
    """
    name = path.relative_to(below).as_posix()
    if path.stat().st_size > _MOST_BYTES:
        return paragraph(f"{name} is too large for this page; see the file.")
    png = path.read_bytes()
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        return note(f"{name} is not a PNG and was left out.")
    return picture(png, caption, pixels=pixels)


def figures(pictures: Sequence[str]) -> list[str]:
    """Pictures in one part, side by side where the page is wide enough; empty without pictures."""
    return [f'<div class="figures">{"".join(pictures)}</div>'] if pictures else []


def scores(table: ScoreTable) -> list[str]:
    """Each block with its protocol, then the differences between protocols."""
    parts = []
    for block in table.blocks:
        parts.append(heading(block.title, 3))
        parts.append(bullets(block.lines))
        parts += [note(f"Warning: {text}") for text in block.warnings]
        parts.append(html_rows(block.head(), block.body(), block.numbers))
        parts += [note(text) for text in block.notes]
    return parts + [paragraph(text) for text in table.differences()]
