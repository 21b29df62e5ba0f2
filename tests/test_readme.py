"""What README and the page on sampling show is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

import reacgan
from reacgan.assembly import complete
from reacgan.cli import build_app
from reacgan.config import load_experiment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SAMPLING = (ROOT / "docs" / "sampling.md").read_text("utf-8")
LINKS = re.findall(r"\]\((?!http)([^)#]+)\)", README)
COMMANDS = re.findall(r"^reacgan (.+?)\s*(?:#.*)?$", README + SAMPLING, flags=re.M)


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    bound = build_app().parse_args(command, exit_on_error=False, print_error=False)
    assert bound[0].__module__.startswith("reacgan.cli")


def test_the_yaml_is_a_configuration(tmp_path):
    (code,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.S)
    file = tmp_path / "mine.yaml"
    file.write_text(code)
    experiment = complete(load_experiment(file))
    assert experiment.data.resolution == yaml.safe_load(code)["data"]["resolution"]


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    small = '{"training.seed": 1, "training.images": 640}'
    assert '{"training.seed": 1}' in code
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace('{"training.seed": 1}', small), "README", "exec"), {})
    assert "7 3 torch.Size([1, 8, 8])" in capsys.readouterr().out
    assert reacgan.load(tmp_path / "runs" / "digits").images_seen == 640
    model, sampling = re.findall(r"```python\n(.*?)```", SAMPLING, flags=re.S)
    exec(compile(model, "sampling.md", "exec"), {})
    assert "8 7 3 torch.Size([1, 8, 8])" in capsys.readouterr().out
    with Image.open("three.png") as three, Image.open("sheet.png") as sheet:
        assert three.size == (8, 8) and sheet.width > sheet.height
    names = {}
    exec(compile(sampling, "sampling.md", "exec"), names)
    assert capsys.readouterr().out.count("torch.Size([1, 8, 8])") == 8
    assert names["way"].shape == (8, 1, 8, 8) and names["rows"].shape == (2, 7, 1, 8, 8)
