"""Draw the sheets of docs again, in the present fonts and layout, from their own pixels and words.

    python tools/draw_sheets.py [FILE ...]

A sheet keeps in its PNG where its images are and what is written beside them, so neither the run nor the
weights are needed, and no pixel of an image changes. Files without these words stay as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from reacgan.reports.sheets import PageSheet, read_sheet
from reacgan.sampling.grids import save_png, sheet

DOCS = Path(__file__).parents[1] / "docs"


def main(files: list[Path]) -> None:
    """Draw the named sheets, or all of docs."""
    for path in files or sorted(DOCS.rglob("*.png")):
        known = read_sheet(path)
        if known is not None and "cells" not in known.words:
            save_png(drawn(known), path)
            print(path)


def drawn(known: PageSheet) -> object:
    """The same images under the same words, as a sheet is drawn now."""
    words = known.words
    images = [
        [np.asarray(known.cell(row, column)) for column in range(len(words["lefts"]))]
        for row in range(len(words["tops"]))
    ]
    pixels = torch.tensor(np.stack([np.stack(row) for row in images])).permute(0, 1, 4, 2, 3)
    options = {key: words[key] for key in ("names", "ends", "heads", "caption") if key in words}
    return sheet(pixels, **options)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
