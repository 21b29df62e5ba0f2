"""The page docs/adding-a-head.md, followed to the letter from outside the package."""

from __future__ import annotations

import re
import types
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

import reacgan
from reacgan.config import DataConfig, Experiment
from reacgan.data import open_dataset
from reacgan.heads import HEADS, PLAIN_LAYERS, Head, HeadOutput, Layers
from reacgan.heads.base import unit

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-head.md"


def test_the_script_on_the_page_registers_and_trains(tmp_path, monkeypatch, capsys):
    """As a stranger runs it, in a minute's place a few images; then it says how to go on."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)
    code = "\n".join(block for block in blocks if not block.startswith("HEADS"))
    code = code.replace("minutes=2", "minutes=2, device='cpu'").replace(
        '"model.head.scale"', '"training.images": 64, "training.batch": 16, "model.head.scale"'
    )
    code = code.replace(
        '"training.batch": 16',
        '"training.batch": 16, "model.generator.width": 4, "model.backbone.width": 4',
    )
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("cosine_script")
    try:
        exec(compile(code, str(PAGE), "exec"), module.__dict__)
    finally:
        HEADS.pop("cosine_projection", None)
    said = "".join(capsys.readouterr())
    assert (tmp_path / "runs" / "cosine" / "model").is_dir()
    assert "run your script again, with training.images=128" in said
    assert "it registers the head cosine_projection" in said
    assert "reacgan train" not in said.partition("next:")[2]


def test_the_page_adds_a_head_that_trains(tmp_path, monkeypatch):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)[0]
    module = types.ModuleType("cosine_projection")
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(HEADS, "cosine_projection", module.CosineProjectionHead)

    changes = {
        "model.head.name": "cosine_projection",
        "model.head.scale": 5.0,
        "loss.conditioning_weight": 0,
        "training.images": 64,
        "training.batch": 16,
        "model.generator.width": 4,
        "model.backbone.width": 4,
    }
    experiment = reacgan.experiment("digits/reacgan").replace(**changes)
    assert isinstance(experiment, Experiment)
    data = open_dataset(DataConfig(name="digits", resolution=8, channels=1))
    result = reacgan.train(experiment, tmp_path, device="cpu", data=data, quiet=True)
    assert result.complete
    samples = list(reacgan.sample(reacgan.load(tmp_path, device="cpu"), "3,7", num=2))
    assert [sample.class_name for sample in samples] == ["3", "3", "7", "7"]


class RecordingHead(Head):
    """A classifier that keeps the types that its products have."""

    seen: ClassVar[dict[str, set[torch.dtype]]] = {}

    def __init__(
        self, *, in_features: int, num_classes: int, layers: Layers = PLAIN_LAYERS
    ) -> None:
        super().__init__()
        self.score = layers.linear(in_features, 1, True)
        self.weight = nn.Parameter(torch.randn(num_classes, in_features))

    def forward(self, features, labels):
        logits = unit(features) @ unit(self.weight).T
        score = self.score(features).squeeze(1)
        self.note("forward", features, logits, score)
        return HeadOutput(score=score, labels=labels, logits=logits)

    def d_loss(self, real, fake):
        return self.loss("d_loss", real)

    def g_loss(self, fake):
        return self.loss("g_loss", fake)

    def loss(self, name, output):
        self.note(name, output.features, output.logits @ output.logits.T)
        return functional.cross_entropy(output.logits, output.labels)

    def note(self, name, *tensors):
        self.seen.setdefault(name, set()).update(
            tensor.dtype for tensor in tensors if tensor is not None
        )


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("over", [False, True])
def test_a_head_from_outside_gets_full_precision_in_a_bfloat16_run(
    over, parts, tmp_path, monkeypatch
):
    """Also below a built-in head that wraps it, and in accumulated batches."""
    monkeypatch.setitem(HEADS, "recording", RecordingHead)
    monkeypatch.setattr(RecordingHead, "seen", {})
    named = {"model.head.name": "twin", "model.head.over": {"name": "recording"}}
    changes = {
        **(named if over else {"model.head.name": "recording"}),
        "training.precision": "bfloat16",
        "training.images": 64,
        "training.batch": 16,
        "training.accumulate": parts,
        "model.generator.width": 4,
        "model.backbone.width": 4,
    }
    experiment = reacgan.experiment("digits/reacgan").replace(**changes)
    data = open_dataset(DataConfig(name="digits", resolution=8, channels=1))
    reacgan.train(experiment, tmp_path, device="cpu", data=data, quiet=True)
    whole = {torch.float32}
    assert RecordingHead.seen == {"forward": whole, "d_loss": whole, "g_loss": whole}


def test_a_head_may_see_to_its_precision_itself():
    class Own(RecordingHead, full_precision=False):
        def forward(self, features, labels):
            logits = features @ self.weight.T
            return HeadOutput(score=logits[:, 0], labels=labels, logits=logits)

    head, labels = Own(in_features=4, num_classes=3), torch.zeros(2, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = head(torch.randn(2, 4), labels)
        assert output.logits.dtype == torch.bfloat16
        assert head.g_loss(replace(output, features=output.logits)).dtype == torch.float32
