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
