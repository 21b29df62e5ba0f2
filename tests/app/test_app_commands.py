"""The command lines and settings that the page shows give the same bytes; models and their names."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from page_values import MOVES, SET, content, content_of, line_of, made, pixels

from reacgan.app.commands import sample_command
from reacgan.app.studio import Exhibit, PictureRecipe, open_studio, shown_names
from reacgan.config import ConfigError

pytest.importorskip("gradio")


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("digits-reacgan", {"label": 3, "seed": 5}),
        ("digits-reacgan", {"label": 9, "seed": 2**32 - 1, "truncation": 0.35}),
        ("digits-reacgan", {"label": 0, "seed": 1, "truncation": 1.0, "moves": MOVES}),
        ("styles", {"label": 1, "seed": 4, "psi": 0.45, "moves": MOVES}),
        *(("nasty", {"label": label, "seed": 2}) for label in range(12)),
    ],
)
def test_the_command_gives_the_same_picture(studio, reacgan, tmp_path, monkeypatch, model, changes):
    monkeypatch.chdir(tmp_path)
    recipe = PictureRecipe(model, **changes)
    line = sample_command(studio.exhibits[model], [recipe])
    code, _, errors = reacgan(*shlex.split(line)[1:])
    assert not code, errors
    (path,) = (tmp_path / "images").rglob("*.png")
    image = studio.picture(recipe)
    assert (pixels(path).reshape((*image.shape[1:], -1)) == image.permute(1, 2, 0).numpy()).all()


def test_the_command_of_a_sheet_gives_its_images(studio, handlers, reacgan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = list(studio.exhibits["nasty"].class_names[2:5])
    html, *_ = handlers.sheet("nasty", 0.5, 1, names, 2, 3)
    line = line_of(html)
    assert line[1:3] == ["sample", str(studio.exhibits["nasty"].word)] and "--grid" in line
    assert not reacgan(*line[1:])[0]
    assert content_of(html, "sheet-3.png") == (tmp_path / "images/grid.png").read_bytes()


@pytest.mark.parametrize("classes", [("3", "3"), ("2", "8")])
def test_the_command_of_a_walk_gives_its_images(handlers, reacgan, tmp_path, monkeypatch, classes):
    monkeypatch.chdir(tmp_path)
    html = handlers.walk("digits-reacgan", 0.9, 1, *classes, 1, 6, 5)
    code, _, errors = reacgan(*line_of(html)[1:])
    assert not code, errors
    assert content_of(html, "walk-1-6.png") == (tmp_path / "walk/between.png").read_bytes()


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        ("zip to save", {}),
        ("zip to save", {"model": "nasty", "truncation": 0, "classes": []}),
        ("folder", {"model": "nasty", "classes": ["a,b", "-x", "~root"]}),
        ("folder", {"model": "styles", "psi": 0.45, "classes": [], "moved": True}),
        ("webdataset", {"moved": True}),
        ("parquet", {}),
        ("hf", {}),
    ],
)
def test_the_command_of_a_data_set_gives_its_bytes(
    handlers, reacgan, tmp_path, monkeypatch, form, changes
):
    for package in {"webdataset": ["webdataset"], "parquet": ["datasets"]}.get(form, []):
        pytest.importorskip(package)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    picked = PictureRecipe(changes.get("model", SET["model"]), 1, 9, 0.3, moves=MOVES)
    html, path = made(handlers, form=form, picked=picked, **changes)
    code, _, errors = reacgan(*line_of(html)[1:])
    assert not code, errors
    (again,) = (tmp_path / "here").iterdir()
    original = tmp_path / "out/mine" if path is None else Path(path)
    assert again.name == original.name and content(again) == content(original)


def test_a_model_is_loaded_once(nasty, tmp_path):
    link = tmp_path / "again"
    link.symlink_to(nasty)
    studio = open_studio([nasty, link, str(nasty)], "cpu")
    assert list(studio.exhibits) == ["nasty"]
    with pytest.raises(ConfigError, match="no model is named"):
        open_studio([])


def test_models_of_one_name_are_told_apart(nasty, styles, tmp_path):
    for folder, model in (("a", nasty), ("b", styles)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model").symlink_to(model)
    studio = open_studio([tmp_path / "a/model", tmp_path / "b/model"], "cpu")
    assert list(studio.exhibits) == ["a", "b"]


def test_names_for_people():
    names = ["a\nb", "a b", "", "x" * 80, "\u202egpj", "👩\u200d🔬", "\udc80"]
    assert shown_names(names) == (
        *("a b (class 0)", "a b (class 1)", "class 2", "x" * 59 + "…"),
        *("gpj", "👩\u200d🔬", "class 6"),
    )


def test_a_class_that_no_word_names(studio):
    exhibit = studio.exhibits["nasty"]
    model = replace(exhibit.model, class_names=("all", "0"))
    odd = Exhibit("m", "m", model)
    with pytest.raises(ConfigError, match="no word on a command line means the class 'all'"):
        sample_command(odd, [PictureRecipe("m", 0, 0)])
    assert "--classes 0" in sample_command(odd, [PictureRecipe("m", 1, 0)])
