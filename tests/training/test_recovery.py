"""What becomes non-finite is named, made again by plain operations, and the run goes on."""

from __future__ import annotations

import math
import re
import signal
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from test_resume import assert_same_bits, state_of
from test_run import at_clock, saved, train
from test_trainer import trainer_for
from tiny import images

from faults import AT, inject
from reacgan.history import read_records
from reacgan.models import plain_operations
from reacgan.training import loop
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.loop import Trainer
from reacgan.training.recovery import rewind

SWITCHES = ("merged_convolutions", "merged_passes", "fused_layers")
OFTEN = {"report.checkpoint_every": 48, "report.keep_checkpoints": 9}
BY_WIDTH = {"float32": "by plain operations,", "bfloat16": "by plain operations in float32,"}


@pytest.fixture(scope="module")
def data():
    return images()


def events(out):
    return [
        (line["images_seen"], line["event"])
        for line in read_records(out / "journal.jsonl")
        if "event" in line
    ]


def losses(out):
    """All that the journal's lines say but what is of the clock and the machine."""
    of_the_clock = ("images_per_second", "memory_bytes")
    return [
        {name: value for name, value in line.items() if name not in of_the_clock}
        for line in read_records(out / "journal.jsonl")
        if "event" not in line
    ]


def make_plainly(patch, *, wide=False):
    """G's step at that moment is made by plain operations, in float32 if ``wide``."""
    made = Trainer._gradients

    def plain(self, work):
        if self.state.images_seen != AT or "generator" not in work.formula.__name__:
            return made(self, work)
        work = replace(work, autocast=nullcontext) if wide else work
        networks = self.state.generator, self.state.discriminator
        with plain_operations(networks[0], SWITCHES), plain_operations(networks[1], SWITCHES):
            return work.run()

    patch.setattr(Trainer, "_gradients", plain)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def expected(request, data, tmp_path_factory):
    """A run whose seventh step of G is plain."""
    out = tmp_path_factory.mktemp(request.param)
    chosen = {"training.precision": request.param}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_FIRST_LINE", 1e9)  # lines by images alone
        make_plainly(patch, wide=request.param == "bfloat16")
        train(out, data, **chosen)
    return out, chosen


@pytest.mark.parametrize(
    ("expected", "direction"),
    [("float32", "forward"), ("float32", "backward"), ("bfloat16", "backward")],
    indirect=["expected"],
)
def test_one_bad_kernel_is_named_and_costs_one_plain_step(
    expected, direction, data, tmp_path, monkeypatch, capfd
):
    run, chosen = expected
    narrow = chosen["training.precision"] == "bfloat16"
    times = inject(monkeypatch, direction=direction, narrow=narrow)
    monkeypatch.setattr(loop, "_FIRST_LINE", 1e9)
    assert train(tmp_path, data, quiet=False, **chosen).complete
    assert len(times) == (4 if narrow else 3)  # met, gone over, named (and made plainly)
    assert_same_bits(state_of(run), state_of(tmp_path))
    assert losses(run) == losses(tmp_path)
    ((at, event),) = events(tmp_path)
    assert (at, event["kind"], event["direction"]) == (AT, "made_again", direction)
    assert event["module"] == "generator.attention.1"
    assert 0 < event["largest_input"] < 1e3
    assert event["operation"] == ("_BadGradientBackward" if direction == "backward" else "")
    said = capfd.readouterr().err
    assert "going over the steps since 0 images again" in said
    words = BY_WIDTH[chosen["training.precision"]]
    assert re.search(
        rf"the generator's step at 112 images was not finite \(first in the {direction} pass of "
        rf"generator.attention.1.*; it was made again {words} and the run goes on",
        said,
    )


@pytest.mark.parametrize("expected", ["float32"], indirect=True)
def test_how_often_the_state_is_kept_changes_no_bit(expected, data, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(rewind, "SECONDS_BETWEEN_COPIES", 0.0)
    inject(monkeypatch)
    often = {"report.samples_every": 16, "watch.every": 16}
    train(tmp_path, data, quiet=False, **often)
    assert_same_bits(state_of(expected[0]), state_of(tmp_path))
    assert "going over the steps since 96 images again" in capfd.readouterr().err
    lines = read_records(tmp_path / "journal.jsonl")
    seen = [line["images_seen"] for line in lines if "event" not in line]
    assert seen == list(range(16, 161, 16))


@pytest.mark.parametrize("expected", ["float32"], indirect=True)
@pytest.mark.parametrize("dies", ["found", "gone over", "politely"])
def test_interrupted_afterwards_it_resumes_to_the_same_bits(
    dies, expected, data, tmp_path, monkeypatch
):
    """Also where no state was saved that knows of it."""

    class DiedError(Exception):
        pass

    def die(trainer):
        if dies == "politely" and not trainer.careful.until:
            signal.raise_signal(signal.SIGTERM)
        elif dies != "politely" and (dies == "gone over") == bool(trainer.careful.until):
            raise DiedError

    inject(monkeypatch)
    with monkeypatch.context() as patch:
        at_clock(patch, {"found": 112, "gone over": 128, "politely": 144}[dies], die)
        if dies == "politely":
            assert not train(tmp_path, data, **OFTEN).complete
        else:
            with pytest.raises(DiedError):
                train(tmp_path, data, **OFTEN)
    assert saved(tmp_path)[-1] == (144 if dies == "politely" else 96)
    assert train(tmp_path, data, **OFTEN).complete
    assert_same_bits(state_of(expected[0]), state_of(tmp_path))
    ((at, event),) = events(tmp_path)
    assert (at, event["module"]) == (AT, "generator.attention.1")


def test_what_does_not_come_again_is_told(data, tmp_path, monkeypatch, capfd):
    def once(trainer):
        if not poisoned:
            poisoned.append(trainer)
            with torch.no_grad():
                trainer.state.generator.input.weight.fill_(math.nan)

    poisoned = []
    train(tmp_path / "whole", data)
    at_clock(monkeypatch, 112, once)
    train(tmp_path / "run", data, quiet=False)
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "run"))
    said = capfd.readouterr().err
    assert said.count("did not become non-finite again; the run goes on") == 1


def test_nothing_is_made_of_a_state_that_is_not_finite(data, tmp_path, monkeypatch):
    """No sheet, no look and no score is due before it has been looked at."""
    from reacgan.training import hooks as module

    inject(monkeypatch)
    drawn = module.class_images

    def draw(generator, *given):
        made = drawn(generator, *given)
        assert all(bool(held.isfinite().all()) for held in generator.state_dict().values())
        return made

    monkeypatch.setattr(module, "class_images", draw)
    rare = {"report.journal_every": 10_000, "report.samples_every": 16}
    assert train(tmp_path, data, **rare).complete


DIVERGES = {"g_optimizer.lr": 1e30, "d_optimizer.lr": 1e30}


@pytest.mark.parametrize("mode", ["auto", "plain"])
def test_a_true_divergence_names_where_it_began(mode, data, tmp_path):
    with pytest.raises(NonFiniteError) as caught:
        train(tmp_path, data, **DIVERGES, **{"speed.mode": mode})
    told = str(caught.value)
    assert re.match(
        r"\w/\w.* became non-finite between 0 and 32 images seen \(in the \w+'s step at", told
    )
    assert re.search(r": first in the (for|back)ward pass of (generator|discriminator)\.\S+", told)
    assert re.search(r"inputs up to [0-9.e+]+, weights up to \d+e\+\d\d\)", told)
    assert saved(tmp_path) == []


def test_going_back_says_where_it_began(data, tmp_path, monkeypatch):
    def poison(trainer):
        if trainer.state.lr_scale == 1:
            with torch.no_grad():
                trainer.state.generator.input.weight.fill_(math.nan)

    at_clock(monkeypatch, 112, poison)
    train(tmp_path, data, **OFTEN, **{"watch.action": "roll_back"})
    ((_, event),) = events(tmp_path)
    assert event["action"] == "roll_back"
    assert "discriminator's step at 112" in event["what"][-1]
    assert "generator.input, inputs up to" in event["what"][-1]
    assert event["what"][-1].endswith("whose weights are not finite")


def test_switched_off_it_is_an_error_as_before(data, tmp_path, monkeypatch):
    inject(monkeypatch)
    with pytest.raises(NonFiniteError, match=r"between 96 and 128 images seen\. "):
        train(tmp_path, data, **{"watch.recover": False})


def test_a_recording_that_fails_is_done_without(data):
    """All that it recorded is finite when it is made operation by operation."""

    def replayed(work):
        found = work.run()
        work.parameters[0].grad.fill_(math.inf)
        return found

    trainer, plain = trainer_for(data), trainer_for(data)
    trainer.ways._way, trainer.careful.until, told = replayed, 1, []
    trainer.say = told.append
    trainer.cycle(Journal(None, 0))
    networks = plain.state.generator, plain.state.discriminator
    with plain_operations(networks[0], SWITCHES), plain_operations(networks[1], SWITCHES):
        plain.cycle(Journal(None, 0))
    for part, tensors in plain.state.tensors().items():
        for name, held in tensors.items():
            assert torch.equal(trainer.state.tensors()[part][name], held), name
    assert len(told) == trainer.careful.made_again == 3
    assert all("a CUDA graph or compiled code" in line for line in told)


def test_an_optimiser_that_spoils_the_weights_is_named(data):
    def step(*given):
        whole(*given)
        with torch.no_grad():
            trainer.state.generator.input.weight[0, 0] = math.inf

    trainer = trainer_for(data)
    trainer.careful.until, whole = 1, trainer.state.g_optimizer.step
    trainer.state.g_optimizer.step = step
    with pytest.raises(
        NonFiniteError, match=r"^generator/input.weight.*an optimiser's step"
    ) as caught:
        trainer.cycle(Journal(None, 0))
    assert "by 16 images seen (an optimiser's step, whose gradients were finite)" in str(
        caught.value
    )


@pytest.mark.slow
def test_two_processes_make_the_same_step_again(data, tmp_path):
    from test_two_processes import HERE, torchrun

    done = torchrun(str(HERE / "two_recovered.py"), str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    mine, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(tensor, other[name]) for name, tensor in mine.items())
    assert all(bool(tensor.isfinite().all()) for tensor in mine.values())
    ((at, event),) = events(tmp_path / "run")
    assert (at, event["kind"]) == (AT, "made_again")
    assert (event["module"], event["direction"]) == ("generator.attention.1", "backward")
    for rank in (0, 1):
        assert "first in the" in (tmp_path / f"{rank}.txt").read_text()
