"""Started by torchrun: scores of the held-out digits, written by every process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from looking_networks import Pixels

import reacgan
from reacgan import distributed
from reacgan.config import DataConfig
from reacgan.data import open_dataset
from reacgan.evaluation.cache import FeatureCache
from reacgan.training.engine import start_processes

METRICS = {
    "fid": {},
    "kid": {"subsets": 5, "subset_size": 50},
    "prdc": {},
    "ifid": {},
    "is": {},
    "memorisation": {},  # its held-out images are the reference: one pass serves both
}


def main() -> None:
    folder = Path(sys.argv[1])
    start_processes("cpu")
    config = DataConfig(name="digits", resolution=8, channels=1)
    held_out = open_dataset(config, "test")
    found = []
    for images in (held_out, held_out.subset(slice(0, 70))):  # the second fills two chunks
        result = reacgan.evaluate(
            images,
            config,
            metrics=METRICS,
            extractor=Pixels(classes=10),
            cache=FeatureCache(folder / "cache"),
            device="cpu",
        )
        found += [[score.metric, score.value] for score in result.scores]
    (folder / f"{distributed.rank()}.json").write_text(json.dumps(found))
    distributed.leave()


if __name__ == "__main__":
    main()
