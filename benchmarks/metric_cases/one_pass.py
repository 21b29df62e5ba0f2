"""What it saves that all metrics share one pass: each alone beside all together."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

METRICS = ("fid", "kid", "is", "prdc", "ifid")


def run(repeats: int = 3) -> dict[str, Any]:
    """Seconds of each metric alone, of all together, and again with the reference kept."""
    import reacgan
    from reacgan.config import DataConfig
    from reacgan.data import open_dataset
    from reacgan.evaluation import FeatureCache
    from reacgan.extractors import build_extractor

    config = DataConfig(name="digits", resolution=8, channels=1)
    train, held_out = open_dataset(config, "train"), open_dataset(config, "test")
    options = {"epochs": 1.0, "width": 64}
    found: dict[str, list[float]] = {"each alone": [], "together": [], "reference kept": []}
    with tempfile.TemporaryDirectory() as folder:
        network = build_extractor(
            "domain", options, train=train, held_out=held_out, cache=Path(folder)
        )
        for repeat in range(repeats):

            def seconds(metrics: Any, name: str) -> float:
                began = time.perf_counter()
                cache = FeatureCache(Path(folder) / name)
                reacgan.evaluate(
                    held_out, train, metrics=metrics, extractor=network, cache=cache, device="cpu"
                )
                return time.perf_counter() - began

            wanted = {name: {"subset_size": 200} if name == "kid" else {} for name in METRICS}
            alone = [seconds({name: wanted[name]}, f"{name}{repeat}") for name in METRICS]
            found["each alone"].append(sum(alone))
            found["together"].append(seconds(wanted, f"all{repeat}"))
            found["reference kept"].append(seconds(wanted, f"all{repeat}"))
    return {
        "images": len(held_out),
        "reference": len(train),
        "metrics": list(METRICS),
        "seconds": {name: statistics.median(times) for name, times in found.items()},
    }


def lines(found: dict[str, Any]) -> list[str]:
    """For a terminal."""
    seconds = found["seconds"]
    return [
        "",
        f"{', '.join(found['metrics'])} of {found['images']} images:",
        *(f"  {name:24} {value:8.2f} s" for name, value in seconds.items()),
    ]
