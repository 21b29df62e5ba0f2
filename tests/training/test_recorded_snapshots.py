"""Snapshots of runs that were really made, read again: which of them would be warned of.

``recorded_snapshots.json`` has the numbers of each snapshot of runs on digits, signs, CIFAR-10 (JPEG
copy) and the Tiny-ImageNet subset; docs/watching.md describes them. One of these runs has collapsed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reacgan.config import WatchConfig
from reacgan.training.monitor.checks import RunFacts, Snapshot, check

RUNS = json.loads(Path(__file__).with_name("recorded_snapshots.json").read_text())
COLLAPSED = "cifar10-small-acgan"


def warnings_of(run):
    """(kind, images seen) of what is seen as often in a row as ``watch.patience`` asks for."""
    facts = RunFacts(
        chance=2.0,
        undecided=0.0,
        conditional=True,
        cycle_images=run["cycle_images"],
        num_classes=run["classes"],
        images=run["images"],
    )
    snapshots = [Snapshot(seen, numbers) for seen, numbers in run["snapshots"]]
    in_a_row: dict[str, int] = {}
    said = []
    for count in range(1, len(snapshots) + 1):
        kinds = {finding.kind for finding in check(snapshots[:count], facts)}
        in_a_row = {kind: in_a_row.get(kind, 0) + 1 for kind in kinds}
        patience = WatchConfig().patience
        said += [
            (kind, snapshots[count - 1].images_seen) for kind in kinds if in_a_row[kind] == patience
        ]
    return said


@pytest.mark.parametrize("name", sorted(set(RUNS) - {COLLAPSED}))
def test_healthy_runs_get_no_word(name):
    assert len(RUNS[name]["snapshots"]) > 6
    assert warnings_of(RUNS[name]) == []


def test_there_are_twenty_of_them():
    assert len(RUNS) > 20


def test_the_collapse_is_seen():
    """Variety falls from .78 at 20,000 images to .36, .30, .26, ... from 110,000 on."""
    assert warnings_of(RUNS[COLLAPSED]) == [("mode_collapse", 120_000)]
