"""The training step beside a textbook one, and beside ours with everything turned off.

    python benchmarks/textbook_step.py                  # width 32 batch 64, width 96 batch 16
    python benchmarks/textbook_step.py --device cuda --case 96 64

CIFAR10 ReACGAN, one D step, one G step and the average, float32, threads as torch chooses. The textbook
(benchmarks/textbook) is what published packages do: eager, NCHW, ``torch.nn.utils.spectral_norm`` on each
layer, real and fake apart, masks built on the host, Adam one parameter at a time. A test proves that all
three compute the same losses and gradients. Processes take turns; see benchmarks/harness.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness

HERE = Path(__file__)
CASES = [[32, 64], [96, 16]]
TARGETS = {"width 32, batch 64": 2.5, "width 96, batch 16": 1.8}
WAYS = ("ours", "plain", "textbook")


def step_of(way: str, width: int, batch: int, device: str) -> Callable[[], Any]:
    """One cycle of a way; everything is imported already."""
    import torch

    if way == "textbook":
        from benchmarks.textbook.step import Textbook

        torch.manual_seed(0)
        book = Textbook(width, device=device)
        images = (torch.rand(batch, 3, 32, 32) * 2 - 1).to(device)
        labels = (torch.arange(batch) % 10).to(device)
        return lambda: book.cycle(images, labels)
    from benchmarks.workloads import cifar_reacgan, cycle_of, trainer_of

    mode = "auto" if way == "ours" else "plain"
    experiment = cifar_reacgan(width, batch, **{"speed.mode": mode})
    return cycle_of(trainer_of(experiment, device=device))


def child(spec: dict[str, Any]) -> dict[str, Any]:
    """Measure one way in this process."""
    import benchmarks.textbook.step
    import benchmarks.workloads  # noqa: F401 - both sides hold the same modules
    import torch

    way, device = spec["way"], spec["device"]
    build = partial(step_of, way, spec["width"], spec["batch"], device)
    found = harness.measured_alone(build, spec["repeats"])
    if device == "cuda":
        found["peak_beyond_imports_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return {**found, "facts": {"threads": torch.get_num_threads()}}


def main() -> None:
    """Compare all cases; write JSON and print a table."""
    parser = harness.options(__doc__)
    parser.add_argument("--case", type=int, nargs=2, action="append", help="width and batch")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--repeats", type=int, default=1, help="cycles a turn, after one to warm up"
    )
    given = parser.parse_args()
    if given.child:
        harness.answer(child(given.child))
        return
    ways = [way for way in given.ways if way != "plain" or not given.quick]
    cases, ratios = {}, {}
    for width, batch in given.case or CASES:
        name = f"width {width}, batch {batch}"
        print(name)
        spec = {"width": width, "batch": batch, "repeats": given.repeats, "device": given.device}
        found = harness.alternate(
            {way: partial(harness.run_child, HERE, {**spec, "way": way}) for way in ways},
            harness.turns_of(given),
        )
        cases[name] = {"batch": batch, "ways": harness.summarise(found, "textbook")}
        if name in TARGETS and given.device == "cpu":
            cases[name]["target"] = TARGETS[name]
        ratios[name] = cases[name]["ways"]["ours"]["times"]
    for name, case in cases.items():
        print(f"\n{name}")
        for way, held in case["ways"].items():
            memory = f"{held['peak_beyond_imports_mib']:8.0f} MiB ({held['memory']:.2f} x)"
            print(f"  {way:10}{held['seconds']:8.3f} s {held['times']:6.2f} x {memory}")
    harness.write("textbook", {"device": given.device, "cases": cases, "ratios": ratios}, given.out)


if __name__ == "__main__":
    main()
