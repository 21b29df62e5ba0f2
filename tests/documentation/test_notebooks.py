"""The notebooks run from beginning to end, and lie here without outputs."""

from __future__ import annotations

import re

import nbclient
import nbformat
import pytest
from fences import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SMALL = {"IMAGES": 256, "COUNT": 8, "CLASSES": 4, "EPOCHS": 1}
"""The budgets that the notebooks name in capitals, at the size of a test."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path):
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert notebook.cells[0].cell_type == "markdown" and path.stat().st_size < 20_000


def run_small(path, folder):
    """The notebook after all of its cells, with small budgets, in an empty folder."""
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    changed = set()
    for cell in notebook.cells:
        for name, value in SMALL.items():
            cell.source, count = re.subn(
                rf"^{name} = [\d_]+", f"{name} = {value}", cell.source, flags=re.M
            )
            changed |= {name} if count else set()
    assert "IMAGES" in changed
    nbclient.NotebookClient(
        notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def outputs(notebook, kind):
    return [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if kind in output.get("data", {}) or output.output_type == kind
    ]


def printed(notebook):
    return "".join(output["text"] for output in outputs(notebook, "stream"))


def warned(notebook):
    """What came as a warning, but for a progress bar's that wants widgets."""
    lines = [line for line in printed(notebook).splitlines() if "Warning:" in line]
    return [line for line in lines if "IProgress" not in line]


def test_first_generator(tmp_path):
    notebook = run_small(ROOT / "examples" / "first_generator.ipynb", tmp_path)
    assert len(outputs(notebook, "image/png")) == 4
    assert "recall" in printed(notebook) and not warned(notebook)
    assert (tmp_path / "runs" / "first" / "model").is_dir()


@pytest.mark.slow
def test_own_folder(tmp_path):
    notebook = run_small(ROOT / "examples" / "own_folder.ipynb", tmp_path)
    assert len(outputs(notebook, "image/png")) == 2
    assert (tmp_path / "runs" / "own" / "report.html").exists() and not warned(notebook)


@pytest.mark.slow
def test_acgan_and_reacgan(tmp_path):
    notebook = run_small(ROOT / "examples" / "acgan_and_reacgan.ipynb", tmp_path)
    assert len(outputs(notebook, "image/png")) == 3
    scores = re.findall(r"^(ACGAN|ReACGAN) +fid", printed(notebook), flags=re.M)
    assert scores == ["ACGAN", "ReACGAN"] and not warned(notebook)
