"""Time of the Fréchet distance: its matrix part four ways, and moments of many features.

    OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.metric_cases.fid

Covariances have full rank and a spectrum that falls by five orders of magnitude, as those of image
features do. Every way is given two covariances in float64 and gives tr (S T)^(1/2).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def run(count: int = 50_000, width: int = 2048, *, repeats: int = 5) -> dict[str, Any]:
    """Seconds (medians), ratios to scipy, and differences; plain JSON."""
    from reacgan.metrics.frechet import covariance_factor, frechet_distance
    from reacgan.metrics.moments import Moments

    generator = torch.Generator().manual_seed(0)
    real, fake = (_features(count, width, generator) for _ in range(2))
    first, seconds_of_moments = _timed(lambda: Moments.of(real))
    second = Moments.of(fake)
    _, seconds_of_cov = _timed(lambda: torch.cov(real.double().T))
    factor = covariance_factor(first)
    ways: dict[str, Callable[[], float]] = {
        "ours, reference factor kept": lambda: frechet_distance(first, second, factor=factor),
        "ours, nothing kept": lambda: frechet_distance(first, second),
        "eigh and eigvalsh": lambda: _distance(first, second, _by_two_eigen(first, second)),
        "scipy sqrtm": lambda: _distance(first, second, _by_scipy(first, second)),
    }
    values: dict[str, float] = {}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats):  # by turns, so that what else runs hits all of them
        for name, way in ways.items():
            if name != "scipy sqrtm" or repeat < 3:
                began, busy = time.perf_counter(), time.process_time()
                values[name] = way()
                wall[name].append(time.perf_counter() - began)
                processor[name].append(time.process_time() - busy)
    known = values["scipy sqrtm"]
    seconds = {name: statistics.median(held) for name, held in wall.items()}
    busy_seconds = {name: statistics.median(held) for name, held in processor.items()}
    return {
        "count": count,
        "width": width,
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "processor_seconds": busy_seconds,
        "times_faster_than_scipy": _ratios(seconds),
        "times_faster_than_scipy_in_processor_seconds": _ratios(busy_seconds),
        "value": known,
        "relative_difference_to_scipy": {n: abs(v / known - 1) for n, v in values.items()},
        "moments_seconds": {"ours, in blocks": seconds_of_moments, "torch.cov": seconds_of_cov},
    }


def lines(found: dict[str, Any]) -> list[str]:
    """For a terminal."""
    shown = [f"FID of {found['count']:,} x {found['width']} features, from moments on:"]
    for way, seconds in found["seconds"].items():
        busy = found["processor_seconds"][way]
        ratio = found["times_faster_than_scipy_in_processor_seconds"][way]
        apart = found["relative_difference_to_scipy"][way]
        shown.append(
            f"  {way:28}{busy:7.2f} s ({seconds:.2f} by the clock) {ratio:6.1f} x   {apart:.0e} apart"
        )
    return shown


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    return {name: seconds["scipy sqrtm"] / own for name, own in seconds.items()}


def _features(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Float32, mixed, of falling spread, and not about zero."""
    mix = torch.randn(width, width, generator=generator) / width**0.5
    mix *= torch.logspace(0, -2.5, width)[:, None]
    return torch.randn(count, width, generator=generator) @ mix + 0.4


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    held = call()
    return held, time.perf_counter() - began


def _distance(real: Any, fake: Any, trace: float) -> float:
    apart = (real.mean - fake.mean).square().sum()
    return float(apart + real.covariance.trace() + fake.covariance.trace()) - 2 * trace


def _by_two_eigen(real: Any, fake: Any) -> float:
    values, vectors = torch.linalg.eigh(real.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = root @ fake.covariance @ root
    return float(torch.linalg.eigvalsh(product).clamp_min(0).sqrt().sum())


def _by_scipy(real: Any, fake: Any) -> float:
    from scipy.linalg import sqrtm

    return float(sqrtm(real.covariance.numpy() @ fake.covariance.numpy()).real.trace())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.count, chosen.width, repeats=chosen.repeats), indent=2))
