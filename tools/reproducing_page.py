"""Write docs/reproducing.md: one row an experiment of the paper, from the suites and docs/results.

python tools/reproducing_page.py
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

from reacgan.experiments.notes import fid_of
from reacgan.suites import SUITES, Context, Suite
from reacgan.suites.claims import Word
from reacgan.suites.tables import published_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproducing.md"
RESULTS = ROOT / "docs" / "results"

_WORDS = get_args(Word)
_DATA = {
    name: f"{name}={name.partition('_')[0].upper()}"
    for name in ("cifar10", "tiny_imagenet", "cub200", "imagenet", "afhq")
}
_HEAD = """# The paper's experiments

Every experiment of *Rebooting ACGAN* (NeurIPS 2021) is a suite: one command that trains, scores and ends in
a table or figure with published scores. The same command resumes. Three scales
share the code: `toy` (seconds, embedded digits, part of the tests), `cpu` (minutes to hours on two cores;
what is reported below), `full` (as published, for a GPU: none has been run yet, see
[gpu-queue.md](gpu-queue.md)).

```
reacgan experiments suites                                    # the list
reacgan experiments run collapse --scale cpu --seeds 3        # or by its number: run 1
reacgan experiments run 2 --scale full --data cifar10=CIFAR10 --launcher slurm --slurm gpus_per_node=1
reacgan experiments report main-cifar10 --scale full
```

*Published* is from the authors' logs for these settings, FID by the protocol in brackets. An
asterisk: the run of that score differs from the experiment here, above all in D's shortcuts, which took
ReLU(x), and in D2D-CE's released form (`reacgan experiments show NAME` lists the differences).
*Ours* is at scale `cpu`: small networks and few steps, so its numbers compare only with each other. A
verdict is by a 95 % interval of the difference of means over seeds (Welch's t): *supported* and
*contradicted* exclude zero, *undecided* does not; with one seed it only *points that way* or *the other
way*.

"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as text."""
    paper = [suite for suite in SUITES.values() if suite.numbers]
    ours = [suite for suite in SUITES.values() if not suite.numbers]
    lines = [
        "| # | experiment | command, full scale | published FID | ours (cpu) | cost of ours | verdict |",
        "|---|---|---|---|---|---|---|",
        *map(_row, paper),
        "",
        "Our own:",
        "",
        "| experiment | command, full scale | ours (cpu) | cost of ours | verdict |",
        "|---|---|---|---|---|",
        *(_row(suite, own=True) for suite in ours),
        "",
    ]
    parts = ["\n".join(lines), *map(_claims, SUITES.values())]
    return _HEAD + "\n".join(part for part in parts if part)


def _row(suite: Suite, own: bool = False) -> str:
    results = results_of(suite)
    link = f"[{suite.title}](results/{suite.name}/report.md)" if results else suite.title
    cells = [link, f"`reacgan experiments run {suite.name} --scale full{_data_options(suite)}`"]
    if not own:
        cells = [", ".join(map(str, suite.numbers)), *cells, _published(suite)]
    return (
        "| " + " | ".join([*cells, _ours(suite, results), _cost(results), _verdict(results)]) + " |"
    )


def results_of(suite: Suite) -> dict[str, Any] | None:
    """Its kept results."""
    path = RESULTS / suite.name / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _data_options(suite: Suite) -> str:
    settings = [trial.work.settings(0, Context()) for trial in suite.trials("full")]
    sets = {each["experiment"]["data"]["name"] for each in settings if "experiment" in each}
    options = [_DATA[name] for name in sorted(sets) if name in _DATA]
    return f" --data {' '.join(options)}" if options else ""


def _published(suite: Suite) -> str:
    trials = suite.trials("full")
    several = len({trial.column for trial in trials}) > 1
    scores = [
        f"{trial.row}{f' {trial.column}' if several else ''} {fid_of(score)} [{score.protocol}]"
        for trial in trials
        for score in published_of(trial)
    ]
    return ", ".join(dict.fromkeys(scores))


def _ours(suite: Suite, results: dict[str, Any] | None) -> str:
    if results is None:
        return "not run" if suite.trials("cpu") else "no size for a CPU"
    seeds = Counter(trial["trial"] for trial in results["trials"] if trial["status"] == "complete")
    few, most = min(seeds.values()), max(seeds.values())
    return f"{len(seeds)} trials, seeds: {most if few == most else f'{few} to {most}'}"


def _cost(results: dict[str, Any] | None) -> str:
    if results is None:
        return ""
    seconds = sum(trial.get("cost", {}).get("seconds", 0.0) for trial in results["trials"])
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _verdict(results: dict[str, Any] | None) -> str:
    if results is None:
        return ""
    counts = Counter(verdict["verdict"] for verdict in results["verdicts"])
    return ", ".join(f"{counts[word]} {word}" for word in _WORDS if counts[word])


def _claims(suite: Suite) -> str:
    results = results_of(suite)
    if results is None or not results["verdicts"]:
        return ""
    lines = [
        f"\n## {suite.title}\n",
        "| claim | whose | where | verdict | evidence |",
        "|---|---|---|---|---|",
    ]
    lines += [
        "| {claim} | {source} | {where} | **{verdict}** | {evidence} |".format(**verdict)
        for verdict in results["verdicts"]
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
