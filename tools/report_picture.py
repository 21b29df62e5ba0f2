"""Draw docs/images/report.png: what a reader sees first of a report.

    python tools/report_picture.py RUN

Needs playwright and a Chromium (on PATH, or that of playwright). The committed picture is of
``reacgan train digits/reacgan --out runs/digits``, stopped at 52,416 of its 150,000 images, and
``reacgan evaluate runs/digits --extractor domain --num 2000``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import reacgan

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "report.png"
_SIZE = {"width": 900, "height": 1105}
_COLOURS = 128


def main(run: str) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(reacgan.report(run, out=Path(folder) / "report.html"))
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=_SIZE, color_scheme="light")
        page.goto(page_file.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()
    with Image.open(PICTURE) as drawn:
        drawn.convert("RGB").quantize(_COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
