"""Training steps of other packages beside ours, on the same networks, batch and loss, on a CPU.

    make bench-peers                                        # builds their environment, then this
    python benchmarks/peers/compare.py --python ENV/bin/python

torch-mimicry's cGAN-PD and torchgan's conditional DCGAN, each in an environment of its own; their own
``train_step`` and ``train_ops``, one D and one G step, without their logging. Processes take turns.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.peers.steps import CASES, our_step, peer_step

from benchmarks import harness

HERE = Path(__file__)
TARGET = 2.0
SECONDS = 1.5


def child(spec: dict[str, Any]) -> dict[str, Any]:
    """Measure one side in this process."""
    import torch

    theirs = spec["side"] == "theirs"
    if not theirs:
        import benchmarks.workloads  # noqa: F401 - before memory is looked at
    facts: dict[str, Any] = {"threads": torch.get_num_threads()}

    def build() -> Any:
        step, sizes = (peer_step if theirs else our_step)(spec["case"], spec["batch"])
        facts.update(sizes)
        return step

    return {**harness.measured_alone(build, spec["repeats"], warm=2), "facts": facts}


def repeats_of(step_seconds: float) -> int:
    """As many steps as fill a turn."""
    return max(1, min(30, round(SECONDS / step_seconds)))


def main() -> None:
    """Compare all cases; write JSON and print a table."""
    parser = harness.options(__doc__)
    parser.add_argument(
        "--python", help="an interpreter that has the peers; see `make bench-peers`"
    )
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    given = parser.parse_args()
    if given.child:
        harness.answer(child(given.child))
        return
    python = given.python or peers_python()
    if python is None:
        sys.exit(
            "no environment with the peers; make one with `make bench-peers`, or give --python"
        )
    cases, ratios = {}, {}
    for case in given.case:
        for batch in CASES[case]["batches"][: 1 if given.quick else None]:
            name = f"{case}, batch {batch}"
            print(name)
            spec = {"case": case, "batch": batch, "repeats": 1}
            first = harness.run_child(HERE, {**spec, "side": "theirs"}, python=python)
            spec["repeats"] = repeats_of(min(first["seconds"]))
            ways = {
                side: partial(harness.run_child, HERE, {**spec, "side": side}, python=by)
                for side, by in (("ours", sys.executable), ("theirs", python))
            }
            found = harness.alternate(ways, harness.turns_of(given))
            cases[name] = {
                "batch": batch,
                "ways": harness.summarise(found, "theirs"),
                "target": TARGET,
            }
            ratios[name] = cases[name]["ways"]["ours"]["times"]
    for name, held in cases.items():
        ours, theirs = held["ways"]["ours"], held["ways"]["theirs"]
        speeds = [held["batch"] / side["seconds"] for side in (ours, theirs)]
        print(f"{name:28} {speeds[0]:8.1f} and {speeds[1]:8.1f} images/s: {ours['times']:.2f} x")
    told = {name: {k: v for k, v in CASES[name].items() if k != "batches"} for name in given.case}
    harness.write("peers", {"peers": told, "cases": cases, "ratios": ratios}, given.out)


def peers_python() -> str | None:
    """The interpreter of ``make bench-peers``, beside the environment that runs this."""
    for folder in (Path(sys.prefix), harness.ROOT / ".venv"):
        python = folder.with_name(f"{folder.name}-peers") / "bin" / "python"
        if python.exists():
            return str(python)
    return None


if __name__ == "__main__":
    main()
