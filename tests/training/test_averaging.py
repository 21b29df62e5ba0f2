"""Gradients in buckets during the backward pass are those of one message at its end, to the bit."""

from __future__ import annotations

import torch
import torch.multiprocessing as mp
from two_averages import run

from reacgan import distributed
from reacgan.training.step.averaging import GradientAverage, cut


def parameters(*counts):
    return [torch.nn.Parameter(torch.zeros(count)) for count in counts]


def sizes(buckets):
    return [[parameter.numel() for parameter in bucket] for bucket in buckets]


def test_buckets_begin_with_the_last_parameters():
    assert sizes(cut(parameters(1, 2, 3, 4, 5), 24)) == [[5, 4], [3, 2, 1]]
    assert sizes(cut(parameters(10, 2, 3), 20)) == [[3, 2], [10]]
    assert sizes(cut(parameters(3), 1_000)) == [[3]]
    assert cut([], 8) == []


def test_alone_nothing_is_sent():
    (parameter,) = parameters(4)
    average = GradientAverage([parameter], overlapped=True, bucket_bytes=1)
    messages = []
    with distributed.listening(messages.append), average.sending():
        (parameter * 3).sum().backward()
    average.finish()
    assert (messages, average.buckets, parameter.grad.tolist()) == ([], [], [3.0] * 4)


def test_two_processes(tmp_path):
    """For every head, penalties, parts of a batch, blocks computed again, batch norm in both networks."""
    mp.start_processes(run, (str(tmp_path),), nprocs=2, start_method="spawn")
