"""What goes wrong around a run: odd sets, full disks, damaged files, values that are not finite."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from test_resume import assert_same_bits, state_of
from test_run import at_clock, saved, train
from tiny import experiment, images

import reacgan
from reacgan.assembly import complete
from reacgan.config import ConfigError, component
from reacgan.data import DataError, ImageData
from reacgan.records import sealed
from reacgan.training import checkpoint as checkpoint_module
from reacgan.training.checkpoint import CheckpointError
from reacgan.training.engine import Engine
from reacgan.training.journal import NonFiniteError
from reacgan.training.state import TrainState


@pytest.fixture(scope="module")
def data():
    return images()


@pytest.mark.parametrize(
    ("count", "classes", "batch"), [(20, 1, 8), (3, 3, 8), (5, 2, 64), (20, 3, 1), (200, 200, 8)]
)
def test_odd_sizes_of_set_and_batch(count, classes, batch, tmp_path):
    chosen = {"training.batch": batch, "training.images": 2 * batch, "training.d_steps": 1}
    assert train(tmp_path, images(count, classes), **chosen).images_seen == 2 * batch


def test_class_names_of_any_kind(tmp_path):
    odd = images(20, 5)
    names = ("a\nb", "ü猫😀", "c,d", '"]: {x}', "\udcff" + "x" * 300)
    assert train(tmp_path, ImageData(odd.images, odd.labels, names, "odd")).complete
    assert reacgan.load(tmp_path).class_names == names


def test_a_class_without_images_is_named(data, tmp_path):
    holes = ImageData(data.images, np.minimum(data.labels, 1), ("a", "b", "c d"), "holes")
    with pytest.raises(DataError, match="holes: no image of 'c d'"):
        train(tmp_path, holes)


def test_a_state_with_non_finite_weights_is_not_saved(data, tmp_path, monkeypatch):
    def spoil(trainer):
        with torch.no_grad():
            trainer.state.discriminator.head.score.bias.fill_(math.inf)

    at_clock(monkeypatch, 160, spoil)  # no loss is made of it any more
    with pytest.raises(NonFiniteError, match=r"discriminator/head.score.bias .* by 160 images"):
        train(tmp_path, data, **{"report.checkpoint_every": 80})
    assert saved(tmp_path) == [80]
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("what", ["sheet", "look", "score", "last sheet"])
def test_an_average_that_makes_no_images_stops_the_run(data, tmp_path, monkeypatch, what):
    """Its weights are finite, and so are all losses, which are not made of it."""

    def spoil(trainer):
        with torch.no_grad():
            trainer.state.average.norm.gain.fill_(3e38)
            trainer.state.average.norm.bias.zero_()

    at_clock(monkeypatch, 160, spoil)
    scored = {"scores.every": 160, "scores.num": 30, "scores.extractor.epochs": 0.1}
    due = {
        "sheet": {"report.samples_every": 160},
        "look": {"watch.every": 160},
        "score": {**scored, "scores.metrics": {"fid": {}}},
        "last sheet": {},
    }[what]
    named = (
        r"images of the averaged generator .class .*, seed \d+.* became non-finite by 160 images"
    )
    with pytest.raises(NonFiniteError, match=named):
        train(tmp_path, data, **{"report.checkpoint_every": 80, **due})
    whole = [80, 160] if what == "last sheet" else [80]  # the state itself is finite
    assert saved(tmp_path) == whole and not list((tmp_path / "samples").glob("*160.png"))


@pytest.mark.parametrize("fails", ["average.safetensors", "state.json", "model.safetensors"])
def test_a_full_disk_costs_nothing_that_was_saved(fails, data, tmp_path, monkeypatch):
    from reacgan import hub

    train(tmp_path / "whole", data)
    train(tmp_path / "run", data, **{"training.images": 80})
    before = reacgan.load(tmp_path / "run").images_seen

    def full(tensors, file):
        if file.name == fails:
            file.write_bytes(b"half")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        from safetensors.torch import save_file

        save_file(tensors, file)

    def no_room(path):
        if fails == "state.json":
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "save_file", full)
        patch.setattr(checkpoint_module, "flush_folder", no_room)
        patch.setattr(hub.models, "write_tensors", full)
        with pytest.raises(CheckpointError, match="at 160 images cannot be written .*No space"):
            train(tmp_path / "run", data)
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
    assert saved(tmp_path / "run") == ([80, 160] if fails == "model.safetensors" else [80])
    assert reacgan.load(tmp_path / "run").images_seen == before == 80
    train(tmp_path / "run", data)
    assert reacgan.load(tmp_path / "run").images_seen == 160
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "run"))


def test_a_disk_that_lies_never_costs_the_state_before(data, tmp_path, monkeypatch):
    train(tmp_path, data, **{"training.images": 80})
    flush = checkpoint_module.flush_folder

    def lie(writing):
        assert writing.name == f".writing-{160:012d}"  # flushed before it gets its name
        flush(writing)
        file = writing / "generator.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"\xff")
        lied.append(file)

    lied = []
    monkeypatch.setattr(checkpoint_module, "flush_folder", lie)
    with pytest.raises(CheckpointError, match="generator.safetensors: missing or damaged"):
        train(tmp_path, data, **{"report.keep_checkpoints": 1})
    assert lied
    assert saved(tmp_path) == [80, 160]


def test_a_damaged_later_state_never_crowds_out_a_whole_one(data, tmp_path):
    train(tmp_path, data, **{"report.checkpoint_every": 80})
    file = tmp_path / "checkpoints" / f"{160:012d}" / "average.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    changes = {"report.keep_checkpoints": 1, "training.images": 112}
    with pytest.warns(UserWarning, match="trying the one before"):
        train(tmp_path, data, **changes)
    assert saved(tmp_path) == [112, 160]


def test_refused_images_leave_the_folder_as_it_was(data, tmp_path):
    train(tmp_path, data, **{"data.path": "mine"})
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.json*")}
    with pytest.raises(CheckpointError, match="50 images then, 51 now"):
        train(tmp_path, images(51), **{"data.path": "other", "training.images": 320})
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json*")} == before


@pytest.mark.parametrize(
    "content", [b"", b'{"name": ', b"\xff\xfe", b'{"data": {"resolution": 7}}']
)
def test_a_damaged_configuration_is_named(content, data, tmp_path):
    train(tmp_path, data, **{"training.images": 16})
    (tmp_path / "experiment.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"experiment.json: damaged; choose another --out"):
        train(tmp_path, data)
    (tmp_path / "experiment.json").unlink()
    with pytest.raises(ConfigError, match="has checkpoints but no experiment.json"):
        train(tmp_path, data)


def test_what_may_change_on_the_way(data, tmp_path):
    train(tmp_path, data, **{"training.images": 80})
    train(tmp_path, data, **{"report.journal_every": 16, "data.path": "moved"})
    recorded = json.loads((tmp_path / "experiment.json").read_text())
    assert recorded["data"]["path"] == "moved"
    assert recorded["report"]["journal_every"] == 16
    for key, value in (("training.seed", 1), ("g_optimizer.lr", 0.1), ("data.flip", False)):
        with pytest.raises(ConfigError, match=f"{key}: .* -> {json.dumps(value)}"):
            train(tmp_path, data, **{key: value})


def test_a_start_that_failed_does_not_hold_the_folder(data, tmp_path):
    """Nothing is there to lose, so the corrected command works in the same folder."""
    with pytest.raises(ConfigError, match="crop is 8"):
        train(tmp_path, data, **{"data.crop": 8})
    assert train(tmp_path, data, **{"data.crop": 2}).complete
    assert json.loads((tmp_path / "experiment.json").read_text())["data"]["crop"] == 2


def test_states_of_another_version_are_no_damaged_ones(data, tmp_path, recwarn):
    train(tmp_path, data)
    manifest = next(tmp_path.glob("checkpoints/*/state.json"))
    manifest.write_text(json.dumps(sealed({**json.loads(manifest.read_text()), "format": 1})))
    with pytest.raises(
        CheckpointError, match="is of format 1, this version reads 2 and 3"
    ) as caught:
        train(tmp_path, data)
    assert "Delete" not in str(caught.value) and not list(recwarn)


def test_another_head_does_not_fit_a_state(data, tmp_path):
    train(tmp_path, data)
    settings = complete(
        experiment().replace(**{"model.head": component("projection").model_dump()})
    )
    state = TrainState.build(settings, 3, Engine("cpu"))
    with pytest.raises(CheckpointError, match="does not fit this experiment: discriminator"):
        checkpoint_module.load_latest(state, tmp_path / "checkpoints", facts={})
