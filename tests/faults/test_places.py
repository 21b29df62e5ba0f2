"""Places that fail while a run goes on: deleted folders, too few handles, clocks that jump.

``python tests/faults/test_places.py`` does each once and prints how it ended.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import operations
import pytest
import torch
import works
from test_killed_at_operations import Undisturbed, fresh, undisturbed

from reacgan.training.loop import Trainer

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
AT = 40
"""Images seen when it happens: between two states."""


def when_it_trains(does: Callable[[], object]) -> None:
    """In this process, do something in the middle of the run."""
    step = Trainer.generator_step

    def generator_step(self: Trainer, journal: object) -> None:
        if self.state.images_seen == AT:
            does()
        step(self, journal)

    Trainer.generator_step = generator_step


def few_handles() -> None:
    """Leave this process one handle."""
    used = len(list(Path("/proc/self/fd").iterdir())) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, used + 1))


def jumps() -> None:
    """The clock of the day goes a day forth, then two back, then stands."""
    clock, asked = time.time, [0]
    ways = (86400.0, -2 * 86400.0, 0.0, 1e9, -1e9)

    def jumping() -> float:
        asked[0] += 1
        return 1.7e9 if asked[0] % 7 == 6 else clock() + ways[asked[0] % len(ways)]

    time.time = jumping


def lost(root: Path, whole: Undisturbed) -> list[str]:
    """What differs from the undisturbed run."""
    there = operations.content(root)
    return sorted(
        name
        for name in there.keys() | whole.content.keys()
        if there.get(name) != whole.content.get(name) and "/features/" not in f"/{name}"
    )


def goes_on(top: Path, before: Callable[[Path], object], whole: Undisturbed) -> list[str]:
    """Disturb a run, then give the command once more: how it ended, and what differs."""
    root = fresh(top, "train")
    first = operations.run(works.train, root, before=lambda: before(root))
    again = operations.run(works.train, root)
    assert again.code == 0, again.said
    return [str(first.code), (first.said.strip() or "-").splitlines()[-1], *lost(root, whole)]


FAULTS: dict[str, Callable[[Path], object]] = {
    "the run's folder is deleted": lambda root: when_it_trains(lambda: shutil.rmtree(root / "run")),
    "its states are deleted": lambda root: when_it_trains(
        lambda: shutil.rmtree(root / "run" / "checkpoints")
    ),
    "the cache is deleted": lambda root: when_it_trains(lambda: shutil.rmtree(root / "cache")),
    "too few handles": lambda root: when_it_trains(few_handles),
    "the clock jumps": lambda root: jumps(),
}


# Computed again where it was cut off.
SPARED = ("cache/",)


@pytest.mark.parametrize(
    "fault",
    [
        fault
        if "handles" in fault or "run" in fault
        else pytest.param(fault, marks=pytest.mark.slow)
        for fault in FAULTS
    ],
)
def test_the_run_ends_in_the_same_bits(fault, top, whole):
    code, said, *differs = goes_on(top, FAULTS[fault], whole)
    assert said == "-" or "Error: [Errno " in said or "cannot be written (" in said
    if "clock" in fault or "cache" in fault:
        assert (code, differs) == ("0", [])
    assert [name for name in differs if not name.startswith(SPARED)] == []


def main() -> int:
    """Print how each ended."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        whole = undisturbed(top, "train")
        for fault, before in FAULTS.items():
            code, said, *differs = goes_on(top, before, whole)
            print(f"{fault}: ended by {code} ({said}); differs afterwards: {differs or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
