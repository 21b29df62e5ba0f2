"""What each of two processes checks of averaged gradients; ``run`` is started in each of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist
from accumulation import trainer_for
from members import every_head, network_changes

from reacgan import distributed
from reacgan.distributed import Message
from reacgan.training.execution.verify import Buffers, both_ways
from reacgan.training.step.averaging import GradientAverage
from reacgan.training.step.work import Work

SMALL = 2_048
OTHERS = {
    "r1": {"penalties.r1": {}},
    "path of bCR": {"consistency.bcr": {}},
    "accumulate": {"training.accumulate": 2},
    "recompute": {"training.recompute": True, "plain": False, "training.precision": "float64"},
    "batch norm in both": {"plain": False, **network_changes()["backbone-dcgan-batch"]},
}
SECONDS = 40


def averaged(work: Work, *, overlapped: bool, bfloat16: bool = False):
    """Gradients of the step after averaging, how many buckets there were, how many were sent early."""
    average = GradientAverage(
        work.parameters, overlapped=overlapped, bfloat16=bfloat16, bucket_bytes=SMALL
    )
    messages: list[Message] = []
    with distributed.listening(messages.append):
        replace(work, sending=average.sending).run()
    early = Counter(message.part for message in messages)["gradients"]
    average.finish()
    gradients = [parameter.grad.clone() for parameter in work.parameters]
    return gradients, len(average.buckets), early


def check_case(name: str, changes: dict[str, object]) -> None:
    """Buckets during the backward pass leave the bits that one message at the end leaves."""
    trainer = trainer_for(**changes)
    state = trainer.state
    before = Buffers([state.generator, state.discriminator, state.adaptive])
    # Each step starts from the same power iterations and running statistics.
    for work in (trainer.steps.discriminator(), trainer.steps.generator()):
        before.restore()
        expected, whole, none = averaged(work, overlapped=False)
        before.restore()
        gradients, buckets, early = averaged(work, overlapped=True)
        assert (whole, none) == (1, 0), name
        assert buckets > 1, name
        assert early == buckets, (name, early, buckets)
        for mine, other in zip(gradients, expected, strict=True):
            assert torch.equal(mine, other), name


def check_missing(rank: int) -> None:
    """A gradient that one process lacks counts as zero, though other messages are sent meanwhile."""
    first, second = (torch.nn.Parameter(torch.ones(600, dtype=torch.float64)) for _ in range(2))
    average = GradientAverage([first, second], overlapped=True, bucket_bytes=SMALL)
    loss = first.sum() * (rank + 1)
    if rank == 0:
        loss = loss + 4 * second.sum()
    with average.sending():
        distributed.sum_over_processes(loss).backward()
    average.finish()
    # Sums over processes have gradients that are sums over processes.
    assert first.grad.unique().tolist() == [3.0]
    assert second.grad.unique().tolist() == [4.0]


def check_bfloat16(rank: int) -> None:
    """Every average is off by less than 2^-7 of the larger share: two roundings to 8 bits."""
    parameter = torch.nn.Parameter(torch.zeros(10_001))
    shares = [torch.randn(10_001, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    parameter.grad = shares[rank].clone()
    average = GradientAverage([parameter], bfloat16=True)
    sizes: list[Message] = []
    with distributed.listening(sizes.append):
        average.finish()
    assert [message.operation for message in sizes] == ["all_to_all", "all_gather"]
    assert [message.size for message in sizes] == [2 * 10_002] * 2  # in even parts
    assert sum(message.sent(2) for message in sizes) == 2 * 10_002
    off = (parameter.grad - sum(shares) / 2).abs()
    largest = torch.stack(shares).abs().amax(0)
    assert bool((off <= largest * 2**-7).all())
    assert 1e-4 < float(off.norm() / (sum(shares) / 2).norm()) < 5e-3


def check_tried() -> None:
    """A step that is made twice, to compare two ways, is averaged once."""
    trainer = trainer_for()
    work = trainer.steps.discriminator()
    average = GradientAverage(work.parameters, overlapped=True, bucket_bytes=SMALL)
    messages: list[Message] = []
    with distributed.listening(messages.append):
        _, wrong = both_ways(replace(work, sending=average.sending), [], Work.run, Work.run, 1e-8)
        assert wrong is None
        assert not [message for message in messages if message.part == "gradients"]
        average.finish()
    sent = [message for message in messages if message.part == "gradients"]
    assert len(sent) == len(average.buckets) > 1


def check_group() -> None:
    """The second group gives up as early as the first does."""
    assert distributed._timeout_of(distributed.group_beside()) == timedelta(seconds=SECONDS)


def run(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    seconds = timedelta(seconds=SECONDS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=seconds)
    for name, changes in {**every_head(), **OTHERS}.items():
        check_case(name, changes)
    check_missing(rank)
    check_bfloat16(rank)
    check_tried()
    check_group()
    distributed.leave()
