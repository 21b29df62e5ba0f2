"""Messages of a cycle: what is counted without processes, what two send, and what the networks say."""

from __future__ import annotations

import json
import sys
from dataclasses import astuple
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from benchmarks.communication import count, group_of, rows_of_cycle
from tiny import experiment, images

from reacgan import distributed
from reacgan.assembly import complete
from reacgan.models.norms import BatchNorm
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState

CLASSES, D_STEPS, BATCH, EMBEDDING = 3, 2, 8, 12


def trainer():
    settings = complete(experiment())
    engine, data = Engine.of(settings, "cpu"), images(classes=CLASSES)
    return Trainer(settings, TrainState.build(settings, CLASSES, engine), data, engine)


def closed_forms(world):
    """What the networks' sizes say, in the order of the tables."""
    state = trainer().state
    gradients = {
        name: 4 * sum(parameter.numel() for parameter in network.parameters())
        for name, network in (("d", state.discriminator), ("g", state.generator))
    }
    norms = [layer for layer in state.generator.modules() if isinstance(layer, BatchNorm)]
    # Two moments in float64.
    moments = sum(2 * 8 * len(layer.running_mean) for layer in norms)
    rows = []
    for step, times, network in (("discriminator", D_STEPS, "d"), ("generator", 1, "g")):
        passes = times * (1 if network == "d" else 2)  # G's step goes back through G
        embeddings, labels = BATCH * EMBEDDING * 4, BATCH * 8
        for part, operation, messages, size in (
            ("batch norm", "all_reduce", passes * len(norms), passes * moments),
            ("embeddings", "all_gather", times, times * embeddings),
            ("labels", "all_gather", times, times * labels),
            ("embeddings", "all_reduce", times, times * embeddings),
            ("gradients", "all_reduce", times, times * gradients[network]),
        ):
            factor = (2 if operation == "all_reduce" else 1) * (world - 1) / world
            rows.append((step, part, operation, messages, size, size * factor))
    return rows


@pytest.mark.parametrize("world", [2, 8])
def test_counts_are_those_of_the_closed_forms(world):
    """Gradients, embeddings, labels, moments of batch norm, and nothing else: spectral norm none."""
    counted = count(experiment(), world, classes=CLASSES)
    rows = [astuple(row) for row in counted["rows"]]
    assert rows == [pytest.approx(row) for row in closed_forms(world)]
    assert counted["samples"] == BATCH / world
    assert not dist.is_initialized()


def test_only_the_group_that_was_there_is_abandoned():
    """A run that a signal ended early made later groups of the same process count as one process."""
    distributed.abandon()
    with group_of(4):
        assert distributed.world_size() == 4
        distributed.abandon()
        assert distributed.world_size() == 1
    with group_of(2):
        assert distributed.world_size() == 2


def test_alone_nothing_is_sent():
    assert count(experiment(), 1, classes=CLASSES)["rows"] == []


def test_larger_networks_send_buckets():
    wide = {"model.backbone.width": 96, "model.generator.width": 4}
    rows = count(experiment(**wide), 2, classes=CLASSES)["rows"]
    messages = {row.step: row.messages for row in rows if row.part == "gradients"}
    assert messages["discriminator"] == 2 * D_STEPS
    assert messages["generator"] == 1
    plain = {**wide, "speed.overlapped_gradients": False}
    whole = count(experiment(**plain), 2, classes=CLASSES)["rows"]
    assert {row.step: row.bytes for row in rows if row.part == "gradients"} == {
        row.step: row.bytes for row in whole if row.part == "gradients"
    }
    assert [row.messages for row in whole if row.part == "gradients"] == [D_STEPS, 1]
    narrow = count(experiment(**wide, **{"speed.bfloat16_gradients": True}), 2, classes=CLASSES)[
        "rows"
    ]
    sent = [
        sum(row.sent for row in rows if (row.step, row.part) == ("generator", "gradients"))
        for rows in (narrow, whole)
    ]
    assert sent[0] == pytest.approx(sent[1] / 2, rel=1e-3)


def really(rank, folder):
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    made, journal = trainer(), Journal(None, 0)
    made.cycle(journal)
    rows = [astuple(row) for row in rows_of_cycle(made, journal, 2)]
    Path(folder, f"{rank}.json").write_text(json.dumps(rows))
    distributed.leave()


@pytest.mark.slow
def test_two_processes_send_what_is_counted(tmp_path):
    mp.start_processes(really, (str(tmp_path),), nprocs=2, start_method="spawn")
    for rank in range(2):
        rows = [tuple(row) for row in json.loads((tmp_path / f"{rank}.json").read_text())]
        assert rows == [pytest.approx(row) for row in closed_forms(2)]
