"""Runs and models of the last release (tests/fixtures/released) resume and sample with the same bits.

Bits depend on torch's version and the processor's kernels. Where those are not the recorded ones, the
values must be close instead.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reacgan.config import CodesConfig, ModelConfig, load_experiment
from reacgan.heads import build_head, head_options
from reacgan.training import train

RELEASED = Path(__file__).resolve().parents[1] / "fixtures" / "released"
CLOSE = {"atol": 1e-4, "rtol": 1e-4}

_spec = importlib.util.spec_from_file_location("make_released", RELEASED / "make.py")
assert _spec is not None and _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


@pytest.fixture(scope="module")
def same_kernels() -> bool:
    return make.kernels() == json.loads((RELEASED / "d2dce/expected.json").read_text())["kernels"]


def same_pixels(model: Path, expected: torch.Tensor, same_kernels: bool) -> None:
    difference = (make.pixels(model).int() - expected.int()).abs().amax()
    assert difference <= (0 if same_kernels else 1)


@pytest.mark.kernels
@pytest.mark.parametrize("name", make.RUNS)
def test_a_released_run_resumes(name, tmp_path, same_kernels):
    run = shutil.copytree(RELEASED / name / "run", tmp_path / "run")
    result = train(load_experiment(run / "experiment.json"), run, device="cpu", quiet=True)
    assert result.complete
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    assert min(line["images_seen"] for line in lines) >= make.HALF  # not from the beginning
    state = make.last_state(run)
    expected = load_file(RELEASED / name / "expected.safetensors")
    for part in make.NETWORKS:
        assert state[part].keys() == {
            key.removeprefix(f"{part}/") for key in expected if key.startswith(f"{part}/")
        }
        for key, value in state[part].items():
            torch.testing.assert_close(value, expected[f"{part}/{key}"], **CLOSE)
    if same_kernels:
        digests = json.loads((RELEASED / name / "expected.json").read_text())["state"]
        assert {part: make.digest(tensors) for part, tensors in state.items()} == digests
    same_pixels(run / "model", expected["pixels"], same_kernels)


@pytest.mark.kernels
@pytest.mark.parametrize("name", make.RUNS)
def test_a_released_model_makes_its_images(name, same_kernels):
    expected = load_file(RELEASED / name / "expected.safetensors")["pixels"]
    assert len(expected.unique()) > 50
    same_pixels(RELEASED / name / "model", expected, same_kernels)


@pytest.mark.parametrize("row", json.loads((RELEASED / "heads.json").read_text()))
def test_options_of_released_heads_over_others(row):
    """Written beside the outer head's own, as the release had them; and names in states."""
    released = ModelConfig.model_validate({"head": row["head"]}).head
    codes = CodesConfig(**make.CODES) if released.name == "infogan" else None
    head = build_head(released, in_features=6, num_classes=3, codes=codes)
    assert {key: list(value.shape) for key, value in head.state_dict().items()} == row["state"]
    assert "over" in head_options(released)
