"""The memory forecast is what training takes; where memory runs out, the settings that fit are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref

import pytest
import torch
from test_resume import assert_same_bits, state_of
from test_run import train
from tiny import experiment, images
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reacgan import models
from reacgan.assembly import complete
from reacgan.config import ConfigError, load_experiment
from reacgan.training.engine import Engine, peak_of_process
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.memory import estimate as memory
from reacgan.training.memory.advice import NotEnoughMemoryError, is_out_of_memory, settings_that_fit
from reacgan.training.memory.estimate import bytes_of, estimate
from reacgan.training.state import TrainState

WIDE = {"model.generator.width": 16, "model.backbone.width": 16}
SMALL = {
    "data.resolution": 16,
    "model.generator.latent_dim": 9,
    "augment.name": "identity",
    "training.batch": 16,
}
PAIRS = {
    "model.generator.name": "dcgan",
    "model.generator.width": 16,
    "model.backbone.name": "dcgan",
    "augment.name": "identity",
    "training.batch": 8,
    "training.recompute": True,
}
CASES = {
    "d2dce": {},
    "plain": {"speed.mode": "plain"},
    "again": {"training.recompute": True},
    "bfloat16": {"training.precision": "bfloat16"},
    "float64": {"training.precision": "float64"},
    "penalty": {"penalties": ["r1"], "consistency": ["bcr"]},
    "ADA": {"augment.name": "ada"},
    "parts": {"training.accumulate": 2},
    "moved latents": {"loss.latent_optimisation": {}},
    "stylegan2": {
        "model.generator.name": "stylegan2",
        "model.generator.channel_base": 256,
        "penalties": {"path_length": {"every": 1}},
    },
}


def built(**changes):
    wide = {} if "model.generator.name" in changes else WIDE
    settings = complete(experiment(**{**wide, "training.batch": 32, **changes}))
    engine = Engine.of(settings, "cpu")
    return settings, engine


class Living(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make and that live at the same time."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):  # was there before
                self.seen.add(tensor.untyped_storage()._cdata)
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        return made

    def note(self, storage):
        place, size = storage._cdata, storage.nbytes()
        if place in self.seen:
            return
        self.seen.add(place)
        self.live += size
        self.peak = max(self.peak, self.live)

        def gone():
            self.seen.discard(place)
            self.live -= size

        weakref.finalize(storage, gone)


@pytest.mark.parametrize("case", CASES)
def test_the_estimate_is_what_a_real_cycle_takes(case):
    """Tensor by tensor, for all that both allocate; the host's factor left out."""
    settings, engine = built(**CASES[case], **{"training.d_steps": 1})
    needed = estimate(settings, 3, engine)
    assert needed is not None
    trainer = Trainer(settings, TrainState.build(settings, 3, engine), images(), engine)
    trainer.cycle(Journal(None, 0))  # after which gradients and moments are there
    trainer.state.images_seen = 0
    living = Living()
    with living:
        trainer.cycle(Journal(None, 0))
    gradients = bytes_of([*trainer.steps.d_parameters, *trainer.steps.g_parameters])
    # Gradients of the first cycle are released unseen, one network's after the other's.
    activations = needed.activations / memory._SCRATCH
    assert activations == pytest.approx(living.peak - gradients, rel=0.06)
    assert needed.learning == 3 * gradients


def test_an_estimate_changes_nothing():
    settings, engine = built(**{"penalties": ["r1"], "augment.name": "ada"})
    before = dict(vars(engine)), torch.random.get_rng_state()
    assert estimate(settings, 3, engine) == estimate(settings, 3, engine)
    assert vars(engine) == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_an_estimate_needs_no_memory_of_its_own():
    """The similarities of a batch to itself alone have 2**34 entries."""
    settings, engine = built(**{"training.batch": 2**17, "training.images": 2**18})
    before = peak_of_process()
    assert estimate(settings, 3, engine).activations > 2**36
    assert peak_of_process() - before < 2**28


def test_what_lives_at_a_time_is_counted():
    with FakeTensorMode(), memory._LiveBytes() as counter:
        tensor = torch.empty(4, 10)
        view = tensor.t()[1:]
        total = (tensor * 2).sum()  # the product lives until its sum is there
        assert (counter.live, counter.peak) == (164, 324)
        del tensor
        assert counter.live == 164  # the view is still there
        view.add_(1)
        assert counter.peak == 324
        del view, total
        assert counter.live == 0


def test_pinned_memory_is_not_counted():
    """Batches for CUDA are pinned, for which fake tensors have no form."""
    with FakeTensorMode(allow_non_fake_inputs=True), memory._LiveBytes() as counter:
        tensor = torch.zeros(3)
        live = counter.live
        assert torch.ops.aten._pin_memory(tensor) is tensor
        assert counter.live == live


def test_parts_recomputation_and_fewer_samples_need_less():
    settings, engine = built(**SMALL)
    needs = [
        estimate(settings.replace(**changes), 3, engine, image_bytes=size)
        for changes, size in (
            ({}, 2**40),
            ({"training.recompute": True}, 77),
            ({"training.accumulate": 8}, 77),
        )
    ]
    assert [needed.images for needed in needs] == [0, 77, 77]
    most, again, parts = (needed.activations for needed in needs)
    assert most > again > parts
    assert parts < most / 4
    engine.world = 4
    assert estimate(settings, 3, engine).activations < most / 2


def test_the_settings_named_fit_and_the_next_weaker_ones_do_not():
    settings, engine = built(**PAIRS)

    def needs(**changes):
        return estimate(settings.replace(**changes), 3, engine).total

    available = int(1.1 * needs(**{"training.accumulate": 4})) + 1
    (named,) = settings_that_fit(settings, 3, engine, available)
    assert named.startswith("training.accumulate=4 (0.")
    assert 1.1 * needs(**{"training.accumulate": 2}) > available
    plain = settings.replace(**{"training.recompute": False})
    assert settings_that_fit(plain, 3, engine, 2**40)[0].startswith("training.recompute=true ")
    assert settings_that_fit(settings, 3, engine, 1000) == []


class Odd(models.GENERATORS["biggan"]):
    """Looks at values, which a fake tensor has not; and may ask for too much."""

    asks = 0

    def forward(self, z, labels, draws=None):
        if float(z.mean()) < 9 and type(self).asks:
            torch.empty(type(self).asks, dtype=torch.uint8)
        return super().forward(z, labels, draws)


@pytest.fixture
def odd(monkeypatch):
    monkeypatch.setitem(models.GENERATORS, "odd", Odd)
    monkeypatch.setattr(Odd, "asks", 0)
    names = ("width", "latent_dim", "shared_dim")
    return {"model.generator": {"name": "odd", **dict.fromkeys(names, 4)}}


def test_a_run_whose_needs_cannot_be_worked_out_goes_on(odd, tmp_path, capsys):
    assert estimate(built(**odd)[0], 3, built(**odd)[1]) is None
    assert train(tmp_path, images(), quiet=False, **odd).complete
    assert "memory:" not in capsys.readouterr().err


def test_an_allocation_that_fails_is_explained(odd, tmp_path):
    """A real one, of more than any machine has."""
    Odd.asks = 2**52
    message = r"out of memory on cpu: tried to allocate 4194304.0 GiB with training.batch=8 "
    with pytest.raises(ConfigError, match=message) as error:
        train(tmp_path, images(), **odd)
    assert isinstance(error.value, NotEnoughMemoryError)
    assert "the last checkpoint is intact" in str(error.value)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_recomputation_may_change_within_a_run_and_parts_may_not(tmp_path):
    data = images()
    train(tmp_path / "whole", data)
    train(tmp_path / "cut", data, **{"training.images": 80})
    train(tmp_path / "cut", data, **{"training.recompute": True})
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "cut"))
    with pytest.raises(ConfigError, match=r"training.accumulate: 1 -> 2"):
        train(tmp_path / "cut", data, **{"training.accumulate": 2})


def test_the_needs_are_printed_before_the_start(tmp_path, capsys):
    train(tmp_path, images(), quiet=False, verbose=True)
    assert "memory: about 0.1" in capsys.readouterr().err


def test_a_dry_run_prints_them_too(capsys, tmp_path):
    from reacgan.cli.train import train as command

    assert command("digits/reacgan", device="cpu", dry_run=True) == 0
    printed = capsys.readouterr().out
    needed = json.loads(printed)["memory"]
    assert needed["total"] == sum(needed.values()) - needed["total"] > needed["activations"] > 2**20
    (tmp_path / "printed.json").write_text(printed)
    assert load_experiment(tmp_path / "printed.json").name == "digits/reacgan"


LIMITED = """
import resource, sys
from pathlib import Path
from reacgan.cli import main
import torch, torch.utils.checkpoint, reacgan.training
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():  # builds for CUDA start threads in its backward pass, and reserve their stacks
    torch.empty(1, requires_grad=True).sum().backward()
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 500 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_process_without_room_says_what_would_fit(tmp_path):
    """Address space is limited, so that an allocation of the step fails."""
    settings = ["training.batch=1024", "training.d_steps=1", "model.generator.width=64"]
    command = ["train", "digits/reacgan", "--device", "cpu", "--images", "2048", "--set", *settings]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *command, "--out", str(tmp_path / "run")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-2000:]
    assert "note: more memory is needed than is free; this fits: --set training." in done.stderr
    assert "reacgan: out of memory on cpu: tried to allocate " in done.stderr
    assert " GiB with training.batch=1024 training.accumulate=1" in done.stderr
    assert "the last checkpoint is intact; this fits: --set training." in done.stderr
    assert "Traceback" not in done.stderr


MEASURED = """
import numpy as np
from reacgan import experiment
from reacgan.data import ImageData
from reacgan.assembly import complete
from reacgan.training.engine import Engine, peak_of_process
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.memory.estimate import estimate
from reacgan.training.state import TrainState

widths = {"model.generator.width": 32, "model.backbone.width": 32}
settings = complete(experiment("cifar10/reacgan").replace(**widths, **{"training.batch": 32}))
engine = Engine("cpu")
pixels = np.zeros((50, 3, 32, 32), np.uint8)
data = ImageData(pixels, np.arange(50) % 10, tuple("0123456789"), "nothing")
def peak():
    (line,) = (one for one in open("/proc/self/status") if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

before = peak()
trainer = Trainer(settings, TrainState.build(settings, 10, engine), data, engine)
trainer.cycle(Journal(None, 0))
measured = peak() - before
print(estimate(settings, 10, engine).total / measured)
"""


@pytest.mark.slow
def test_the_estimate_is_near_what_a_process_takes():
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, timeout=200, check=True
    )
    assert 0.75 < float(done.stdout) < 1.25, done.stdout


def test_the_peak_of_a_process_is_its_own():
    """Not the peak of the parent before it was started, which getrusage takes over."""
    filled = bytearray(300 * 2**20)
    filled[::4096] = b"x" * len(filled[::4096])
    code = "from reacgan.training.engine import peak_of_process; print(peak_of_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = peak_of_process()
    assert mine > 300 * 2**20
    if sys.platform == "linux":
        assert int(done.stdout) < mine - 100 * 2**20
