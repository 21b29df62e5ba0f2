"""States that were changed on the disk, by chance or on purpose: seen, named, and never taken."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_resume import assert_same_bits, state_of, train
from tiny import experiment, images

from reacgan.assembly import complete
from reacgan.files import digest_of
from reacgan.records import sealed
from reacgan.training.checkpoint import CheckpointError, list_checkpoints, load_latest
from reacgan.training.engine import Engine
from reacgan.training.state import TrainState

OFTEN = {"report.checkpoint_every": 80, "training.images": 160}


@pytest.fixture(scope="module")
def data():
    return images()


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The checkpoints at 80 and 160 images."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, data, **OFTEN)
    return folder / "checkpoints"


@pytest.fixture
def states(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "checkpoints")


def new_state():
    return TrainState.build(complete(experiment(**OFTEN)), 3, Engine("cpu"))


def only(states):
    """The newest state alone, so that no other one is taken in its place."""
    *others, newest = list_checkpoints(states)
    for other in others:
        shutil.rmtree(other)
    return newest


def rewrite(state, **changes):
    """Change a manifest and seal it again, as who forges it would."""
    manifest = json.loads((state / "state.json").read_text())
    (state / "state.json").write_text(json.dumps(sealed({**manifest, **changes})))


def forge(state, part, change):
    """Change the tensors of a part, with a digest made to fit."""
    file = state / f"{part}.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file(change(tensors) or tensors, file)
    digests = json.loads((state / "state.json").read_text())["digests"]
    rewrite(state, digests={**digests, file.name: digest_of(file)})


def test_every_flipped_bit_of_a_manifest_is_seen_or_harmless(states):
    newest = only(states)
    file = newest / "state.json"
    content = file.read_bytes()
    meant = json.loads(content)
    silent = []
    state = new_state()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        try:
            with pytest.warns(UserWarning, match="trying the one before"):
                load_latest(state, states, facts={})
        except CheckpointError:
            continue
        except pytest.fail.Exception:  # no warning: taken
            if json.loads(changed) != meant:
                silent.append(position)
    assert not silent


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images_seen": 168}, "the folder's name says 160"),
        ({"images_seen": True}, "images_seen is True"),
        ({"images_seen": 10**30}, "images_seen is 1000"),
        ({"images_seen": 160.0}, "images_seen is 160.0"),
        ({"digests": {}}, "does not name the files of a state"),
        ({"digests": {"generator.safetensors": "0"}}, "does not name the files"),
        ({"facts": None}, "facts are missing"),
    ],
)
def test_a_sealed_manifest_must_fit_too(change, says, states):
    rewrite(only(states), **change)
    with (
        pytest.warns(UserWarning, match="trying the one before"),
        pytest.raises(CheckpointError, match=says),
    ):
        load_latest(new_state(), states, facts={})


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "9" * 5_000, '{"format": 3}', "[]", '"x"', "\xff"]
)
def test_a_manifest_that_is_none(content, states):
    (only(states) / "state.json").write_text(content, encoding="latin-1")
    with (
        pytest.warns(UserWarning, match="trying the one before"),
        pytest.raises(CheckpointError, match=r"state\.json: (not readable|damaged)"),
    ):
        load_latest(new_state(), states, facts={})


def _without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


FORGED = {
    "moments cut short": (
        "g_optimizer",
        lambda tensors: {name: value.flatten()[:1].clone() for name, value in tensors.items()},
        r"g_optimizer: 0/step has the shape \[1\], needed: \[\]",
    ),
    "one moment cut short": (
        "d_optimizer",
        lambda tensors: tensors.update({"0/exp_avg": torch.zeros(1)}),
        "d_optimizer: 0/exp_avg has the shape",
    ),
    "moments in float64": (
        "g_optimizer",
        lambda tensors: {name: value.double() for name, value in tensors.items()},
        "g_optimizer: 0/step is of torch.float64, needed: torch.float32",
    ),
    "whole-number moments": (
        "d_optimizer",
        lambda tensors: tensors.update({"0/exp_avg": tensors["0/exp_avg"].long()}),
        "d_optimizer: 0/exp_avg is of torch.int64",
    ),
    "an empty optimiser": (
        "g_optimizer",
        lambda tensors: {"nothing": torch.zeros(1)},
        "is missing",
    ),
    "a moment is missing": ("d_optimizer", _without("1/exp_avg_sq"), "1/exp_avg_sq is missing"),
    "a moment of no weight": (
        "d_optimizer",
        lambda tensors: tensors.update({"999/step": torch.zeros(())}),
        "999/step is unknown",
    ),
    "weights in float64": (
        "generator",
        lambda tensors: {name: value.double() for name, value in tensors.items()},
        "is of torch.float64",
    ),
    "a weight is missing": ("average", _without("linear.weight"), "linear.weight is missing"),
}


@pytest.mark.parametrize("how", FORGED)
def test_forged_tensors_are_refused_before_any_is_taken(how, states):
    part, change, says = FORGED[how]
    newest = only(states)
    if how == "a weight is missing":
        name = next(iter(load_file(newest / "average.safetensors")))
        change, says = _without(name), f"{name} is missing"
    forge(newest, part, change)
    state = new_state()
    before = {name: value.clone() for name, value in state.tensors()["generator"].items()}
    with pytest.raises(CheckpointError, match=f"does not fit this experiment: .*{says}|{says}"):
        load_latest(state, states, facts={})
    for name, value in state.tensors()["generator"].items():
        assert torch.equal(value, before[name]), name


def test_a_file_longer_than_the_state_is_not_read(states):
    file = only(states) / "average.safetensors"
    with file.open("r+b") as opened:
        opened.truncate(50 * 2**30)  # takes no room on the disk
    with (
        pytest.warns(UserWarning, match="trying the one before"),
        pytest.raises(CheckpointError, match="bytes, at most .* are expected"),
    ):
        load_latest(new_state(), states, facts={})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["state.json", "generator.safetensors"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name, states):
    file = only(states) / name
    file.unlink()
    os.mkfifo(file)
    with (
        pytest.warns(UserWarning, match="trying the one before"),
        pytest.raises(CheckpointError, match="no ordinary file"),
    ):
        load_latest(new_state(), states, facts={})


def test_stray_files_are_ignored(states):
    newest = only(states)
    (newest / "other.safetensors").write_bytes(b"not safetensors")
    (newest / "note.txt").write_text("mine")
    state = new_state()
    assert load_latest(state, states, facts={}) == newest
    assert state.images_seen == 160


def test_states_of_the_version_before_are_taken(states):
    """They have no seal."""
    newest = only(states)
    manifest = json.loads((newest / "state.json").read_text())
    del manifest["seal"]
    (newest / "state.json").write_text(json.dumps({**manifest, "format": 2}))
    assert load_latest(new_state(), states, facts={}) == newest


@pytest.mark.parametrize("what", ["facts", "seal"])
def test_a_damaged_newest_state_costs_only_the_images_since(what, data, tmp_path):
    train(tmp_path, data, **OFTEN)
    whole = state_of(tmp_path)
    file = list_checkpoints(tmp_path / "checkpoints")[-1] / "state.json"
    text = file.read_text()
    digest = json.loads(text)["facts"]["data_digest"]
    wrong = digest.replace(digest[0], "e" if digest[0] != "e" else "f", 1)
    if what == "seal":
        digest, wrong = '"seal"', '"sealed"'
    file.write_text(text.replace(digest, wrong))
    with pytest.warns(UserWarning, match="trying the one before"):
        train(tmp_path, data, **OFTEN)
    assert_same_bits(whole, state_of(tmp_path))
