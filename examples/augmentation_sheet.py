"""Draw a sheet of ADA: a row an operation, weak to strong, then whole presets at several p.

    python examples/augmentation_sheet.py ada.png --data folder --path images/ --resolution 64

Columns of an operation are the quantiles 0.02 to 0.98 of whatever it draws, on one image a row; the
first column is the image as it is. The filter's columns, and those of a preset, are random draws.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from reacgan.augment.ada import PRESETS, Ada
from reacgan.config import ConfigError, DataConfig
from reacgan.data import open_dataset
from reacgan.randomness import Draws
from reacgan.sampling.grids import save_png, sheet

COLUMNS = 10


class Quantiles(Draws):
    """The same quantile of every draw, but for the noise of single pixels."""

    def __init__(self, quantile: float) -> None:
        super().__init__(0, "noise", 0)
        self.quantile = torch.tensor(quantile)

    def normal(self, count: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal."""
        if len(shape) == 3:
            return super().normal(count, *shape, dtype=dtype)
        return torch.special.ndtri(self.quantile).expand(count, *shape).to(dtype)

    def uniform(self, count: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform on [low, high)."""
        return (self.quantile * (high - low) + low).expand(count, *shape)

    def integers(self, count: int, *shape: int, low: int = 0, high: int) -> Tensor:
        """Uniform integers of [low, high)."""
        return (self.quantile * (high - low) + low).floor().long().expand(count, *shape)


def rows(images: Tensor) -> tuple[list[Tensor], list[str]]:
    """Rows of pictures in [-1, 1] and their names."""
    found, names = [images[:COLUMNS]], ["images"]
    for place, name in enumerate(PRESETS["bgcfnc"]):
        augment = Ada(operations=(name,), probability=1.0)
        image = images[(3 * place + 1) % len(images)][None]
        quantiles = torch.linspace(0.02, 0.98, COLUMNS - 1).tolist()
        ways: list[Draws] = [Quantiles(quantile) for quantile in quantiles]
        if name == "filter":  # equal draws would leave its bands in balance
            ways = [Draws(0, name, column) for column in range(COLUMNS - 1)]
        changed = [augment(image, draws) for draws in ways]
        found.append(torch.cat([image, *changed]))
        names.append(name)
    for preset in ("bg", "bgc", "bgcfnc"):
        for probability in (0.2, 0.5, 0.8):
            augment = Ada(operations=preset, probability=probability)
            found.append(augment(images[:COLUMNS], Draws(0, preset, 0)))
            names.append(f"{preset}, p = {probability:g}")
    return found, names


def main() -> None:
    """Read images, write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--data", default="digits", help="data set; `reacgan data list` names them")
    parser.add_argument("--path", help="where its images are")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    given = parser.parse_args()
    data = open_dataset(
        DataConfig(
            name=given.data,
            path=given.path,
            resolution=given.resolution,
            channels=given.channels,
        ),
        "train",
    )
    spread = torch.linspace(0, len(data) - 1, COLUMNS).long()  # all classes
    images = torch.tensor(data.images[spread.numpy()]).float() / 127.5 - 1
    found, names = rows(images)
    pixels = (torch.stack(found).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    save_png(sheet(pixels, names, smallest=64), given.out)
    print(f"{given.out}: {len(names)} rows")


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
