"""Does training in bfloat16 end where training in float32 does? Losses and scores of the same runs, seed by seed.

    python benchmarks/bfloat16.py --data CIFAR10 [--images 19200 --seeds 0 1 2 --out FILE]

Trains each experiment in both precisions at each seed, and scores it by the in-domain classifier (the average
with statistics of its own, 2,000 fakes). Two precisions agree where the 95 % interval of the difference of
their means holds 0 (Student's, equal numbers of seeds). Losses are means over the last quarter of
the journal. What is done is kept in --out and not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

PRECISIONS = ("float32", "bfloat16")
LOSSES = ("d/adversarial", "d/conditioning", "g/adversarial", "g/conditioning")
METRICS = "fid,prdc,accuracy"
STUDENT = {2: 4.303, 4: 2.776, 6: 2.447, 8: 2.306, 10: 2.228}
"""97.5 % quantiles by degrees of freedom."""


def trained(name: str, precision: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One run and its scores."""
    import reacgan
    from benchmarks import harness
    from reacgan.evaluation.scoring import Request, score
    from reacgan.history import read_records
    from reacgan.hub import find_states

    experiment = reacgan.experiment(name).replace(
        **{
            "training.precision": precision,
            "training.seed": seed,
            "training.images": given.images,
            "report.journal_every": given.images // 40,
            "report.checkpoint_every": given.images,
            **({"data.path": str(given.data)} if name.startswith("cifar10") else {}),
        }
    )
    folder = given.work / f"{name.replace('/', '-')}-{precision}-{seed}"
    began = time.perf_counter()
    reacgan.train(experiment, folder, quiet=True)
    seconds = time.perf_counter() - began
    lines = [line for line in read_records(folder / "journal.jsonl") if LOSSES[0] in line]
    last = lines[-max(len(lines) // 4, 1) :]
    values = {name: statistics.fmean(line[name] for line in last) for name in LOSSES}
    request = Request(metrics=METRICS, extractor="domain", num=given.num)
    for _, evaluation in score(folder, request, find_states=find_states):
        values |= {one.metric: one.value for one in evaluation.scores}
    return {"seconds": seconds, "values": values, "environment": harness.environment()}


def compare(record: dict[str, Any]) -> dict[str, Any]:
    """Of each value: mean and deviation of both precisions, and whether they agree."""
    table: dict[str, Any] = {}
    for name, runs in record["runs"].items():
        for value in next(iter(next(iter(runs.values())).values()))["values"]:
            lists = {
                precision: [run["values"][value] for run in runs[precision].values()]
                for precision in PRECISIONS
            }
            means = {key: statistics.fmean(numbers) for key, numbers in lists.items()}
            seeds = len(lists["float32"])
            variance = sum(statistics.variance(numbers) for numbers in lists.values())
            interval = STUDENT[2 * seeds - 2] * (variance / seeds) ** 0.5
            off = abs(means["float32"] - means["bfloat16"])
            table[f"{name} {value}"] = {**means, "interval": interval, "agree": off <= interval}
    return table


def main() -> None:
    """All runs that are missing; then the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10")
    parser.add_argument("--experiments", nargs="+", default=["cifar10-small/reacgan"])
    parser.add_argument("--images", type=int, default=19_200)
    parser.add_argument("--num", type=int, default=2_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("runs/bfloat16"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/bfloat16.json")
    given = parser.parse_args()
    record: dict[str, Any] = (
        json.loads(given.out.read_text()) if given.out.exists() else {"runs": {}}
    )
    for name in given.experiments:
        for seed in given.seeds:
            for precision in PRECISIONS:
                runs = record["runs"].setdefault(name, {}).setdefault(precision, {})
                if str(seed) in runs:
                    continue
                runs[str(seed)] = trained(name, precision, seed, given)
                given.out.write_text(json.dumps(record, indent=1) + "\n")
                print(name, precision, seed, runs[str(seed)]["seconds"], flush=True)
    record |= {"images": given.images, "fakes": given.num, "comparison": compare(record)}
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    for name, row in record["comparison"].items():
        print(
            f"{name:48} {row['float32']:10.4g} {row['bfloat16']:10.4g} +- {row['interval']:9.3g} "
            f"{'agree' if row['agree'] else 'DIFFER'}"
        )


if __name__ == "__main__":
    main()
