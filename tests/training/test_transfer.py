"""Runs that begin with the weights of another one, and FreezeD."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import experiment, images

import reacgan
from reacgan.assembly import complete
from reacgan.config import ConfigError, read_experiment
from reacgan.data import ImageData
from reacgan.experiments import EXPERIMENTS
from reacgan.training.checkpoint import list_checkpoints
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from reacgan.training.transfer import read_source, start_from

PARTS = ("generator", "discriminator", "average")
SHORT = {"training.images": 32}


def build(classes=3, **changes):
    return TrainState.build(complete(experiment(**changes)), classes, Engine("cpu"))


def flat(state):
    return {
        f"{part}/{name}": tensor.clone()
        for part in PARTS
        for name, tensor in getattr(state, part).state_dict().items()
    }


def last(folder):
    """Tensors of the newest checkpoint by ``part/name``, and its manifest."""
    path = list_checkpoints(folder / "checkpoints")[-1]
    tensors = {
        f"{file.stem}/{name}": tensor.clone()
        for file in path.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }
    return tensors, json.loads((path / "state.json").read_text())


def damage(folder):
    """Turn one bit of a weight of the newest checkpoint."""
    file = list_checkpoints(folder / "checkpoints")[-1] / "average.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run of the tiny experiment, with weights that have moved."""
    folder = tmp_path_factory.mktemp("source") / "run"
    reacgan.train(experiment(**SHORT), folder, device="cpu", data=images(), quiet=True)
    return folder


@pytest.mark.parametrize("kind", ["run", "checkpoint"])
def test_all_of_the_same_experiment_is_taken_over(kind, source):
    state, path = build(**{"training.seed": 5}), source
    if kind == "checkpoint":
        (path,) = list_checkpoints(source / "checkpoints")
    before, transfer = flat(state), start_from(state, path)
    expected, now = last(source)[0], flat(state)
    assert transfer.new == ()
    assert transfer.lines()[1] == "new: nothing"
    for name, tensor in now.items():
        assert torch.equal(tensor, expected[name]), name
    assert not torch.equal(before["generator/input.weight"], now["generator/input.weight"])
    assert not torch.equal(now["generator/input.weight"], now["average/input.weight"])
    assert all(slot == {} for slot in state.d_optimizer.state_dict()["state"].values())


def test_a_model_begins_both_generators_and_leaves_d_new(source):
    state = build(**{"training.seed": 5})
    before, transfer = flat(state), start_from(state, source / "model")
    expected, now = last(source)[0], flat(state)
    for name, tensor in now.items():
        part, _, leaf = name.partition("/")
        source_of = before[name] if part == "discriminator" else expected[f"average/{leaf}"]
        assert torch.equal(tensor, source_of), name
    assert {name.partition("/")[0] for name in transfer.new} == {"discriminator"}
    assert transfer.digest != start_from(build(), source).digest
    assert transfer.digest == start_from(build(), source / "model").digest


def test_other_numbers_of_classes_leave_class_vectors_new(source):
    state = build(classes=5)
    before, transfer = flat(state), start_from(state, source)
    assert set(transfer.new) == {
        "generator/shared.weight",
        "average/shared.weight",
        "discriminator/head.class_vectors.weight",
        "discriminator/head.class_vectors.u",
        "discriminator/head.class_vectors.v",  # of the shape of the source, but of other vectors
    }
    now = flat(state)
    assert all(torch.equal(before[name], now[name]) for name in transfer.new)
    assert "new: " in transfer.lines()[1]
    assert "generator/input.weight" in transfer.loaded


def test_another_head_keeps_the_backbone(source):
    state = build(head="projection")
    transfer = start_from(state, source)
    assert {name for name in transfer.new if "class_vectors" not in name} == set()
    assert "discriminator/backbone.blocks.0.conv1.weight" in transfer.loaded


def test_the_moment_of_the_source_is_not_taken_over(source, tmp_path):
    folder = tmp_path / "unconditional"
    changes = {**SHORT, "loss.transition.start": 1000, "loss.transition.end": 2000}
    reacgan.train(experiment(**changes), folder, device="cpu", data=images(), quiet=True)
    assert last(folder)[0]["generator/condition_strength"] == 0
    state = build()
    start_from(state, folder)
    assert state.generator.condition_strength == 1
    assert state.discriminator.head.condition_strength == 1


def test_nothing_that_fits_is_an_error(source):
    wider = {"model.generator.width": 5, "model.backbone.width": 5, "model.head.embedding_dim": 7}
    inner = {"model.generator.shared_dim": 7, "model.generator.latent_dim": 6}
    state = build(classes=5, **wider, **inner, **{"data.channels": 1})
    with pytest.raises(ConfigError, match="nothing of .* fits this experiment"):
        start_from(state, source)


@pytest.mark.parametrize("what", ["missing", "empty", "damaged"])
def test_no_source_is_an_error(what, source, tmp_path):
    folder = tmp_path / "there"
    if what == "empty":
        folder.mkdir()
    if what == "damaged":
        shutil.copytree(source, folder)
        shutil.rmtree(folder / "model")
        damage(folder)
    with pytest.raises(ConfigError, match=r"training.start_from.*(\n.*average.safetensors)?"):
        start_from(build(), folder)


def test_a_damaged_checkpoint_gives_way_to_the_model(source, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(source, folder)
    damage(folder)
    assert read_source(folder).discriminator == {}


def test_a_run_starts_from_another_and_resumes_without_it(source, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(source, moved)
    changes = {"training.start_from": str(moved), "training.seed": 5}

    def train(folder, end):
        settings = experiment(**changes, **{"training.images": end})
        return reacgan.train(settings, folder, device="cpu", data=images())

    train(tmp_path / "whole", 64)
    assert f"tensors of {moved}" in capsys.readouterr().err
    train(tmp_path / "halves", 32)
    shutil.rmtree(moved)
    capsys.readouterr()
    train(tmp_path / "halves", 64)
    assert "began with" not in capsys.readouterr().err
    (expected, facts), (found, others) = last(tmp_path / "whole"), last(tmp_path / "halves")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert facts["facts"]["started_from"] == others["facts"]["started_from"]
    recorded = json.loads((tmp_path / "halves" / "environment.json").read_text())
    assert recorded["started_from"] == facts["facts"]["started_from"]


def test_a_run_from_other_weights_differs_from_one_without(source, tmp_path):
    plain, started = tmp_path / "plain", tmp_path / "started"
    reacgan.train(experiment(**SHORT), plain, device="cpu", data=images(), quiet=True)
    changes = {**SHORT, "training.start_from": str(source)}
    reacgan.train(experiment(**changes), started, device="cpu", data=images(), quiet=True)
    name = "generator/input.weight"
    assert not torch.equal(last(plain)[0][name], last(started)[0][name])
    assert "started_from" not in last(plain)[1]["facts"]


# -- FreezeD


def frozen_names(state, count):
    """Tensors of the first stages, buffers included."""
    kept = {
        id(tensor)
        for stage in state.discriminator.backbone.stages()[:count]
        for tensor in stage.state_dict(keep_vars=True).values()
    }
    held = state.discriminator.state_dict(keep_vars=True)
    return {f"discriminator/{name}" for name, tensor in held.items() if id(tensor) in kept}


@pytest.mark.parametrize("count", [1, 2])
def test_frozen_stages_keep_their_bits_and_the_others_move(count):
    settings = complete(experiment(**{"training.freeze_d": count}))
    engine, data = Engine("cpu"), images()
    state = TrainState.build(settings, data.num_classes, engine)
    trainer, before = Trainer(settings, state, data, engine), flat(state)
    for _ in range(2):
        trainer.cycle(Journal(None, 0))
    kept, now = frozen_names(state, count), flat(state)
    assert kept
    for name, tensor in before.items():
        same = torch.equal(tensor, now[name])
        if name in kept:
            assert same, name
        elif name.endswith("conv1.weight"):
            assert not same, name
    weights = dict(state.discriminator.named_parameters())
    moving = [name for name in weights if f"discriminator/{name}" not in kept]
    assert len(state.d_optimizer.state_dict()["state"]) == len(moving)
    assert all(weights[name].grad is None for name in weights if name not in moving)


def test_a_frozen_run_resumes_exactly(source, tmp_path):
    changes = {"training.freeze_d": 2, "training.start_from": str(source)}
    for folder, ends in (("whole", [64]), ("halves", [32, 64])):
        for end in ends:
            settings = experiment(**changes, **{"training.images": end})
            reacgan.train(settings, tmp_path / folder, device="cpu", data=images(), quiet=True)
    expected, found = last(tmp_path / "whole")[0], last(tmp_path / "halves")[0]
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    name = "discriminator/backbone.blocks.0.conv1.weight"
    assert torch.equal(found[name], last(source)[0][name])


def test_freezing_what_was_not_taken_over_is_an_error(source):
    with pytest.raises(ConfigError, match=r"training.freeze_d keeps backbone\.blocks\.0"):
        start_from(build(**{"training.freeze_d": 1}), source / "model")
    with pytest.raises(ConfigError, match=r"training.freeze_d is 9; allowed: 0 to 3"):
        build(**{"training.freeze_d": 9})


def test_a_run_of_grey_images_takes_over_what_lies_behind_the_first_layer(source, tmp_path):
    held = images()
    grey = ImageData(
        np.ascontiguousarray(held.images[:, :1]), held.labels, held.class_names, "grey"
    )
    changes = {**SHORT, "data.channels": 1, "training.start_from": str(source)}
    result = reacgan.train(experiment(**changes), tmp_path, device="cpu", data=grey, quiet=True)
    assert result.complete


def test_a_relative_source_is_recorded_whole_and_the_run_resumes_from_elsewhere(
    tmp_path, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    tiny = EXPERIMENTS["digits/reacgan"].replace(
        **{
            "training.batch": 8,
            "training.images": 16,
            "model.generator.width": 4,
            "model.backbone.width": 4,
            "speed.mode": "plain",
            "training.precision": "float32",
        }
    )
    reacgan.train(tiny, "first", device="cpu", quiet=True)
    second = tiny.replace(**{"training.start_from": "first"})
    reacgan.train(second, "second", device="cpu", quiet=True)
    recorded = read_experiment(here / "second" / "experiment.json")
    assert recorded.training.start_from == str(here / "first")
    monkeypatch.chdir(tmp_path)
    longer = recorded.replace(**{"training.images": 32})
    assert reacgan.train(longer, "here/second", device="cpu", quiet=True).images_seen == 32
    monkeypatch.chdir(here)
    earlier = second.to_json()  # as versions before recorded it
    (here / "second" / "experiment.json").write_text(earlier)
    again = second.replace(**{"training.images": 48})
    assert reacgan.train(again, "second", device="cpu", quiet=True).images_seen == 48
    with pytest.raises(ConfigError, match=r"training.start_from: .*first -> third"):
        reacgan.train(second.replace(**{"training.start_from": "third"}), "second", device="cpu")
