"""A state that was carried in fewer bytes goes on: networks to the bit, moments to eight bits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import reacgan
from reacgan.history import read_records
from reacgan.training.checkpoint import list_checkpoints

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.gpu import transport

CHANGES = {
    "training.images": 1_280,
    "report.checkpoint_every": 1_280,
    "training.precision": "float32",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    reacgan.train(reacgan.experiment("digits/reacgan").replace(**CHANGES), folder, quiet=True)
    return folder


def tensors(run):
    newest = list_checkpoints(run / "checkpoints")[-1]
    return {file.stem: load_file(file) for file in newest.glob("*.safetensors")}


def test_what_is_carried_goes_on(run, tmp_path):
    pieces = transport.pack(run, tmp_path / "out", 200_000)
    assert len(pieces) > 1
    size = sum(path.stat().st_size for path in pieces)
    newest = list_checkpoints(run / "checkpoints")[-1]
    assert size < 0.75 * sum(path.stat().st_size for path in newest.iterdir())
    carried = tmp_path / "carried"
    transport.unpack(tmp_path / "out", carried)
    before, after = tensors(run), tensors(carried)
    for part in before:
        for name, value in before[part].items():
            other = after[part][name]
            assert other.dtype == value.dtype
            if part in ("generator", "discriminator", "adaptive"):
                assert torch.equal(other, value), name
            else:
                torch.testing.assert_close(
                    other, value, rtol=2**-8, atol=1e-4, msg=f"{part}/{name}"
                )
    longer = {**CHANGES, "training.images": 1_920}
    again = reacgan.train(
        reacgan.experiment("digits/reacgan").replace(**longer), carried, quiet=True
    )
    assert again.complete
    assert any(
        "not the uninterrupted one" in line.get("event", {}).get("message", "")
        for line in read_records(carried / "journal.jsonl")
    )


def test_a_torn_piece_is_not_taken(run, tmp_path):
    pieces = transport.pack(run, tmp_path / "out", 100_000)
    pieces[len(pieces) // 2].unlink()
    with pytest.raises(Exception, match=r".+"):
        transport.unpack(tmp_path / "out", tmp_path / "carried")
