"""Which ways a run takes, why it leaves the others out, and where it says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import experiment, images

import reacgan
from reacgan.assembly import complete
from reacgan.config import ConfigError, SpeedConfig
from reacgan.devices import allow_tf32, without_tf32
from reacgan.extractors.arithmetic import exact
from reacgan.history import read_records
from reacgan.training import train
from reacgan.training.engine import Engine
from reacgan.training.loop import Trainer
from reacgan.training.speed import (
    SWITCHES,
    Speed,
    choose,
    choose_precision,
    cpu_multiplies_bfloat16,
)
from reacgan.training.state import TrainState
from reacgan.training.step.work import Work

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def settled(device=CUDA, world=1, changes=None, **asked):
    config = SpeedConfig(**asked)
    settings = complete(experiment(**(changes or {})))
    return choose(config, device, experiment=settings, world=world)


def products():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture
def as_before():
    held = products()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = held


def test_every_switch_of_the_configuration_is_settled():
    assert set(SWITCHES) | {"mode"} == set(SpeedConfig.model_fields)


def test_plain_switches_everything_off():
    assert settled(CUDA, tf32=False).reasons["tf32"] == "switched off"
    for device in (CPU, CUDA):
        speed = settled(device, mode="plain")
        assert not any(getattr(speed, name) for name in SWITCHES)
        assert set(speed.describe()["off"]) == set(SWITCHES)
    assert speed.line().startswith("speed: nothing; not: merged convolutions (plain), ")
    one = settled(CPU, mode="plain", channels_last=True)
    assert one.describe()["on"] == ["channels_last"]


def test_automatic_takes_what_the_device_has_and_says_why_not():
    here, there = settled(CPU), settled(CUDA)
    assert (here.keep_memory, here.cuda_graphs) == (True, False)
    assert (there.keep_memory, there.cuda_graphs) == (False, True)
    for speed in (here, there):
        assert not speed.compile
        assert not speed.tf32_products
    assert (here.tf32, there.tf32) == (False, True)  # PyTorch's own default: convolutions alone
    assert here.describe()["off"] == {
        "kernels": "needs cuda",
        "cuda_graphs": "needs cuda",
        "compile": "only when asked",
        "tf32": "needs cuda",
        "tf32_products": "needs cuda",
        "overlapped_gradients": "one process",
        "bfloat16_gradients": "one process",
    }
    assert "gradients" not in here.line()
    assert settled(CPU, 2).overlapped_gradients
    assert not settled(CPU, 2).bfloat16_gradients
    assert settled(CPU, 2, bfloat16_gradients=True).bfloat16_gradients
    assert "bfloat16 gradients (changes results, only when asked)" in settled(CPU, 2).line()
    assert not settled(CPU, bfloat16_gradients=True).bfloat16_gradients
    assert there.describe()["off"]["tf32_products"] == "changes results, only when asked"
    assert "; not: kernels (needs cuda), cuda graphs (needs cuda), " in here.line()
    off = settled(CUDA, cuda_graphs=False).describe()["off"]
    assert off["cuda_graphs"] == "switched off"


def test_an_experiment_leaves_out_what_it_cannot_have():
    for world, changes, why in (
        (2, {}, "several processes"),
        (1, {"training.accumulate": 2}, "in parts"),
        (1, {"training.recompute": True}, "recomputed"),
    ):
        speed = settled(CUDA, world, changes)
        assert not speed.cuda_graphs
        assert why in speed.reasons["cuda_graphs"]
    assert settled(CUDA, 1, {"penalties": {"lecam": {}}}, compile=True).compile
    assert not settled(CUDA, compile=True).fused_layers
    assert settled(CUDA, compile=True, fused_layers=True).fused_layers
    assert settled(CUDA, 1, {"penalties": {"r1": {}}}, compile=True).fused_layers
    for changes, why in (
        ({"penalties": {"r1": {}}}, "differentiates twice"),
        ({"loss.latent_optimisation": {}}, "differentiates twice"),
        ({"training.recompute": True}, "computes blocks again"),
    ):
        speed = settled(CPU, 1, changes, compile=True)
        assert not speed.compile
        assert why in speed.reasons["compile"]
        assert "compile (" in speed.line()


@pytest.mark.parametrize("name", ["cuda_graphs", "tf32"])
def test_what_a_device_lacks_cannot_be_asked_for(name):
    with pytest.raises(ConfigError, match=rf"speed.{name} is true, which needs the device cuda"):
        choose(SpeedConfig(**{name: True}), CPU)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (True, False)),
        ({"tf32": False}, (False, False)),
        ({"tf32_products": True}, (True, True)),
        ({"mode": "plain"}, (False, False)),
    ],
)
def test_float32_on_cuda_is_what_pytorch_means_by_it_unless_asked(asked, expected):
    speed = choose(SpeedConfig(**asked), CUDA)
    assert (speed.tf32, speed.tf32_products) == expected


def test_a_process_computes_as_its_engine_says(as_before):
    allow_tf32(convolutions=True, products=True)
    Engine("cpu")
    assert products() == (False, False)
    described = Engine("cpu").describe()
    assert {described[f"float32_{kind}"] for kind in ("products", "convolutions")} == {"float32"}


def test_features_are_exact_whatever_training_does(as_before):
    allow_tf32(convolutions=True, products=True)
    with exact(CPU):
        assert products() == (False, False)
    with without_tf32():
        assert products() == (False, False)
    assert products() == (True, True)


def chosen_in_a_process(**environment):
    """What ``auto`` is on the CPU in a process with these restrictions."""
    code = (
        "import torch; from reacgan.training.speed import choose_precision; "
        "print(choose_precision('auto', torch.device('cpu')))"
    )
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**free, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_cpu_computes_in_bfloat16_where_it_has_the_instructions():
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("the processor's instructions are read from /proc/cpuinfo")
    flags = Path("/proc/cpuinfo").read_text().split()
    has = "avx512_bf16" in flags or "amx_bf16" in flags
    assert chosen_in_a_process() == ("bfloat16" if has else "float32")


@pytest.mark.parametrize(
    "restriction",
    [
        {"ONEDNN_MAX_CPU_ISA": "avx512_core"},
        {"ATEN_CPU_CAPABILITY": "avx2"},
    ],
)
def test_a_cpu_whose_libraries_are_restricted_computes_in_float32(restriction):
    assert chosen_in_a_process(**restriction) == "float32"


def test_a_precision_that_was_asked_for_is_taken():
    assert [choose_precision(name, CPU) for name in ("bfloat16", "float32", "float64")] == [
        "bfloat16",
        "float32",
        "float64",
    ]
    assert Engine("cpu", "float32").precision_line() == "precision: float32"
    line = Engine("cpu", "bfloat16").precision_line()
    assert line.startswith("precision: bfloat16 in the networks") and "precision=float32" in line
    auto = Engine("cpu", "auto").precision_line()
    assert f"{choose_precision('auto', CPU)}" in auto and "(auto" in auto


def test_a_run_keeps_the_precision_that_it_was_begun_in(tmp_path):
    """Whatever ``auto`` means where it goes on; asked for another, it refuses."""
    data, begun = images(), experiment(**{"training.precision": "bfloat16"})
    train(begun, tmp_path, data=data, quiet=True)
    longer = {"training.images": begun.training.images + begun.cycle_images}
    again = begun.replace(**longer, **{"training.precision": "auto"})
    train(again, tmp_path, data=data, quiet=True)
    recorded = json.loads((tmp_path / "experiment.json").read_text())
    assert recorded["training"]["precision"] == "bfloat16"
    with pytest.raises(ConfigError, match=r"training\.precision: bfloat16 -> float32"):
        train(begun.replace(**{"training.precision": "float32"}), tmp_path, data=data, quiet=True)


def test_a_run_says_its_ways_at_the_start_in_its_files_and_again_when_they_change(tmp_path, capfd):
    def run(images_to_see, **changes):
        settings = experiment("projection", **{"training.images": images_to_see, **changes})
        reacgan.train(settings, tmp_path, device="cpu", data=images(), verbose=True)
        return capfd.readouterr().err

    told = run(32)
    assert "speed: merged convolutions, merged passes" in told
    recorded = json.loads((tmp_path / "environment.json").read_text())["speed"]
    assert "channels_last" in recorded["on"]
    assert recorded["off"]["cuda_graphs"] == "needs cuda"
    run(64)
    assert "channels last (switched off)" in run(96, **{"speed.channels_last": False})
    lines = [line for line in read_records(tmp_path / "journal.jsonl") if "speed" in line]
    assert [line["images_seen"] for line in lines] == [32, 96]
    assert lines[0]["speed"] == recorded
    assert "channels_last" in lines[1]["speed"]["off"]


def test_an_engine_leaves_out_what_its_experiment_cannot_have():
    settings = complete(experiment(**{"penalties": {"r1": {}}, "speed.compile": True}))
    assert Engine("cpu", speed=settings.speed).speed.compile
    engine, data = Engine.of(settings, "cpu"), images()
    assert not engine.speed.compile
    trainer = Trainer(settings, TrainState.build(settings, 3, engine), data, engine)
    assert trainer.ways._way == Work.run
    assert trainer.ways.news() == []
    assert Speed() == Speed(reasons={"compile": "why not"})


def test_the_page_says_what_is_taken_by_default():
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    table = page.partition("<!-- defaults -->")[2].partition("<!-- end -->")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[3:-1]
    ]
    names = [name.strip("`") for name, *_ in rows]
    assert names == ["training.precision", *SWITCHES]
    for column, kind in enumerate(("cpu", "cuda", "mps"), start=1):
        device = torch.device(kind)
        speed = choose(SpeedConfig(), device)
        for name, row in zip(names[1:], rows[1:], strict=True):
            if name == "kernels" and kind == "cuda":
                assert row[column] == "on"  # where Triton is installed
                continue
            assert (row[column] == "on") == getattr(speed, name), (name, kind)
    has_it = "bfloat16 where the {} has it, else float32"
    assert rows[0][1:] == [has_it.format("processor"), has_it.format("GPU"), "float32"]
    assert choose_precision("auto", torch.device("mps")) == "float32"
    here = "bfloat16" if cpu_multiplies_bfloat16() else "float32"
    assert choose_precision("auto", CPU) == here
