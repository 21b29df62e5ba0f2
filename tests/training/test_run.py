"""What a run leaves behind, how it ends, and what goes wrong around it."""

from __future__ import annotations

import json
import math
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from test_resume import assert_same_bits, state_of
from tiny import experiment, images

import reacgan
from reacgan.config import ConfigError, load_experiment
from reacgan.data import DataError
from reacgan.history import read_records
from reacgan.models.norm_statistics import statistics_in_words
from reacgan.sampling import save_png
from reacgan.sampling.grids import class_images, draw_classes
from reacgan.training import run as run_module
from reacgan.training.checkpoint import list_checkpoints
from reacgan.training.engine import Engine
from reacgan.training.loop import Trainer
from reacgan.training.signals import StopRequest


@pytest.fixture(scope="module")
def data():
    return images()


def train(out, data, *, minutes=None, quiet=True, verbose=False, **changes):
    return reacgan.train(
        experiment(**changes),
        out,
        device="cpu",
        data=data,
        minutes=minutes,
        quiet=quiet,
        verbose=verbose,
    )


def saved(out):
    return [int(path.name) for path in list_checkpoints(out / "checkpoints")]


def at_clock(monkeypatch, images_seen, act):
    """Do something at the end of the cycle that reaches this moment."""
    whole = Trainer.cycle

    def cycle(self, journal):
        whole(self, journal)
        if self.state.images_seen == images_seen:
            act(self)

    monkeypatch.setattr(Trainer, "cycle", cycle)


def test_a_run_folder_holds_what_is_promised(data, tmp_path, capfd):
    result = train(
        tmp_path,
        data,
        quiet=False,
        **{"report.samples_every": 64, "report.checkpoint_every": 48, "report.keep_checkpoints": 9},
    )
    assert (result.images_seen, result.complete, result.signal) == (160, True, None)
    assert saved(tmp_path) == [48, 96, 144, 160]
    lines = read_records(tmp_path / "journal.jsonl")
    assert [line["images_seen"] for line in lines] == [32, 48, 64, 96, 128, 144, 160]
    assert {"d/adversarial", "d/conditioning", "g/adversarial", "g/conditioning"} < set(lines[0])
    assert all(line["images_per_second"] > 0 for line in lines)
    assert all(2**25 < line["memory_bytes"] < 2**37 for line in lines)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["000000000064.png", "000000000128.png", "000000000160.png", "real.png"]
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["computes_on"] == "cpu"
    assert (environment["precision"], environment["world"]) == ("float32", 1)
    assert environment["torch"] == torch.__version__
    weights = load_file(tmp_path / "model" / "model.safetensors")
    average = state_of(tmp_path)["average"]
    assert weights.keys() == average.keys()
    moving = load_file(tmp_path / "model" / "moving.safetensors")  # does not fit so early
    assert {name.rpartition(".")[2] for name in moving} == {"running_mean", "running_var", "u", "v"}
    assert all(torch.equal({**weights, **moving}[name], average[name]) for name in average)
    assert [line.get("statistics") for line in lines] == [None] * 2 + ["own"] + [None] * 4
    shared = reacgan.load(tmp_path, device="cpu")
    rows = class_images(shared.generator, data.class_names)
    told = f"160 images, {statistics_in_words(shared)}"
    assert "its own statistics of batch norm (the averages of training do not fit" in told
    save_png(draw_classes(rows, data.class_names, told), tmp_path / "again.png")
    sheets = [tmp_path / "again.png", tmp_path / "samples" / names[2]]
    again, first = (np.asarray(Image.open(path)).astype(int) for path in sheets)
    assert again.shape == first.shape and abs(again - first).max() <= 1
    told = capfd.readouterr()
    assert told.out == ""
    for words in (
        "50 images of 3 classes, 8 x 8 x 3",
        "160 images to see (3.2 passes over the set)",
        "100%",
    ):
        assert words in told.err
    assert "resuming" not in told.err


def test_quiet_says_nothing_and_a_resumed_run_says_where(data, tmp_path, capfd):
    train(tmp_path, data, **{"training.images": 80})
    assert capfd.readouterr() == ("", "")
    train(tmp_path, data, quiet=False)
    assert "resuming at 80 images" in capfd.readouterr().err


def test_the_configuration_is_written_before_the_first_step(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        Trainer, "cycle", lambda self, journal: seen.extend(tmp_path.iterdir()) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, data)
    assert {"experiment.json", "environment.json"} <= {path.name for path in seen}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops_and_the_rest_has_the_same_bits(
    number, data, tmp_path, monkeypatch, capfd
):
    train(tmp_path / "whole", data)
    with monkeypatch.context() as patch:
        at_clock(patch, 48, lambda trainer: signal.raise_signal(number))
        result = train(tmp_path / "run", data, quiet=False)
    assert (result.images_seen, result.complete, result.signal) == (48, False, number)
    assert "stopped at 48 images" in capfd.readouterr().err
    assert saved(tmp_path / "run") == [48]
    assert train(tmp_path / "run", data).complete
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "run"))


def test_a_signal_in_the_last_cycle_leaves_a_complete_run(data, tmp_path, monkeypatch):
    at_clock(monkeypatch, 160, lambda trainer: signal.raise_signal(signal.SIGTERM))
    result = train(tmp_path, data)
    assert (result.complete, result.signal) == (True, None)


def test_a_signal_while_images_are_opened_stops_at_once(tmp_path, monkeypatch):
    def opened(config, split="train"):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("went on")

    train(tmp_path, images(), **{"training.images": 80})
    monkeypatch.setattr(run_module, "open_dataset", opened)
    result = train(tmp_path, None)
    assert (result.images_seen, result.complete, result.signal) == (80, False, signal.SIGTERM)


def test_minutes_end_a_call_and_the_next_goes_on(data, tmp_path):
    assert [train(tmp_path, data, minutes=1e-9).images_seen for _ in range(2)] == [16, 32]
    assert not train(tmp_path, data, minutes=1e-9).complete
    result = train(tmp_path, data, minutes=10)
    assert (result.images_seen, result.complete) == (160, True)


def test_a_run_finds_its_images_from_any_folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    changes = {"data.name": "folder", "data.path": "pets", "training.images": 16}
    train(tmp_path / "run", None, **changes)
    monkeypatch.chdir("/")
    recorded = load_experiment(tmp_path / "run" / "experiment.json")
    assert recorded.data.path == str(tmp_path / "pets")
    longer = recorded.replace(**{"training.images": 32})
    assert reacgan.train(longer, tmp_path / "run", device="cpu", quiet=True).images_seen == 32


@pytest.mark.parametrize("minutes", [0, -1, math.nan, math.inf])
def test_minutes_are_a_positive_number(minutes, data, tmp_path):
    with pytest.raises(ConfigError, match="minutes is"):
        train(tmp_path, data, minutes=minutes)


def test_a_name_is_no_experiment(tmp_path):
    with pytest.raises(ConfigError, match=r"experiment is 'digits/reacgan'; needed: an Experiment"):
        reacgan.train("digits/reacgan", tmp_path)


def test_images_that_are_no_multiple_of_a_cycle(data, tmp_path):
    assert train(tmp_path, data, **{"training.images": 95}).images_seen == 80
    assert train(tmp_path, data, **{"training.images": 96}).images_seen == 96
    assert train(tmp_path, data, **{"training.images": 40}).images_seen == 96


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_other_precisions_resume_to_the_same_bits(precision, data, tmp_path):
    chosen = {"training.precision": precision, "training.images": 64}
    train(tmp_path / "whole", data, **chosen)
    train(tmp_path / "halves", data, **{**chosen, "training.images": 32})
    train(tmp_path / "halves", data, **chosen)
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "halves"))
    kind = torch.float64 if precision == "float64" else torch.float32
    assert state_of(tmp_path / "whole")["generator"]["input.weight"].dtype == kind
    (sample,) = reacgan.sample(reacgan.load(tmp_path / "whole"), "class 1", num=1, seed=0)
    assert sample.image.shape == (3, 8, 8)


def test_a_generator_that_was_not_saved_is_saved_by_the_same_call(data, tmp_path):
    train(tmp_path, data)
    for file in (tmp_path / "model").iterdir():
        file.unlink()
    (tmp_path / "model").rmdir()
    train(tmp_path, data)
    assert reacgan.load(tmp_path).images_seen == 160


def test_a_finished_run_keeps_the_very_files_of_its_state(data, tmp_path):
    train(tmp_path, data, **{"training.images": 32})
    (state,) = list_checkpoints(tmp_path / "checkpoints")
    before = state.stat().st_ino, state.stat().st_mtime_ns
    train(tmp_path, data, **{"training.images": 32})
    assert (state.stat().st_ino, state.stat().st_mtime_ns) == before


@pytest.mark.parametrize(("world", "grace"), [(1, 0.0), (2, 2.0)])
def test_minutes_and_the_grace_of_signals(world, grace, data, tmp_path, monkeypatch):
    seen = {}

    class Recorded(StopRequest):
        def __init__(self, grace=0.0):
            super().__init__(grace)
            seen["grace"] = grace

    def stopped(trainer, journal, hooks, *, stop, save_now, first_save):
        seen["seconds"] = hooks.run.clock.seconds
        assert 20 < first_save < 22.5  # a quarter of what is left
        return True

    engine = Engine("cpu")
    engine.world = world
    monkeypatch.setattr(Engine, "of", lambda *_: engine)
    monkeypatch.setattr(run_module, "StopRequest", Recorded)
    monkeypatch.setattr(run_module, "run", stopped)
    train(tmp_path, data, minutes=1.5)
    assert seen == {"grace": grace, "seconds": 90}


@pytest.mark.parametrize(
    ("changes", "classes", "message"),
    [
        ({"training.freeze_d": 1}, 3, "note: training.freeze_d keeps random weights"),
        ({}, 1, "note: with one class the head d2dce has nothing to compare"),
        ({"training.batch": 1}, 3, "note: with batch 1 the head d2dce has nothing to compare"),
    ],
)
def test_what_is_hardly_meant_is_said(changes, classes, message, tmp_path, capsys):
    settings = experiment(**{"training.images": 16, **changes})
    reacgan.train(settings, tmp_path, device="cpu", data=images(classes=classes))
    assert message in capsys.readouterr().err
    reacgan.train(
        experiment(**{"training.images": 16}), tmp_path / "sane", device="cpu", data=images()
    )
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize("there", [False, True])
def test_a_start_that_fails_leaves_nothing(tmp_path, there):
    out = tmp_path / "runs" / "mine"
    if there:
        out.mkdir(parents=True)
    lost = experiment(**{"data.name": "folder", "data.path": str(tmp_path / "no photos")})
    with pytest.raises(DataError, match="no such folder"):
        reacgan.train(lost, out, device="cpu", quiet=True)
    assert list(tmp_path.rglob("*")) == ([out.parent, out] if there else [])
