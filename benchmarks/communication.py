"""Messages between processes in a training cycle: how many, how large, and what for.

    python benchmarks/communication.py --experiment cifar10/reacgan --processes 2
    python benchmarks/communication.py --experiment imagenet/reacgan-2048 --classes 1000 --processes 8 1024
    torchrun --nproc-per-node 2 benchmarks/communication.py --run --experiment cifar10-small/reacgan

The first two count: the real loop on tensors without contents (``reacgan.training.memory.fakes``), in a
process group that has a rank and a size but sends nothing, so that a cycle of 1,024 processes is counted
in one. With ``--run`` real processes send real messages; they count the same and tell the seconds of a
cycle. A steady cycle counts, the second one.

Bytes of a message are those of its result on one process; ``sent`` is what each process puts on its links
where they form a ring (``reacgan.distributed.Message``).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.distributed as dist
from benchmarks.counting import FREE
from torch.utils.flop_counter import flop_registry

import reacgan
from benchmarks import harness
from reacgan import distributed
from reacgan.assembly import complete
from reacgan.config import Experiment, parse_assignments
from reacgan.distributed import Message
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.memory.fakes import FakeEngine, Watch, fake_run
from reacgan.training.speed import choose


@dataclass(frozen=True)
class Row:
    """All messages of one kind in one step."""

    step: str
    """discriminator or generator."""
    part: str
    operation: str
    messages: int
    bytes: int
    """Of all of them together."""
    sent: float
    """Bytes that each process sends, in a ring."""


class Work(Watch):
    """Counts multiplications and operations on this process's share of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.on = False
        self.multiplications = 0.0
        self.operations = 0

    def saw(self, operation: Any, args: Any, kwargs: Any, made: Any) -> None:
        """Count one operation."""
        packet = operation.overloadpacket
        if not self.on or operation.is_view or packet in FREE or operation.namespace != "aten":
            return
        self.operations += 1
        if packet in flop_registry:
            self.multiplications += flop_registry[packet](*args, **kwargs, out_val=made) / 2


@contextmanager
def group_of(processes: int) -> Iterator[None]:
    """Within the block this process is the first of so many, which exist in name only."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    if processes == 1:
        yield
        return
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=processes)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count(experiment: Experiment, processes: int, *, classes: int = 10) -> dict[str, Any]:
    """Messages of the second cycle of so many processes.

    Args:
        experiment: what is trained; its batch is that of all processes.
        processes: how many share it.
        classes: of the data.

    Returns:
        ``rows`` (:class:`Row`), and of one process ``multiplications``, ``operations`` and ``samples``
        (real images of a D step).
    """
    experiment = complete(experiment)
    with group_of(processes):
        cpu = torch.device("cpu")
        speed = choose(experiment.speed, cpu, experiment=experiment, world=processes)
        precision = "float32" if experiment.training.precision == "auto" else None
        engine = FakeEngine(cpu, precision or experiment.training.precision, speed)
        engine.world = processes
        watch, journal = Work(), Journal(None, 0)
        images = 4 * experiment.cycle_images  # for cycles within an epoch
        with fake_run(experiment, classes, engine, watch, images=images) as (state, data):
            trainer = Trainer(experiment, state, data, engine)
            trainer.ways.take_untried()
            trainer.cycle(journal)
            watch.on = True
            rows = rows_of_cycle(trainer, journal, processes)
    return {
        "processes": processes,
        "rows": rows,
        "multiplications": watch.multiplications,
        "operations": watch.operations,
        "samples": experiment.training.batch / processes,
    }


def rows_of_cycle(trainer: Trainer, journal: Journal, processes: int) -> list[Row]:
    """The messages of a cycle's steps."""
    steps: dict[str, tuple[int, Callable[[Journal], None]]] = {
        "discriminator": (trainer.experiment.training.d_steps, trainer.discriminator_step),
        "generator": (1, trainer.generator_step),
    }
    rows = []
    for step, (times, make) in steps.items():
        messages: list[Message] = []
        with distributed.listening(messages.append):
            for _ in range(times):
                make(journal)
        kinds = Counter((message.part, message.operation) for message in messages)
        for (part, operation), number in kinds.items():
            those = [m for m in messages if (m.part, m.operation) == (part, operation)]
            size, sent = sum(m.size for m in those), sum(m.sent(processes) for m in those)
            rows.append(Row(step, part, operation, number, size, sent))
    return rows


def run(experiment: Experiment, classes: int, cycles: int) -> dict[str, Any]:
    """The same of real processes, on random pictures, with the seconds of each cycle."""
    from benchmarks.workloads import trainer_of

    trainer, journal = trainer_of(experiment, classes=classes), Journal(None, 0)
    world, device = distributed.world_size(), trainer.engine.device
    trainer.cycle(journal)
    rows = rows_of_cycle(trainer, journal, world)
    seconds = []
    for _ in range(cycles):
        distributed.any_process(False, device)  # waits for the device, and for the others
        began = time.perf_counter()
        trainer.cycle(journal)
        distributed.any_process(False, device)
        seconds.append(time.perf_counter() - began)
    return {"rows": rows, "processes": world, "seconds": seconds}


def show(title: str, rows: Sequence[Row]) -> None:
    """A table: steps and parts down."""
    print(f"\n{title}")
    print(f"{'step':15}{'part':14}{'operation':12}{'messages':>9}{'bytes':>15}{'sent':>15}")
    for row in rows:
        print(
            f"{row.step:15}{row.part:14}{row.operation:12}{row.messages:>9,}{row.bytes:>15,}"
            f"{row.sent:>15,.0f}"
        )
    total = [sum(getattr(row, name) for row in rows) for name in ("messages", "bytes", "sent")]
    print(f"{'all':41}{total[0]:>9,}{total[1]:>15,}{total[2]:>15,.0f}")


def main() -> None:
    """Count or run; print tables, and write JSON where it was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--experiment", nargs="+", default=["cifar10/reacgan"])
    parser.add_argument("--processes", nargs="+", type=int, default=[2])
    parser.add_argument("--classes", nargs="+", type=int, default=[10], help="of each experiment")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--run", action="store_true", help="in the processes that torchrun started")
    parser.add_argument("--cycles", type=int, default=4, help="that are timed, with --run")
    parser.add_argument("--out", nargs="?", type=Path, const=harness.RESULTS / "communication.json")
    given = parser.parse_args()
    record: dict[str, Any] = {}
    for name, classes in zip(given.experiment, cycle(given.classes), strict=False):
        experiment = reacgan.experiment(name).replace(**parse_assignments(given.changes))
        for processes in given.processes:
            counted = (
                run(experiment, classes, given.cycles)
                if given.run
                else count(experiment, processes, classes=classes)
            )
            size = counted["processes"]
            if distributed.is_main():
                show(f"{name}, a cycle of {size} processes", counted["rows"])
                if given.run:
                    print(f"median {statistics.median(counted['seconds']):.4f} s a cycle")
            counted["rows"] = [asdict(row) for row in counted["rows"]]
            record.setdefault(name, {})[str(size)] = counted
    if given.out is not None and distributed.is_main():
        harness.write("communication", {"experiments": record}, given.out)
    distributed.leave()


if __name__ == "__main__":
    main()
