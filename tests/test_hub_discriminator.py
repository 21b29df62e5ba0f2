"""The discriminator that a run leaves in its checkpoints."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from reacgan import hub
from reacgan.config import ConfigError
from reacgan.models import build_discriminator
from reacgan.models.norm_statistics import with_moving
from test_hub import make, without_strength


@pytest.fixture
def run(tmp_path):
    """A run's folder with three states: discriminators whose weights are all 1, 2 and 3."""
    model = make()
    hub.save(model, tmp_path / "run" / "model")
    held = model.experiment
    for value in (1, 2, 3):
        network = build_discriminator(held.model.backbone, held.model.head, held.data, 2)
        state = tmp_path / "run" / "checkpoints" / f"{value * 64:012d}"
        state.mkdir(parents=True)
        weights = {name: torch.full_like(w, value) for name, w in network.state_dict().items()}
        save_file(weights, state / "discriminator.safetensors")
        digests = {
            "discriminator.safetensors": hub.folder.digest(state / "discriminator.safetensors")
        }
        (state / "state.json").write_text(json.dumps({"digests": digests}))
    return tmp_path / "run"


def test_the_discriminator_of_a_run(run):
    for path in (run, run / "model"):
        network = hub.load_discriminator(path, device="cpu")
        assert all((held == 3).all() for held in network.state_dict().values())
        assert not network.training
        assert not any(held.requires_grad for held in network.parameters())
    newest = run / "checkpoints" / f"{192:012d}"
    digest = without_strength(newest / "discriminator.safetensors")
    (newest / "state.json").write_text(
        json.dumps({"digests": {"discriminator.safetensors": digest}})
    )
    network = hub.load_discriminator(run)
    assert network.head.condition_strength == 1 and next(network.parameters()).flatten()[0] == 3
    (newest / "discriminator.safetensors").write_bytes(b"torn")
    assert next(hub.load_discriminator(run).parameters()).flatten()[0] == 2
    (run / "checkpoints" / f"{128:012d}" / "state.json").unlink()
    assert next(hub.load_discriminator(run).parameters()).flatten()[0] == 1
    shutil.rmtree(run / "checkpoints")
    for path in (run, run / "model"):
        with pytest.raises(
            ConfigError, match=r"no whole checkpoint with a discriminator; give the"
        ):
            hub.load_discriminator(path)


def test_the_average_of_any_state(run_folder):
    """The newest state's average is the model itself; an unknown state is refused."""
    states = hub.list_states(run_folder)
    assert states == [256]
    held, model = hub.load_state(run_folder, 256, device="cpu"), hub.load(run_folder, device="cpu")
    assert held.images_seen == 256
    learned = dict(model.generator.named_parameters())
    for name, value in model.generator.state_dict().items():
        ours = held.generator.state_dict()[name]
        # Statistics are worked out anew from weights that lie otherwise in memory.
        assert (
            torch.equal(ours, value) if name in learned else torch.allclose(ours, value, atol=1e-3)
        ), name
    assert held.norms.kind == model.norms.kind == "own"
    as_stored = hub.load_state(run_folder, 256, device="cpu", check=False)
    moving = with_moving(model).generator.state_dict()
    for name, value in as_stored.generator.state_dict().items():
        assert torch.equal(moving[name], value), name
    with pytest.raises(ConfigError, match=r"no state at 100 images; it keeps: 256"):
        hub.load_state(run_folder, 100)


def test_a_damaged_state_is_refused(run_folder, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(run_folder, copied)
    file = copied / "checkpoints" / f"{256:012d}" / "average.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="damaged"):
        hub.load_state(copied, 256)
