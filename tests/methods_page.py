"""Writes docs/methods.md from the methods, what is published, and what was measured here.

python tests/methods_page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reacgan.evaluation import read_scores
from reacgan.experiments.methods import METHODS, Method
from reacgan.experiments.notes import asterisk
from reacgan.experiments.published import PROTOCOLS, PublishedScore, published_for

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
COSTS = ROOT / "benchmarks" / "results" / "methods.json"
REACHED = ROOT / "docs" / "results" / "methods.jsonl"

HEAD = """# Methods

Every method by its name in the literature. Each row is one experiment, and one command:

```
reacgan train cifar10/reacgan --data CIFAR10
reacgan experiments show cifar10/reacgan
```

Combinations need one more option: `--set model.head.name=d2dce`, `augment.name=ada`,
`penalties=r1`, `consistency=cr`, `loss.adversarial=relativistic`.

"hinge" is max(0, 1 - real) + max(0, 1 + fake), "logistic" ln(1 + e^-real) + ln(1 + e^fake),
"non-saturating" ln(1 + e^-fake); h are the backbone's features, CE is cross-entropy. Weights are those of
CIFAR-10.

- **Cost**: time of a training cycle (one D step, one G step) relative to BigGAN's in the same process, at
  the size of `cifar10-small`{machine}.
- **Here**: label accuracy by a classifier of real images, and FID in that classifier's features
  (not Inception's), after {images} images of `cifar10-small` on a CPU; see [results](results.md).
  Empty: not trained here yet.
- **Published**: FID (IS) of the authors' code for `{group}`, by protocol. A: {paper}. B: {train}. The two
  are not comparable. An asterisk: the published run differs from the experiment here (above all in D's
  shortcuts, which took ReLU(x), and in D2D-CE's released form) or collapsed after its best checkpoint;
  `reacgan experiments show` lists the differences. Empty: no score is published.

| method | paper | D minimises | G minimises | experiment | cost | here | published |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page as Markdown."""
    costs = read(COSTS)
    machine = costs.get("machine", {})
    where = f" (CPU, threads: {machine['threads']}, torch {machine['torch']})" if machine else ""
    rows: dict[str, dict[str, Any]] = {}
    for held in read_scores(REACHED):
        rows.setdefault(held.subject, {"images_seen": held.images_seen})[held.metric] = held.value
    seen = {row["images_seen"] for row in rows.values()}
    head = HEAD.format(
        machine=where, images=f"{max(seen, default=0):,}", group="cifar10", **PROTOCOLS
    )
    return head + "".join(line(method, costs.get("methods", {}), rows) for method in METHODS)


def read(path: Path) -> dict[str, Any]:
    """A JSON file, or nothing where there is none."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def line(method: Method, costs: dict[str, Any], rows: dict[str, Any]) -> str:
    """One row of the table."""
    name = method.experiment.partition("/")[2]
    cells = [
        method.title,
        method.paper,
        method.d_minimises,
        method.g_minimises,
        f"`{method.experiment}`",
        f"{costs[name]['ratio']:.2f} ×" if name in costs else "",
        reach(rows[name]) if name in rows else "",
        "; ".join(score(held) for held in published_for(method.experiment)),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def reach(row: dict[str, Any]) -> str:
    """Labels and distance."""
    return f"{row['top1']:.2f}, {row['fid']:.2f}"


def score(held: PublishedScore) -> str:
    """``A 7.79 (9.97)``."""
    letter = "A" if held.protocol == "paper" else "B"
    inception = f" ({held.inception_score:.2f})" if held.inception_score is not None else ""
    return f"{letter} {held.fid:.2f}{inception}{asterisk(held)}"


if __name__ == "__main__":
    main()
