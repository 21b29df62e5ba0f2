"""Draw the figures of docs/results again, from the numbers in their results.json.

    python tools/draw_results.py [SUITE ...]

Sheets and points of mixtures come from run folders, which are not kept: they stay as they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reacgan.suites import SUITES
from reacgan.suites.figures import draw
from reacgan.suites.results import Result

RESULTS = Path(__file__).parent.parent / "docs" / "results"


def main(names: list[str]) -> None:
    """Draw those of the named suites; of all without names."""
    for path in sorted(RESULTS.glob("*/results.json")):
        if names and path.parent.name not in names:
            continue
        content = json.loads(path.read_text("utf-8"))
        suite = SUITES[content["suite"]]
        trials = {trial.name: trial for trial in suite.trials(content["scale"])}
        results = [
            Result(trials[record["trial"]], record["seed"], record) for record in content["trials"]
        ]
        for number, figure in enumerate(suite.figures, 1):
            png = draw(figure, results)
            if png is not None:
                target = path.parent / f"figure-{number}.png"
                target.write_bytes(png)
                print(target)


if __name__ == "__main__":
    main(sys.argv[1:])
