"""Has anything become slower? Ratios of a new, quick run beside the committed ones.

    make bench-check                       # or: python benchmarks/check.py --only textbook peers

Ratios to a textbook or a peer in the same run are compared, never times: those differ between machines,
and with what else a machine does. A ratio may fall by 15 % (``--tolerance``): medians of few turns on a
shared machine differ by up to 10 %. Ends with exit code 1 when one fell further, or nothing was compared.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers.compare import peers_python

from benchmarks import harness

TOLERANCE = 0.15
SCRIPTS = {
    "textbook": ["benchmarks/textbook_step.py", "--ways", "ours", "textbook", "--turns", "3"],
    "peers": ["benchmarks/peers/compare.py", "--quick", "--turns", "3"],
}


def compare(
    committed: dict[str, float], fresh: dict[str, float], tolerance: float
) -> list[tuple[str, float, float | None, str]]:
    """(name, committed, new, verdict) of each committed ratio: ok, slower or not measured."""
    rows = []
    for name, old in committed.items():
        new = fresh.get(name)
        fell = new is not None and new < old * (1 - tolerance)
        verdict = "not measured" if new is None else "slower" if fell else "ok"
        rows.append((name, old, new, verdict))
    return rows


def measure(names: list[str], folder: Path) -> None:
    """Run the scripts into a folder; peers only where their environment is."""
    for name in names:
        if name == "peers" and peers_python() is None:
            print("peers: no environment (make bench-peers makes one); left out")
            continue
        command = [sys.executable, *SCRIPTS[name], "--out", str(folder / f"{name}.json")]
        subprocess.run(command, cwd=harness.ROOT, check=True)


def main() -> None:
    """Compare, print a table, say by the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--committed", type=Path, default=harness.RESULTS, help="folder of JSON")
    parser.add_argument("--fresh", type=Path, help="folder of JSON measured already; none: measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        folder = given.fresh or Path(room)
        if given.fresh is None:
            measure(given.only, folder)
        rows = []
        for name in given.only:
            old = harness.read(name, given.committed).get("ratios", {})
            new = harness.read(name, folder).get("ratios", {})
            found = compare(old, new, given.tolerance)
            rows += [(f"{name}: {row[0]}", *row[1:]) for row in found]
    print(f"{'times as fast':40}{'committed':>10}{'now':>8}{'change':>9}")
    for name, old, new, verdict in rows:
        now = f"{new:8.2f}{new / old - 1:+9.0%}" if new is not None else f"{'':17}"
        print(f"{name:40}{old:10.2f}{now}  {verdict}")
    slower = [row for row in rows if row[3] == "slower"]
    if slower:
        sys.exit(f"{len(slower)} of {len(rows)} fell by more than {given.tolerance:.0%}")
    if all(row[2] is None for row in rows):
        sys.exit("nothing was compared: no committed ratio was measured again")
    compared = sum(row[-1] != "not measured" for row in rows)
    print(f"none of {compared} compared ratios fell by more than {given.tolerance:.0%}")


if __name__ == "__main__":
    main()
