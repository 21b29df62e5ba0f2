"""Started by torchrun: scores of the held-out digits, written by every process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from looking_networks import Pixels

import reacgan
from reacgan import distributed
from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.devices import start_processes
from reacgan.evaluation.cache import FeatureCache

METRICS = {
    "fid": {},
    "kid": {"subsets": 5, "subset_size": 50},
    "prdc": {},
    "ifid": {},
    "is": {},
    "memorisation": {},  # its held-out images are the reference: one pass serves both
}


FREE = {"fid": {}, "kid": {"exact": True}, "prdc": {}}
"""What needs no labels."""


def unequal(config: DataConfig, held_out: ImageData) -> bool:
    """Whether processes that are given different numbers of images are refused; alone, none is."""
    count = 100 * (distributed.rank() + 1)
    images = iter(torch.tensor(held_out.images[:count]).split(50))
    try:
        reacgan.evaluate(images, config, metrics="fid", extractor=Pixels(), device="cpu")
    except ConfigError:
        return True
    return distributed.world_size() == 1


def main(folder: Path) -> None:
    start_processes("cpu")
    config = DataConfig(name="digits", resolution=8, channels=1)
    held_out = open_dataset(config, "test")
    found = []
    batches = torch.tensor(held_out.images).split(50)
    for images in (held_out, held_out.subset(slice(0, 70)), iter(batches)):
        result = reacgan.evaluate(
            images,
            config,
            metrics=METRICS if isinstance(images, ImageData) else FREE,
            extractor=Pixels(classes=10),
            cache=FeatureCache(folder / "cache"),
            device="cpu",
        )
        found += [[score.metric, score.value] for score in result.scores]
    found.append(["refused", unequal(config, held_out)])
    (folder / f"{distributed.rank()}.json").write_text(json.dumps(found))
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
