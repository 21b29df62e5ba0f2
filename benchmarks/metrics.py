"""Time and memory of the metrics beside other libraries, in one run.

    python benchmarks/metrics.py --out benchmarks/results/metrics.json
    python benchmarks/metrics.py --peers ENV/bin/python    # an environment that has prdc (make parity)

The cases are in benchmarks/metric_cases: the matrix part of FID beside scipy's sqrtm, precision,
recall, density and coverage beside prdc (time and peak memory, each in a process of its own), and
what sharing one pass of features saves. The table is printed last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.metric_cases import fid, neighbours, one_pass


def main() -> None:
    """Run the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--count", type=int, default=10_000, help="real and fake images for neighbours"
    )
    parser.add_argument(
        "--large", type=int, default=50_000, help="for FID, and for memory; 0 for none"
    )
    parser.add_argument("--width", type=int, default=2048, help="length of the features")
    parser.add_argument("--peers", default=sys.executable, help="a python that has prdc")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("PRDC_PYTHON", given.peers)
    found: dict[str, Any] = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "fid": fid.run(given.large or given.count, given.width),
        "neighbours": neighbours.run(given.count, given.width, large=given.large),
        "one_pass": one_pass.run(),
    }
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=2) + "\n")
    for line in [
        *fid.lines(found["fid"]),
        *neighbours.lines(found["neighbours"]),
        *one_pass.lines(found["one_pass"]),
    ]:
        print(line)


if __name__ == "__main__":
    main()
