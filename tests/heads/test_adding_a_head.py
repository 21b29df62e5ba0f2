"""The page docs/adding-a-head.md, followed to the letter from outside the package."""

from __future__ import annotations

import re
import types
from pathlib import Path

import reacgan
from reacgan.config import DataConfig, Experiment
from reacgan.data import open_dataset
from reacgan.heads import HEADS

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-head.md"


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
