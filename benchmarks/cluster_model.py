"""What a cycle would take on 1 to 1,024 GPUs: counted messages over published links. A model, no measurement.

    python benchmarks/communication.py --experiment cifar10/reacgan tiny_imagenet/reacgan imagenet/reacgan-2048 \\
        --classes 10 200 1000 --processes 8 --set training.accumulate=1 training.precision=float32 --out
    python benchmarks/cluster_model.py      # tables, and docs/images/performance/processes.png

The batch is that of the experiment, shared by all GPUs. The time of a cycle is

- launches: operations of a cycle x 5.5 us, whatever the share of the batch;
- multiplications / GPUs, at the rate that the convolutions of ``cifar10/reacgan`` reached on an H200;
- messages that the next layer waits for: moments of batch norm, embeddings, labels;
- what of the gradients' messages is left when the backward pass ends.

A message takes the latency of NCCL's own model (tree for all_reduce, ring for all_gather) and its bytes over
the slowest link of the ring, at that link's published peak: real times are longer, so the largest useful
number of processes is an upper bound.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.plots import FOLDER, figure

from benchmarks import harness
from reacgan.reports.palette import ACCENT, SECOND

# Of an H200 (docs/performance.md, 2026-11): a cycle of cifar10/reacgan, batch 128, 55 ms, of which 18 ms in
# convolutions and the rest in about 6,700 launches.
LAUNCH = (55e-3 - 18e-3) / 6_700
CONVOLUTIONS = 18e-3
BACKWARD = 0.55
"""Share of the backward pass (docs/performance.md, where the time goes)."""
GPUS_A_NODE = 8
USEFUL = 1.5
"""A doubling is useful if it makes a cycle at least so many times as fast."""


@dataclass(frozen=True)
class Cluster:
    """Nodes of eight GPUs. Bytes a second in one direction; seconds of a hop."""

    name: str
    within: float
    """Of each GPU."""
    across: float
    """Of each node."""
    hop_within: float
    hop_across: float


# NVLink 4: 900 GB/s of an H200 in both directions (NVIDIA's data sheet). PCIe 5 x16: 64 GB/s (PCI-SIG).
# InfiniBand NDR: 400 Gbit/s a port (NVIDIA ConnectX-7), eight ports a node (DGX H200). Ethernet: one port a
# node. Hops: NCCL's src/graph/tuning.cc, protocol LL; across TCP 15 us, an assumption.
CLUSTERS = (
    Cluster("NVLink, 8 x InfiniBand 400 Gbit/s", 450e9, 400e9, 0.52e-6, 5e-6),
    Cluster("NVLink, Ethernet 100 Gbit/s", 450e9, 12.5e9, 0.52e-6, 15e-6),
    Cluster("PCIe 5, Ethernet 100 Gbit/s", 64e9, 12.5e9, 1.0e-6, 15e-6),
    Cluster("PCIe 5, Ethernet 25 Gbit/s", 64e9, 3.125e9, 1.0e-6, 15e-6),
)


def message_seconds(cluster: Cluster, operation: str, size: float, gpus: int) -> float:
    """One message of so many bytes, from its launch to its result."""
    if gpus == 1:
        return 0.0
    nodes = ceil(gpus / GPUS_A_NODE)
    steps = gpus // nodes - 1
    hop = cluster.hop_within * (1.8 if nodes > 1 else 1.0)
    bandwidth = cluster.within if nodes == 1 else min(cluster.within, cluster.across)
    if operation == "all_reduce":
        latency = 4.4e-6 + 2 * (steps * hop + log2(nodes) * cluster.hop_across)
        times = 2.0
    else:  # a ring; a hop across is shorter there, by NCCL's model
        latency = 3.6e-6 + steps * nodes * hop + (nodes - 1) * 0.54 * cluster.hop_across
        times = 1.0
    return latency + times * size * (gpus - 1) / gpus / bandwidth


@dataclass(frozen=True)
class Cycle:
    """Seconds of a cycle by what they go to."""

    launches: float
    multiplications: float
    waiting: float
    """For moments and embeddings."""
    gradients: float
    """Left when the backward pass has ended."""

    @property
    def seconds(self) -> float:
        """Of all."""
        return self.launches + self.multiplications + self.waiting + self.gradients

    def largest(self) -> str:
        """What takes most of it."""
        return max(vars(self), key=lambda name: float(vars(self)[name]))


def cycle(
    counted: dict[str, Any], rate: float, cluster: Cluster, gpus: int, *, overlapped: bool = True
) -> Cycle:
    """The model of one experiment on so many GPUs.

    Args:
        counted: of one experiment, as ``benchmarks/communication.py`` writes it.
        rate: multiplications a second of one GPU.
        cluster: links.
        gpus: how many share the batch.
        overlapped: whether gradients are sent during the backward pass; else in one message after it.
    """
    whole = counted["multiplications"] * counted["processes"]
    launches, multiplications = counted["operations"] * LAUNCH, whole / gpus / rate
    waiting = left = 0.0
    steps = sum(row["messages"] for row in counted["rows"] if row["part"] == "labels")
    for row in counted["rows"]:
        size, operation = row["bytes"] / row["messages"], row["operation"]
        if row["part"] != "gradients":
            waiting += row["messages"] * message_seconds(cluster, operation, size, gpus)
            continue
        times = steps - 1 if row["step"] == "discriminator" else 1
        buckets = row["messages"] // times
        if not overlapped:
            left += times * message_seconds(cluster, operation, size * buckets, gpus)
            continue
        each = message_seconds(cluster, operation, size, gpus)
        backward = BACKWARD * (launches + multiplications) / steps
        left += times * max(each, buckets * each - backward)
    return Cycle(launches, multiplications, waiting, left)


def numbers(batch: int) -> list[int]:
    """1, 2, 4, ... GPUs, of which each has two samples at least."""
    return [2**power for power in range(11) if 2**power <= batch // 2]


def useful(seconds: Sequence[float]) -> int:
    """The largest number of 1, 2, 4, ... GPUs up to which each doubling is :data:`USEFUL`."""
    power = 0
    while power + 1 < len(seconds) and seconds[power] >= USEFUL * seconds[power + 1]:
        power += 1
    return 2**power


def table(name: str, counted: dict[str, Any], rate: float) -> dict[str, list[tuple[int, Cycle]]]:
    """Print the model of one experiment; cycles by cluster."""
    batch = round(counted["samples"] * counted["processes"])
    shown: dict[str, list[tuple[int, Cycle]]] = {}
    print(f"\n{name}, batch {batch:,}")
    print("| links | useful up to | then most time is | 8 | 64 | 512 | 1,024 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for cluster in CLUSTERS:
        cycles = [(gpus, cycle(counted, rate, cluster, gpus)) for gpus in numbers(batch)]
        shown[cluster.name] = cycles
        best = useful([made.seconds for _, made in cycles])
        beyond = dict(cycles).get(2 * best)
        most = "no sample is left" if beyond is None else beyond.largest()
        alone = cycles[0][1].seconds
        times = [
            f"{alone / dict(cycles)[gpus].seconds:.1f} x" if gpus in dict(cycles) else ""
            for gpus in (8, 64, 512, 1024)
        ]
        print(f"| {cluster.name} | {best} | {most} | " + " | ".join(times) + " |")
    return shown


def parts_table(name: str, counted: dict[str, Any], rate: float) -> None:
    """Print where a cycle's time goes, and what buckets and bfloat16 save."""
    half = {
        **counted,
        "rows": [
            {**row, "bytes": row["bytes"] / 2} if row["part"] == "gradients" else row
            for row in counted["rows"]
        ],
    }
    print(f"\n{name}: ms of a cycle")
    print(
        "| links | GPUs | launches | multiplications | waiting | gradients left "
        "| in one message | in bfloat16 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for cluster in CLUSTERS:
        for gpus in (8, 64):
            ours = cycle(counted, rate, cluster, gpus)
            after = cycle(counted, rate, cluster, gpus, overlapped=False)
            narrow = cycle(half, rate, cluster, gpus)
            values = [ours.launches, ours.multiplications, ours.waiting, ours.gradients]
            cells = [f"{1e3 * v:.1f}" for v in (*values, after.gradients, narrow.gradients)]
            print(f"| {cluster.name} | {gpus} | " + " | ".join(cells) + " |")


def draw(tables: dict[str, dict[str, list[tuple[int, Cycle]]]]) -> Path:
    """How many times as fast as one GPU, over GPUs; experiments side by side."""
    made, axes = figure(len(tables), width=3.2 * len(tables), height=3.0)
    styles = [(ACCENT, "-"), (ACCENT, "--"), (SECOND, "-"), (SECOND, "--")]
    for axis, (name, clusters) in zip(axes, tables.items(), strict=True):
        for (cluster, cycles), (colour, line) in zip(clusters.items(), styles, strict=True):
            gpus = [number for number, _ in cycles]
            times = [cycles[0][1].seconds / made_.seconds for _, made_ in cycles]
            axis.plot(gpus, times, line, color=colour, label=cluster, linewidth=1.5)
        axis.plot(gpus, gpus, ":", color="#b8b8b8", linewidth=1)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.set_ylim(0.5, 128)
        axis.set_xticks(gpus[::2], [f"{number:,}" for number in gpus[::2]])
        ticks = [1, 2, 4, 8, 16, 32, 64]
        axis.set_yticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("GPUs", fontsize=8)
    axes[0].set_ylabel("times as fast as one (model)", fontsize=8)
    axes[0].legend(fontsize=6.5, frameon=False, loc="upper left")
    path = FOLDER / "processes.png"
    made.savefig(path, metadata={"Software": None})
    return path


def main() -> None:
    """Print the tables of the model and draw its figure."""
    record = harness.read("communication")["experiments"]
    counted = {name: next(iter(of_number.values())) for name, of_number in record.items()}
    small = counted["cifar10/reacgan"]
    rate = small["multiplications"] * small["processes"] / CONVOLUTIONS
    print(f"{rate:.3g} multiplications a second; {1e6 * LAUNCH:.1f} us a launch")
    tables = {name: table(name, values, rate) for name, values in counted.items()}
    for name, values in counted.items():
        parts_table(name, values, rate)
    print(draw(tables))


if __name__ == "__main__":
    main()
