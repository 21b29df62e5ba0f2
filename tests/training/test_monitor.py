"""A run that is watched: what is said, what is done, and that looking changes nothing."""

from __future__ import annotations

import math
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_resume import assert_same_bits, state_of
from test_run import at_clock, saved, train
from tiny import images

from reacgan.data import ImageData
from reacgan.history import read_records
from reacgan.training.journal import NonFiniteError
from reacgan.training.monitor.signals import pick

OFTEN = {"watch.every": 16, "report.checkpoint_every": 32, "training.images": 224}
BACK = {**OFTEN, "watch.action": "roll_back", "report.keep_checkpoints": 99}


@pytest.fixture(scope="module")
def data():
    """Nearly grey pictures, which even a young generator outdoes in variety."""
    noise = images()
    return ImageData(noise.images // 16 + 120, noise.labels, noise.class_names, "grey")


@pytest.fixture(scope="module")
def went_back(data, tmp_path_factory):
    """A run that met a loss that is not finite."""
    with pytest.MonkeyPatch.context() as patch:
        at_clock(patch, 112, poison)
        assert train(tmp_path_factory.mktemp("back"), data, **BACK).complete
    return tmp_path_factory.getbasetemp() / "back0"


def events(out):
    return [line["event"] for line in read_records(out / "journal.jsonl") if "event" in line]


def looks(out):
    lines = read_records(out / "journal.jsonl")
    return {line["images_seen"]: line["watch"] for line in lines if "watch" in line}


def forget_latents(trainer):
    """G makes one image a class from now on, until the run goes back; so do copies of it."""

    def deaf(_, given):
        z, *labels = given
        return (z if trainer.state.lr_scale < 1 else torch.zeros_like(z), *labels)

    for generator in (trainer.state.generator, trainer.state.average):
        if not generator._forward_pre_hooks:
            generator.register_forward_pre_hook(deaf)


def poison(trainer):
    """A loss that is not finite, the first time that the run comes by."""
    if trainer.state.lr_scale == 1:
        with torch.no_grad():
            trainer.state.generator.input.weight.fill_(math.nan)


def test_looking_changes_nothing_and_a_healthy_run_gets_no_word(data, tmp_path, capfd):
    plain = {**OFTEN, "training.images": 160}
    train(tmp_path / "off", data, **{**plain, "watch.action": "off"})
    train(tmp_path / "on", data, quiet=False, **{**plain, "watch.patience": 1})
    assert_same_bits(state_of(tmp_path / "off"), state_of(tmp_path / "on"))
    assert list(looks(tmp_path / "on")) == list(range(16, 161, 16))
    assert looks(tmp_path / "off") == {}
    assert events(tmp_path / "on") == []
    assert "warning" not in capfd.readouterr().err
    names = {"variety", "nearest", "directions", "contrast", "flat", "real_sign"}
    names.add("statistics_distance")
    assert all(look.keys() == names for look in looks(tmp_path / "on").values())


def test_a_run_that_may_go_back_but_need_not_has_the_same_bits(data, tmp_path):
    plain = {"training.images": 96, "watch.every": 32}
    train(tmp_path / "off", data, **{**plain, "watch.action": "off"})
    train(tmp_path / "on", data, **{**plain, "watch.action": "roll_back"})
    assert_same_bits(state_of(tmp_path / "off"), state_of(tmp_path / "on"))


def test_a_collapse_is_named_once_and_the_run_goes_on(data, tmp_path, monkeypatch, capfd):
    at_clock(monkeypatch, 96, forget_latents)
    assert train(tmp_path, data, quiet=False, **OFTEN).complete
    (event,) = events(tmp_path)
    assert (event["kind"], event["since"], event["at"]) == ("mode_collapse", 96, 112)
    assert event["evidence"]["variety"] < 0.01
    assert event["evidence"]["best"] > 0.4
    assert "augment.name=diffaug" in event["advice"]
    said = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert len(said) == 1 and "mode collapse since 96 images (variety 0" in said[0]


def test_a_run_that_was_interrupted_sees_the_same(data, tmp_path, monkeypatch):
    at_clock(monkeypatch, 96, forget_latents)
    more = {**OFTEN, "watch.patience": 3, "training.images": 160}
    train(tmp_path / "whole", data, **more)
    train(tmp_path / "parts", data, **{**more, "training.images": 112})
    # It is not in the state that G is deaf.
    at_clock(monkeypatch, 128, forget_latents)
    parts = {seen: look for seen, look in looks(tmp_path / "whole").items() if seen <= 112}
    assert looks(tmp_path / "parts") == parts
    train(tmp_path / "parts", data, **more)
    (whole,) = events(tmp_path / "whole")
    (again,) = events(tmp_path / "parts")
    assert (whole["kind"], whole["since"], whole["at"]) == ("mode_collapse", 96, 128)
    assert (again["kind"], again["since"], again["at"]) == ("mode_collapse", 96, 128)


def test_a_run_is_stopped_saved_and_goes_on_when_asked_again(data, tmp_path, monkeypatch, capfd):
    at_clock(monkeypatch, 96, forget_latents)
    result = train(tmp_path, data, quiet=False, **{**OFTEN, "watch.action": "stop"})
    assert (result.complete, result.images_seen, result.signal) == (False, 112, None)
    assert result.stopped_by == "mode_collapse"
    assert saved(tmp_path)[-1] == 112
    assert "stopped at 112 images by mode collapse" in capfd.readouterr().err
    result = train(tmp_path, data, **{**OFTEN, "watch.action": "stop"})
    assert (result.complete, result.stopped_by) == (True, None)


def test_a_collapsed_run_goes_back_to_before_it(data, tmp_path, monkeypatch, capfd):
    def once(trainer):
        if trainer.state.lr_scale == 1:
            forget_latents(trainer)
        else:
            rates.append(trainer.state.d_optimizer.param_groups[0]["lr"])

    rates = []
    at_clock(monkeypatch, 112, once)
    chosen = {**BACK, "watch.patience": 4, "report.keep_checkpoints": 1}
    assert train(tmp_path, data, quiet=False, **chosen).complete
    (event,) = events(tmp_path)
    assert (event["action"], event["since"], event["at"]) == ("roll_back", 112, 160)
    assert (event["rollbacks"], event["lr_scale"]) == (1, 0.5)
    lines = read_records(tmp_path / "journal.jsonl")
    assert [line["images_seen"] for line in lines if "event" in line] == [96]
    seen = [line["images_seen"] for line in lines if "event" not in line]
    assert seen == sorted(set(seen))
    assert rates == [pytest.approx(1e-3 * 0.5 * (1000 - 112) / (1000 - 16), rel=0.05)]
    assert "went back from 160 images, learning rates x 0.5" in capfd.readouterr().err


def test_a_loss_that_is_not_finite_is_gone_back_from(went_back):
    (event,) = events(went_back)
    assert (event["kind"], event["action"], event["rollbacks"]) == ("not_finite", "roll_back", 1)
    assert saved(went_back) == list(range(32, 225, 32))


@pytest.mark.parametrize("dies", ["at once", "later", "politely"])
def test_a_run_that_went_back_resumes_to_the_same_bits(
    dies, data, went_back, tmp_path, monkeypatch
):
    """Also where it dies before a state was saved that knows of it."""

    class DiedError(Exception):
        pass

    def die(trainer):
        if trainer.state.lr_scale < 1 and dies != "politely":
            raise DiedError
        if trainer.state.lr_scale < 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        at_clock(patch, 112, poison)
        at_clock(patch, {"at once": 112, "later": 144, "politely": 112}[dies], die)
        if dies == "politely":
            assert not train(tmp_path / "parts", data, **BACK).complete
        else:
            with pytest.raises(DiedError):
                train(tmp_path / "parts", data, **BACK)
    assert train(tmp_path / "parts", data, **BACK).complete
    assert_same_bits(state_of(went_back), state_of(tmp_path / "parts"))
    assert events(went_back) == events(tmp_path / "parts")


def test_going_back_ends(data, tmp_path, monkeypatch):
    def always(trainer):
        with torch.no_grad():
            trainer.state.generator.input.weight.fill_(math.nan)

    at_clock(monkeypatch, 112, always)
    with pytest.raises(NonFiniteError, match="non-finite"):
        train(tmp_path, data, **{**BACK, "watch.most_rollbacks": 2})
    assert [event["lr_scale"] for event in events(tmp_path)] == [0.5, 0.25]
    assert saved(tmp_path)[-1] == 96


def test_with_nothing_to_go_back_to(data, tmp_path, monkeypatch):
    at_clock(monkeypatch, 16, poison)
    with pytest.raises(NonFiniteError, match="non-finite"):
        train(tmp_path, data, **BACK)
    assert saved(tmp_path) == []


def test_the_action_may_change_within_a_run(data, tmp_path, monkeypatch):
    train(tmp_path, data, **{**OFTEN, "training.images": 96})
    at_clock(monkeypatch, 144, poison)
    train(tmp_path, data, **{**BACK, "training.images": 192})
    (event,) = events(tmp_path)
    assert event["kind"] == "not_finite"
    scales = []
    at_clock(monkeypatch, 208, lambda trainer: scales.append(trainer.state.lr_scale))
    assert train(tmp_path, data, **OFTEN).complete  # the lower rates stay
    assert scales == [0.5]


def test_real_images_are_of_classes_that_have_enough():
    pixels = np.random.default_rng(0).integers(0, 256, (70, 1, 8, 8), dtype=np.uint8)
    labels = np.repeat([0, 1, 2, 3], [30, 5, 20, 15])
    real, classes = pick(ImageData(pixels, labels, ("a", "b", "c", "d"), "uneven"))
    assert classes.tolist() == [0, 2]
    assert real.shape == (2, 16, 1, 8, 8)
    few, classes = pick(
        ImageData(pixels[:7], np.array([0, 1, 1, 2, 3, 3, 2]), tuple("abcd"), "few")
    )
    assert classes.tolist() == [1, 2, 3] and few.shape[1] == 2
    assert torch.equal(few[0], torch.tensor(pixels[[1, 2]]))


def test_many_classes_are_spread_evenly():
    many = images(200, 100)
    real, classes = pick(many)
    assert classes.tolist() == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]
    assert real.shape == (12, 2, 3, 8, 8)


@pytest.mark.slow
def test_two_processes_go_back_together(tmp_path):
    from test_two_processes import HERE, torchrun

    done = torchrun(str(HERE / "two_watched.py"), str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    mine, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert float(mine["scale"]) == 0.5
    assert all(torch.equal(tensor, other[name]) for name, tensor in mine.items())
    (event,) = events(tmp_path / "run")
    assert (event["kind"], event["rollbacks"]) == ("not_finite", 1)


def test_divergence_is_said_after_a_thousand_images(tmp_path, capfd):
    """With the usual settings of the watch, which looks at 500, 1,000, 2,000, ... images."""
    hot = {"d_optimizer.lr": 1e6, "g_optimizer.lr": 1e6, "d_optimizer.decay_from": None}
    more = {"d_optimizer.decay_to": None, "training.images": 1_100, "training.batch": 32}
    assert train(tmp_path, images(), quiet=False, **hot, **more).complete
    (event,) = events(tmp_path)
    assert (event["kind"], event["since"], event["at"]) == ("divergence", 512, 1_024)
    assert "warning: divergence since 512 images" in capfd.readouterr().err
