"""How near a training step comes to what the machine can do, room by room.

    python benchmarks/roofline.py

First the machine: its rate of float32 multiplications in a large matrix product and in the best of some
convolutions, and its rate of moving memory (copy and a + s b, arrays larger than the cache). Then each
room of the step: counted multiplications and bytes (benchmarks/counting.py), median time, and two limits:

- ``of_multiplications``: the time that the multiplications alone would take at the better of the two rates;
- ``of_limit``: for each operation the longer of its multiplications and its bytes, added up: what these
  very operations would take if each reached one of the two rates. Operations that find their input in
  the cache can be faster, so this is a guide, not a bound.

The share reached is limit / measured.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness

CASES = [[32, 64], [96, 16]]


def rate_of(call: Callable[[], Any], amount: float, *, seconds: float = 0.6) -> float:
    """The best of several: amount a second. Others can only take away from it."""
    call()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return amount / best


def machine(size: int = 3072) -> dict[str, float]:
    """Measured rates: multiplications and bytes a second."""
    import torch
    from torch.nn import functional as F

    left, right = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    found = {"matrix": rate_of(lambda: torch.mm(left, right, out=out), size**3)}
    best = 0.0
    for channels, side, batch in ((64, 32, 64), (128, 32, 32), (256, 16, 64), (384, 16, 16)):
        images = torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3).to(memory_format=torch.channels_last)
        amount = batch * side**2 * 9 * channels**2
        with torch.no_grad():
            best = max(best, rate_of(lambda i=images, w=weight: F.conv2d(i, w, padding=1), amount))
    found["convolution"] = best
    count = 48 * 2**20  # 192 MiB each
    a, b, c = (torch.full((count,), 1.0) for _ in range(3))
    found["copy"] = rate_of(lambda: a.copy_(b), 2 * 4 * count)
    found["triad"] = rate_of(lambda: torch.add(b, c, alpha=2.0, out=a), 3 * 4 * count)
    return found


def rooms(width: int, batch: int, repeats: int, rates: dict[str, float]) -> dict[str, Any]:
    """Of each room: multiplications, bytes, operations, seconds, and the shares reached."""
    from benchmarks.counting import Count
    from benchmarks.workloads import cifar_reacgan, cycle_of, trainer_of
    from benchmarks.workrooms import rooms_of

    trainer = trainer_of(cifar_reacgan(width, batch), device="cpu")
    cycle = cycle_of(trainer)
    cycle()
    multiply = max(rates["matrix"], rates["convolution"])
    move = max(rates["copy"], rates["triad"])
    found: dict[str, Any] = {}
    for name, room in rooms_of(trainer):
        with Count(multiply, move) as count:
            room()
        found[name] = {
            "multiplications": count.multiplications,
            "bytes": count.bytes,
            "operations": count.operations,
            "limit_seconds": count.least_seconds,
        }
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        for name, room in rooms_of(trainer):
            spent[name] += harness.timed(room, 1, warm=0)["seconds"]
    whole = harness.timed(cycle, repeats)
    for name, held in found.items():
        held["seconds"] = statistics.median(spent[name])
    total = {key: sum(held[key] for held in found.values()) for key in next(iter(found.values()))}
    total["rooms_seconds"] = total["seconds"]
    total["seconds"] = statistics.median(whole["seconds"])
    found["whole cycle"] = total
    for held in found.values():
        held["of_multiplications"] = held["multiplications"] / multiply / held["seconds"]
        held["of_limit"] = held["limit_seconds"] / held["seconds"]
    return found


def main() -> None:
    """Measure the machine and the rooms; write JSON and print a table."""
    parser = harness.options(__doc__)
    given = parser.parse_args()
    import torch

    rates = machine()
    print(
        f"{torch.get_num_threads()} threads; {rates['matrix'] / 1e9:.0f} G multiplications/s in a matrix "
        f"product, {rates['convolution'] / 1e9:.0f} in a convolution; {rates['copy'] / 1e9:.1f} GB/s "
        f"copied, {rates['triad'] / 1e9:.1f} in a + s b"
    )
    cases = {}
    for width, batch in CASES[: 1 if given.quick else None]:
        cases[f"width {width}, batch {batch}"] = rooms(width, batch, harness.turns_of(given), rates)
    for name, case in cases.items():
        print(
            f"\n{name:24}{'G mult.':>9}{'GB':>8}{'ops':>6}{'s':>9}{'of mult.':>10}{'of limit':>10}"
        )
        for room, held in case.items():
            print(
                f"{room:24}{held['multiplications'] / 1e9:9.2f}{held['bytes'] / 1e9:8.2f}"
                f"{held['operations']:6}{held['seconds']:9.4f}{held['of_multiplications']:10.0%}"
                f"{held['of_limit']:10.0%}"
            )
    record = {"threads": torch.get_num_threads(), "rates": rates, "cases": cases}
    harness.write("roofline", record, given.out)


if __name__ == "__main__":
    main()
