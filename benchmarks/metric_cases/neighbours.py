"""Time and memory of precision, recall, density and coverage: ours, the package prdc, the textbook.

    taskset -c 1 python -m benchmarks.metric_cases.neighbours
    PRDC_PYTHON=/some/env/bin/python taskset -c 1 python -m benchmarks.metric_cases.neighbours --large 50000

Every way runs in a process of its own with one thread, on the same float32 features from files, so its
peak memory is its own; ``beside_features`` is what it needs beyond Python, its packages and the features.
``PRDC_PYTHON`` names an interpreter that has prdc; without one, that way is left out. The textbook is
its algorithm in plain numpy: whole matrices in float64, and ``argpartition``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.harness import peak_mib

K = 5
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(count: int = 10_000, width: int = 2048, *, large: int = 0) -> dict[str, Any]:
    """Seconds, peak memory (MB) and values of each way, and ratios; plain JSON.

    ``large``: ours alone, once more, with so many images on each side.
    """
    found: dict[str, Any] = {"count": count, "width": width, "k": K, "threads": 1, "ways": {}}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), count, width)
        for way in WAYS:
            found["ways"][way] = in_own_process(way, folder)
        if large:
            write(Path(folder), large, width)
            found["large"] = {"count": large, **in_own_process("ours", folder)}
    ours = found["ways"]["ours"]
    found["ours_is_better_by"] = {
        way: {name: held[name] / ours[name] for name in MEASURED}
        for way, held in found["ways"].items()
        if way != "ours" and "skipped" not in held
    }
    return found


def write(folder: Path, count: int, width: int) -> None:
    """Features whose spectrum falls, as those of image networks do; the fakes a little narrower."""
    import numpy as np

    random = np.random.default_rng(0)
    scales = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    for name, spread in (("real", 1.0), ("fake", 0.95)):
        features = random.standard_normal((count, width), dtype=np.float32)
        features *= scales * np.float32(spread)
        np.save(folder / f"{name}.npy", features)


def in_own_process(way: str, folder: str) -> dict[str, Any]:
    python = os.environ.get("PRDC_PYTHON", sys.executable) if way == "prdc" else sys.executable
    command = [python, str(Path(__file__)), "--way", way, "--folder", folder]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD}
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        return {"skipped": reason[-1] if reason else f"exit code {done.returncode}"}
    held: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return held


def measure(way: str, folder: Path) -> dict[str, Any]:
    """One way, in this process."""
    import numpy as np

    call = WAYS[way]()
    real, fake = np.load(folder / "real.npy"), np.load(folder / "fake.npy")
    before = peak_mib()
    began, busy = time.perf_counter(), time.process_time()
    values = call(real, fake)
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - busy,
        "peak_megabytes": peak_mib(),
        "beside_features_megabytes": peak_mib() - before,
        "values": {name: float(value) for name, value in values.items()},
    }


def ours() -> Any:
    from dataclasses import asdict

    import torch

    from reacgan.metrics.prdc import prdc

    torch.set_num_threads(1)
    return lambda real, fake: asdict(prdc(torch.from_numpy(real), torch.from_numpy(fake), k=K))


def package() -> Any:
    from prdc import compute_prdc

    return lambda real, fake: compute_prdc(real, fake, K)


def textbook() -> Any:
    import numpy as np

    def distances(left: Any, right: Any) -> Any:
        squared = left @ right.T
        squared *= -2
        squared += np.square(left).sum(1)[:, None]
        squared += np.square(right).sum(1)
        np.maximum(squared, 0, out=squared)
        return np.sqrt(squared, out=squared)

    def radii(samples: Any) -> Any:
        table = distances(samples, samples)
        np.fill_diagonal(table, 0)
        places = np.argpartition(table, K + 1, axis=1)[:, : K + 1]
        return np.take_along_axis(table, places, 1).max(1)

    def call(real: Any, fake: Any) -> dict[str, Any]:
        real, fake = real.astype(np.float64), fake.astype(np.float64)
        real_radii, fake_radii = radii(real), radii(fake)
        between = distances(real, fake)
        inside = between <= real_radii[:, None]
        return {
            "precision": inside.any(0).mean(),
            "recall": (between <= fake_radii).any(1).mean(),
            "density": inside.sum(0).mean() / K,
            "coverage": inside.any(1).mean(),
        }

    return call


WAYS = {"ours": ours, "prdc": package, "textbook": textbook}
MEASURED = ("seconds", "processor_seconds", "peak_megabytes", "beside_features_megabytes")


def lines(found: dict[str, Any]) -> list[str]:
    """For a terminal."""
    shown = [f"{found['count']} real and fake features of {found['width']}, k={K}, one thread:"]
    ways = {**found["ways"], **({"ours, large": found["large"]} if "large" in found else {})}
    for way, held in ways.items():
        if "skipped" in held:
            shown.append(f"  {way:12} left out: {held['skipped']}")
            continue
        times = f"{held['processor_seconds']:8.1f} s ({held['seconds']:.1f} by the clock)"
        memory = f"{held['peak_megabytes']:8.0f} MB, {held['beside_features_megabytes']:.0f} beside"
        shown.append(f"  {way:12}{times}{memory} the features")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(measure(asked.way, asked.folder)))
        return
    found = run(asked.count, asked.width, large=asked.large)
    print(json.dumps(found, indent=2))
    print("\n".join(lines(found)), file=sys.stderr)


if __name__ == "__main__":
    main()
