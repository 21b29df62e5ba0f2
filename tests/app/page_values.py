"""What the page shows, taken apart, and the values that it sends."""

from __future__ import annotations

import base64
import re
import shlex
from html import unescape

import numpy as np
from PIL import Image

from reacgan.sampling import Moves


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def content_of(html: str, name: str) -> bytes:
    """The content of a link that saves."""
    match = re.search(rf'download="[^"]*{name}" href="data:[^,]*,([^"]*)"', html)
    return base64.b64decode(match[1])


MOVES = Moves(toward=((7, 0.1 + 0.2), (8, 0.1)), along=((1, 1.5), (3, -0.25)))


SET = {
    "model": "digits-reacgan",
    "truncation": 0.8,
    "psi": 1,
    "classes": ["7", "3"],
    "count": 2,
    "seed": 4,
    "name": "mine",
    "form": "zip to save",
    "moved": False,
    "picked": None,
}


def made(handlers, **changes) -> tuple[str, str | None]:
    """The end of a data set: what is said, and the file."""
    return list(handlers.data_set("me", *{**SET, **changes}.values()))[-1]


def line_of(html: str) -> list[str]:
    """The words of the command line that is shown."""
    return shlex.split(unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", html)[1]))


def content(path):
    """Every file, byte for byte."""
    if path.is_file():
        return path.read_bytes()
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
