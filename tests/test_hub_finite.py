"""Weights that are not finite are refused by whatever loads a network."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import reacgan as package
from reacgan import hub, publish
from reacgan.config import ConfigError
from reacgan.files import digest_of
from reacgan.records import sealed
from reacgan.sharing import check
from reacgan.tensors import describe_non_finite, non_finite, packed, read_tensors
from test_hub import rewrite


def spoil(file, *values, tensor=0):
    """Put values into one tensor of a file; gives its name."""
    tensors = load_file(file)
    name = sorted(one for one, held in tensors.items() if held.numel() >= len(values))[tensor]
    changed = tensors[name].clone()
    changed.view(-1)[: len(values)] = torch.tensor(values).to(changed)
    tensors[name] = changed
    file.unlink()
    save_file(tensors, file)
    return name, changed.numel()


@pytest.fixture
def run(run_folder, tmp_path):
    return shutil.copytree(run_folder, tmp_path / "run")


@pytest.fixture
def broken(run):
    """A run whose model, discriminator and newest state hold NaN; names and sizes of the tensors."""
    model = run / "model"
    wrong = {"generator": spoil(model / "model.safetensors", math.nan, math.inf)}
    rewrite(model, sha256=digest_of(model / "model.safetensors"))
    state = sorted((run / "checkpoints").iterdir())[-1]
    manifest = json.loads((state / "state.json").read_text())
    for part in ("average", "discriminator"):
        wrong[part] = spoil(state / f"{part}.safetensors", -math.inf)
        manifest["digests"][f"{part}.safetensors"] = digest_of(state / f"{part}.safetensors")
    (state / "state.json").write_text(json.dumps(sealed(manifest)))
    return run, wrong


def message(part, count):
    name, size = part
    return f"not finite .NaN or infinity.: {name} .{count} of {size:,}.; they generate no images"


def test_every_way_to_load_one(broken, tmp_path):
    run, wrong = broken
    for path in (run, run / "model"):
        with pytest.raises(ConfigError, match=message(wrong["generator"], 2)):
            hub.load(path, device="cpu")
    with pytest.raises(ConfigError, match=message(wrong["generator"], 2)):
        package.from_pretrained(run, device="cpu")
    with pytest.raises(ConfigError, match=message(wrong["discriminator"], 1)):
        hub.load_discriminator(run, device="cpu")
    with pytest.raises(ConfigError, match=message(wrong["generator"], 2)):
        publish(run, tmp_path / "published")
    found = {one.name: one for one in check(run / "model")}
    assert not found["generator"].passed and "not finite" in found["generator"].message


def test_a_state(broken, run_folder):
    run, wrong = broken
    shutil.rmtree(run / "model")
    shutil.copytree(run_folder / "model", run / "model")
    with pytest.raises(ConfigError, match=message(wrong["average"], 1)):
        hub.load_state(run, hub.list_states(run)[-1], device="cpu")


@pytest.mark.parametrize(
    "command",
    [
        "sample MODEL --out OUT",
        "walk MODEL --between 0,1 --out OUT",
        "evaluate MODEL --extractor domain --out OUT",
        "evaluate RUN --extractor domain --out OUT",
        "weights publish RUN --out OUT",
        "weights check MODEL",
    ],
)
def test_commands(reacgan, broken, tmp_path, command):
    run, wrong = broken
    places = {"MODEL": run / "model", "RUN": run, "OUT": tmp_path / "out"}
    code, out, err = reacgan(*(places.get(word, word) for word in command.split()))
    assert code == 1 and f"{wrong['generator'][0]} (2 of" in out + err
    assert not list((tmp_path / "out").rglob("*.png"))


def test_only_what_is_wrong_is_counted():
    tensors = {
        "fine": torch.full((3,), torch.finfo(torch.float32).max),
        "nan": torch.tensor([[math.nan, 0.0], [1.0, math.nan]]),
        "half": torch.tensor([1.0, math.inf]).half(),
        "whole": torch.arange(3),
        "empty": torch.empty(0, 3),
        "one": torch.tensor(-math.inf, dtype=torch.float64),
    }
    wrong = non_finite(tensors)
    assert wrong == {"nan": 2, "half": 1, "one": 1}
    assert describe_non_finite(tensors, wrong) == "nan (2 of 4), half (1 of 2), one (1 of 1)"
    many = {str(number): torch.tensor([math.nan]) for number in range(5)}
    assert describe_non_finite(many, non_finite(many)).endswith("2 (1 of 1) and 2 more")


def test_equal_tensors_are_equal_bytes(tmp_path):
    tensors = {"b": torch.arange(4.0), "a": torch.ones(())}
    content = packed(tensors)
    assert content == packed(dict(reversed(tensors.items())))
    assert b'"__metadata__":{"format":"pt"}' in content
    (tmp_path / "x.safetensors").write_bytes(content)
    back = read_tensors(tmp_path / "x.safetensors")
    assert torch.equal(back["b"], tensors["b"]) and back["a"] == 1
