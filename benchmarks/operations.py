"""How many operations a training cycle is made of, by kind, with the switches that a GPU has.

    python benchmarks/operations.py                                  # cifar10/reacgan, bfloat16
    python benchmarks/operations.py --experiment digits/reacgan stylegan2/cifar10 --without kernels fused_layers
    python benchmarks/operations.py --precision float32 --set speed.channels_last=false

The real loop runs on fake tensors (``reacgan.training.memory.fakes``), and what PyTorch dispatches is
counted. The tensors are the CPU's, so that no GPU is needed and every machine counts the same; where a
formula is for the CPU alone (``models/fused.py``), it is counted. Views and allocations are none, a fused operation of ours is the kernels that it declares
(``reacgan.kernels.LAUNCHES``). Beside the operations stand the launches that they come to on CUDA: most
are one, some are several (:func:`launches_of`). The second cycle counts, a steady one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from benchmarks.counting import FREE
from torch.utils._pytree import tree_leaves

import reacgan
from benchmarks import harness
from reacgan.assembly import complete
from reacgan.config import Experiment, parse_assignments
from reacgan.kernels import LAUNCHES
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.memory.fakes import FakeEngine, Watch, fake_run
from reacgan.training.speed import SWITCHES, choose

_aten = torch.ops.aten
# Kernels of an operation on CUDA where they are not one: PyTorch's sources (aten/src/ATen/native/cuda)
# and a profile of an H200.
_SEVERAL = {
    _aten.native_batch_norm: 2,
    _aten.native_batch_norm_backward: 2,
    _aten.dot: 2,
    _aten.logsumexp: 7,
    _aten.masked_fill: 2,
    _aten.embedding_dense_backward: 2,
    _aten.index_put: 6,
    _aten._index_put_impl_: 5,
    _aten.max_pool2d_with_indices_backward: 2,
    _aten.avg_pool2d_backward: 1,
    _aten.topk: 2,
    _aten.addr: 2,
    _aten.stack: 1,
}
# Of a multi-tensor kernel: lists that it walks along, to the most tensors of a launch.
_TENSORS = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
_CHUNK, _CHUNKS = 65_536, 320


class Operations(Watch):
    """Counts operations and the launches that they come to, by kind; nothing until ``on``."""

    def __init__(self) -> None:
        super().__init__()
        self.on = False
        self.operations: Counter[str] = Counter()
        self.launches: Counter[str] = Counter()

    def saw(
        self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], made: Any
    ) -> None:
        """Count one operation."""
        if not self.on or operation.is_view or operation.overloadpacket in FREE:
            return
        if operation.namespace not in ("aten", "reacgan"):  # prim::device, say
            return
        tensors = any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(made))
        if made is not None and not tensors:  # what only asks
            return
        kind = f"{operation.namespace}::{operation.overloadpacket.__name__}"
        declared = LAUNCHES.get(kind)
        self.operations[kind] += 1 if declared is None else declared
        self.launches[kind] += launches_of(operation.overloadpacket, args, kind)

    def total(self) -> int:
        """All operations."""
        return self.operations.total()


def launches_of(packet: Any, args: Sequence[Any], kind: str) -> int:
    """How many kernels an operation launches on CUDA, as far as its arguments tell."""
    if kind in LAUNCHES:
        return LAUNCHES[kind]
    if packet is _aten.convolution_backward:
        return sum(map(bool, args[-1]))  # of inputs, of weights, of the bias
    name = kind.rpartition("::")[2]
    if name.startswith(("_foreach", "_fused", "_amp_foreach")):
        lists = [held for held in args if isinstance(held, list | tuple) and len(held)]
        tensors = [held for held in lists[0] if isinstance(held, torch.Tensor)]
        chunks = sum(ceil(tensor.numel() / _CHUNK) for tensor in tensors)
        most = _TENSORS.get(len(lists), min(_TENSORS.values()))
        return max(ceil(chunks / _CHUNKS), ceil(len(tensors) / most))
    return _SEVERAL.get(packet, 1)


def count(
    experiment: Experiment,
    *,
    off: Sequence[str] = (),
    classes: int = 10,
) -> dict[str, Any]:
    """Operations of the second cycle.

    Args:
        experiment: what is trained.
        off: switches of ``speed`` that are off.
        classes: of the data.

    Returns:
        ``operations`` and ``launches`` (both by kind), their totals, and ``parts``: operations of one
        step's batch and gradients, and those of a cycle that are neither (optimisers, average, journal).
    """
    experiment = complete(experiment.replace(**{f"speed.{switch}": False for switch in off}))
    speed = choose(experiment.speed, torch.device("cuda"), experiment=experiment)
    if experiment.speed.kernels is None and "kernels" not in off:
        speed = replace(speed, kernels=True)  # also where Triton is not installed
    engine = FakeEngine(torch.device("cpu"), experiment.training.precision, speed)
    watch, journal, parts = Operations(), Journal(None, 0), {}
    enough = 4 * experiment.cycle_images  # for cycles within an epoch
    with fake_run(experiment, classes, engine, watch, images=enough) as (state, data):
        trainer = Trainer(experiment, state, data, engine)
        trainer.ways.take_untried()
        trainer.cycle(journal)
        watch.on = True
        trainer.cycle(journal)
        operations, launches = watch.operations.copy(), watch.launches.copy()

        def part(name: str, call: Callable[[], Any]) -> Any:
            before = watch.total()
            made = call()
            parts[name] = watch.total() - before
            return made

        # The clock moved, so that neither batch is at hand.
        for letter, make in (("D", trainer.steps.discriminator), ("G", trainer.steps.generator)):
            part(f"gradients of {letter}", part(f"batch of {letter}", make).run)
    steps = experiment.training.d_steps
    inner = sum(
        parts[f"{name} of D"] * steps + parts[f"{name} of G"] for name in ("batch", "gradients")
    )
    return {
        "total": operations.total(),
        "total_launches": launches.total(),
        "parts": {**parts, "rest of the cycle": operations.total() - inner},
        "operations": dict(operations.most_common()),
        "launches": dict(launches.most_common()),
    }


def show(title: str, ways: Mapping[str, Mapping[str, Any]], most: int) -> None:
    """The table of one experiment: kinds down, ways across, operations and launches."""
    print(f"\n{title}: operations of a cycle (launches on CUDA, estimated)")
    kinds = Counter[str]()
    for way in ways.values():
        kinds |= Counter(way["operations"])
    width = max(14, *(len(name) + 2 for name in ways))
    print(f"{'':40}" + "".join(f"{name:>{width}}" for name in ways))
    cells = [f"{way['total']} ({way['total_launches']})" for way in ways.values()]
    print(f"{'all':40}" + "".join(f"{cell:>{width}}" for cell in cells))
    for name in next(iter(ways.values()))["parts"]:
        print(f"  {name:38}" + "".join(f"{way['parts'][name]:>{width}}" for way in ways.values()))
    for kind, _ in kinds.most_common(most):
        cells = [
            f"{way['operations'].get(kind, 0)} ({way['launches'].get(kind, 0)})"
            for way in ways.values()
        ]
        print(f"{kind:40}" + "".join(f"{cell:>{width}}" for cell in cells))


def main() -> None:
    """Count, print a table for each experiment, and write JSON where it was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--experiment", nargs="+", default=["cifar10/reacgan"])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument(
        "--without", nargs="*", default=["kernels"], choices=SWITCHES, metavar="SWITCH",
        help="also with each of these switches off, one at a time; kernels by default",
    )  # fmt: skip
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--most", type=int, default=60, help="kinds in the table")
    parser.add_argument("--out", nargs="?", type=Path, const=harness.RESULTS / "operations.json")
    given = parser.parse_args()
    record: dict[str, Any] = {"precision": given.precision, "experiments": {}}
    for name in given.experiment:
        experiment = reacgan.experiment(name).replace(**{"training.precision": given.precision})
        experiment = experiment.replace(**parse_assignments(given.changes))
        ways = {
            "by default" if not off else f"without {off[0]}": count(
                experiment, off=off, classes=given.classes
            )
            for off in ((), *((switch,) for switch in given.without))
        }
        show(name, ways, given.most)
        record["experiments"][name] = ways
    if given.out is not None:
        harness.write("operations", record, given.out)


if __name__ == "__main__":
    main()
