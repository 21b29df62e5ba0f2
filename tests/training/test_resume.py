"""Taking a run up again: the same bits as never having stopped."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from tiny import HEADS, experiment, images

import reacgan
from reacgan.config import ConfigError
from reacgan.history import read_records
from reacgan.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_latest,
    read_manifest,
)
from reacgan.training.engine import Engine
from reacgan.training.journal import NonFiniteError
from reacgan.training.loop import Trainer

PARTS = ("generator", "discriminator", "average", "g_optimizer", "d_optimizer")


@pytest.fixture(scope="module")
def data():
    return images()


def train(out, data, **changes):
    return reacgan.train(experiment(**changes), out, device="cpu", data=data, quiet=True)


def state_of(folder):
    latest = list_checkpoints(folder / "checkpoints")[-1]
    # Copies: what load_file gives is mapped to the file, which some tests damage.
    return {
        part: {
            name: tensor.clone()
            for name, tensor in load_file(latest / f"{part}.safetensors").items()
        }
        for part in PARTS
    }


def assert_same_bits(left, right):
    for part in PARTS:
        assert left[part].keys() == right[part].keys()
        assert left[part], part
        for name, tensor in left[part].items():
            assert torch.equal(tensor, right[part][name]), f"{part}/{name}"


@pytest.mark.parametrize("head", HEADS)
def test_ten_cycles_equal_five_and_five(head, data, tmp_path):
    train(tmp_path / "whole", data, head=head)
    train(tmp_path / "halves", data, head=head, **{"training.images": 80})
    result = train(tmp_path / "halves", data, head=head)
    assert result.images_seen == 160
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "halves"))


def test_checkpoints_on_the_way_change_nothing(data, tmp_path):
    train(tmp_path / "plain", data)
    often = {"report.checkpoint_every": 16, "report.samples_every": 16, "report.journal_every": 16}
    train(tmp_path / "often", data, **often)
    assert_same_bits(state_of(tmp_path / "plain"), state_of(tmp_path / "often"))
    assert len(list_checkpoints(tmp_path / "often" / "checkpoints")) == 2


def test_another_seed_gives_another_run(data, tmp_path):
    train(tmp_path / "one", data)
    train(tmp_path / "two", data, **{"training.seed": 1})
    one, two = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    assert not torch.equal(one["generator"]["input.weight"], two["generator"]["input.weight"])


def test_a_finished_run_is_left_as_it_is(data, tmp_path):
    train(tmp_path, data)
    before = state_of(tmp_path)
    assert train(tmp_path, data).complete
    assert_same_bits(before, state_of(tmp_path))


def test_a_damaged_checkpoint_is_passed_over(data, tmp_path):
    train(tmp_path / "run", data, **{"report.checkpoint_every": 80})
    whole = state_of(tmp_path / "run")
    latest = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    file = latest / "average.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match=r"average.safetensors: missing or damaged"):
        train(tmp_path / "run", data, **{"report.checkpoint_every": 80})
    assert_same_bits(whole, state_of(tmp_path / "run"))


@pytest.mark.parametrize("spoil", ["truncate", "remove", "manifest"])
def test_no_whole_checkpoint_is_an_error_that_names_the_file(spoil, data, tmp_path):
    train(tmp_path, data)
    (latest,) = list_checkpoints(tmp_path / "checkpoints")
    file = latest / "generator.safetensors"
    manifest = latest / "state.json"
    if spoil == "truncate":
        file.write_bytes(file.read_bytes()[:-9])
    elif spoil == "remove":
        file.unlink()
    else:
        manifest.write_text("{")
    with (
        pytest.warns(UserWarning, match="trying the one before"),
        pytest.raises(CheckpointError, match=latest.name),
    ):
        train(tmp_path, data)


def test_other_images_or_another_configuration_are_refused(data, tmp_path):
    train(tmp_path, data)
    with pytest.raises(CheckpointError, match="50 images then, 51 now"):
        train(tmp_path, images(count=51))
    with pytest.raises(ConfigError, match=r"training.batch: 8 -> 16"):
        train(tmp_path, data, **{"training.batch": 16})


def test_a_second_process_is_refused(data, tmp_path):
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".lock", is_singleton=False),
        pytest.raises(ConfigError, match="another process"),
    ):
        train(tmp_path, data)


def test_the_journal_is_continued_without_repetition(data, tmp_path):
    train(tmp_path, data, **{"training.images": 80})
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"images_seen": 96, "d/adversarial": 1.0}\n{"images_se')  # torn by a kill
    train(tmp_path, data)
    seen = [line["images_seen"] for line in read_records(tmp_path / "journal.jsonl")]
    assert [at for at in seen if at % 32 == 0 or at == 80] == [32, 64, 80, 96, 128, 160]
    assert seen == sorted(set(seen))


def test_a_torn_save_is_cleaned_up(data, tmp_path):
    train(tmp_path, data, **{"training.images": 80})
    torn = tmp_path / "checkpoints" / ".writing-000000000160"
    torn.mkdir()
    (torn / "generator.safetensors").write_bytes(b"half")
    train(tmp_path, data)
    assert not list((tmp_path / "checkpoints").glob(".writing-*"))
    read_manifest(list_checkpoints(tmp_path / "checkpoints")[-1])


def test_a_non_finite_loss_stops_the_run_and_saves_nothing(data, tmp_path, monkeypatch):
    train(tmp_path, data, **{"training.images": 80})
    whole = Trainer.generator_step

    def poisoned(self, journal):
        if self.state.images_seen == 128:
            with torch.no_grad():
                next(self.state.generator.parameters()).fill_(float("nan"))
        whole(self, journal)

    monkeypatch.setattr(Trainer, "generator_step", poisoned)
    with pytest.raises(
        NonFiniteError, match=r"g/adversarial.*non-finite between 96 and 128 images seen"
    ):
        train(tmp_path, data)
    assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")] == ["000000000080"]


def test_facts_of_the_state_are_compared(data, tmp_path):
    train(tmp_path, data)
    from reacgan.assembly import complete
    from reacgan.training.state import TrainState

    state = TrainState.build(complete(experiment()), 3, Engine("cpu"))
    with pytest.raises(CheckpointError, match="was made with num_classes = 3, now it is 4"):
        load_latest(state, tmp_path / "checkpoints", facts={"num_classes": 4})
