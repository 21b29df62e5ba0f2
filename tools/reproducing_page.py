"""Write docs/reproducing.md: one row an experiment of the paper, from the suites and docs/results.

python tools/reproducing_page.py
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from reacgan.experiments.notes import fid_of
from reacgan.experiments.published import published_for
from reacgan.suites import SUITES, Suite

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproducing.md"
RESULTS = ROOT / "docs" / "results"

_WORDS = (
    "supported",
    "contradicted",
    "undecided",
    "points that way",
    "points the other way",
)
_DATA = {
    "cifar10": "cifar10=CIFAR10",
    "tiny_imagenet": "tiny_imagenet=TINY",
    "cub200": "cub200=CUB200",
    "imagenet": "imagenet=IMAGENET",
    "afhq": "afhq=AFHQ",
}
_HEAD = """# The paper's experiments

Every experiment of *Rebooting ACGAN* (NeurIPS 2021) is a suite: one command that trains, scores and ends in
a table or figure beside what is published. The same command goes on where it was stopped. Three scales
share the code: `toy` (seconds, embedded digits, part of the tests), `cpu` (minutes to hours on two cores;
what is reported below), `full` (as published, for a GPU: none has been run yet, see
[gpu-queue.md](gpu-queue.md)).

```
reacgan experiments suites                                    # the list
reacgan experiments run collapse --scale cpu --seeds 3        # or by its number: run 1
reacgan experiments run 2 --scale full --data cifar10=CIFAR10 --launcher slurm --slurm gpus_per_node=1
reacgan experiments report main-cifar10 --scale full
```

*Published* is what the authors' logs give for these settings, FID by the protocol in brackets. An
asterisk: the run of that score was not the experiment here to the letter, above all in D's shortcuts, which
saw ReLU(x), and in D2D-CE's released form (`reacgan experiments show NAME` says what holds of each).
*Ours* is at scale `cpu`: small networks and few steps, so its numbers compare with one another only. A
verdict is by a 95 % interval of the difference of means over seeds (Welch's t): *supported* and
*contradicted* exclude zero, *undecided* does not; with one seed it only *points that way* or *the other
way*.

"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as text."""
    paper = [held for held in SUITES.values() if held.numbers]
    ours = [held for held in SUITES.values() if not held.numbers]
    lines = [
        "| # | experiment | command, full scale | published FID | ours (cpu) | cost of ours | verdict |",
        "|---|---|---|---|---|---|---|",
        *map(_row, paper),
        "",
        "Our own:",
        "",
        "| experiment | command, full scale | ours (cpu) | cost of ours | verdict |",
        "|---|---|---|---|---|",
        *(_row(held, own=True) for held in ours),
        "",
    ]
    parts = ["\n".join(lines), *(_claims(held) for held in SUITES.values())]
    return _HEAD + "\n".join(part for part in parts if part)


def _row(suite: Suite, own: bool = False) -> str:
    held = results_of(suite)
    link = f"[{suite.title}](results/{suite.name}/report.md)" if held else suite.title
    cells = [link, f"`reacgan experiments run {suite.name} --scale full{_places(suite)}`"]
    if not own:
        cells = [", ".join(map(str, suite.numbers)), *cells, _published(suite)]
    return "| " + " | ".join([*cells, _ours(suite, held), _cost(held), _verdict(held)]) + " |"


def results_of(suite: Suite) -> dict[str, Any] | None:
    """What docs/results holds of it."""
    path = RESULTS / suite.name / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _places(suite: Suite) -> str:
    sets = {
        trial.work.settings(0, _context())["experiment"]["data"]["name"]
        for trial in suite.trials("full")
        if "experiment" in trial.work.settings(0, _context())
    }
    named = [_DATA[name] for name in sorted(sets) if name in _DATA]
    return f" --data {' '.join(named)}" if named else ""


def _context() -> Any:
    from reacgan.suites import Context  # noqa: PLC0415

    return Context()


def _published(suite: Suite) -> str:
    told = []
    for trial in suite.trials("full"):
        for one in published_for(trial.published) if trial.published else ():
            column = f" {trial.column}" if len({t.column for t in suite.trials("full")}) > 1 else ""
            told.append(f"{trial.row}{column} {fid_of(one)} [{one.protocol}]")
    return ", ".join(dict.fromkeys(told))


def _ours(suite: Suite, held: dict[str, Any] | None) -> str:
    if held is None:
        return "not run" if suite.trials("cpu") else "no size for a CPU"
    complete = [one for one in held["trials"] if one["status"] == "complete"]
    seeds = Counter(one["trial"] for one in complete)
    few, most = min(seeds.values()), max(seeds.values())
    told = str(most) if few == most else f"{few} to {most}"
    return f"{len(seeds)} trials, seeds: {told}"


def _cost(held: dict[str, Any] | None) -> str:
    if held is None:
        return ""
    seconds = sum(one.get("cost", {}).get("seconds", 0.0) for one in held["trials"])
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _verdict(held: dict[str, Any] | None) -> str:
    if held is None:
        return ""
    counts = Counter(one["verdict"] for one in held["verdicts"])
    return ", ".join(f"{counts[word]} {word}" for word in _WORDS if counts[word])


def _claims(suite: Suite) -> str:
    held = results_of(suite)
    if held is None or not held["verdicts"]:
        return ""
    lines = [
        f"\n## {suite.title}\n",
        "| claim | whose | where | verdict | evidence |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['claim']} | {one['source']} | {one['where']} | **{one['verdict']}** | {one['evidence']} |"
        for one in held["verdicts"]
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
