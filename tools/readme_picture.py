"""Draw docs/images/generated.jpg: what two of the trained models of this repository generate.

python tools/readme_picture.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageOps

import reacgan

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "generated.jpg"

_SIDE, _GAP, _COLUMNS = 64, 3, 14
_SIGNS = "238CGLPTXbkΨЖ&"
_ROWS = ("horse", "ship", "truck", "automobile")


def main() -> None:
    """Write the picture."""
    signs = reacgan.load(ROOT / "weights" / "glyphs-reacgan", device="cpu")
    cifar = reacgan.load(ROOT / "weights" / "cifar10-reacgan-early", device="cpu")
    rows = [[drawn(s.image) for s in reacgan.sample(cifar, name, num=_COLUMNS)] for name in _ROWS]
    writing = [
        ImageOps.invert(drawn(s.image))
        for seed, sign in enumerate(_SIGNS)
        for s in reacgan.sample(signs, sign, num=1, seed=seed)
    ]
    step = _SIDE + _GAP
    sheet = Image.new(
        "RGB", (_COLUMNS * step - _GAP, (len(rows) + 1) * step - _GAP), (255, 255, 255)
    )
    for y, row in enumerate([*rows, writing]):
        for x, tile in enumerate(row):
            sheet.paste(tile, (x * step, y * step))
    sheet.save(PICTURE, quality=92, subsampling=0, optimize=True)


def drawn(image: torch.Tensor) -> Image.Image:
    """A uint8 image ``[channels, side, side]`` at the size of a tile, smoothly."""
    pixels = image.squeeze(0) if len(image) == 1 else image.permute(1, 2, 0)
    return (
        Image.fromarray(pixels.numpy())
        .convert("RGB")
        .resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    )


if __name__ == "__main__":
    main()
