"""Data sets of the page: read back, stopped, resumed, never overwritten."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
import torch
from page_values import MOVES, SET, content, line_of, made, pixels

from reacgan.app.studio import PictureRecipe
from reacgan.config import DataConfig
from reacgan.data import open_dataset
from reacgan.generated import generate_dataset

pytest.importorskip("gradio")


MANY = {**SET, "classes": [], "count": 5_000}


def test_a_data_set_reads_back(studio, handlers, tmp_path):
    said, path = made(handlers, model="nasty", classes=[])
    assert "24 images of 12 classes: save mine.zip below" in said
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "set")
    with (tmp_path / "set/labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = studio.exhibits["nasty"].model.class_names
    assert len(rows) == 24 and {row["class"] for row in rows} == set(names)
    for row in rows[::7]:
        label = names.index(row["class"])
        recipe = PictureRecipe("nasty", label, int(row["seed"]), 0.8)
        image = studio.picture(recipe).permute(1, 2, 0).numpy()
        assert (pixels(tmp_path / "set" / row["file"]) == image).all()
    config = DataConfig(name="folder", path=str(tmp_path / "set"), resolution=16, channels=3)
    data = open_dataset(config, "train")
    assert len(data) == 24 and len(data.class_names) == 12


def test_the_moves_of_the_picked_picture_stand_in_the_manifest(studio, handlers, tmp_path):
    recipe = PictureRecipe("digits-reacgan", 3, 9, moves=MOVES)
    html, _ = made(handlers, form="folder", moved=True, picked=recipe)
    assert "--toward" in line_of(html) and "--along" in line_of(html)
    settings = json.loads((tmp_path / "out/mine/manifest.json").read_text())["settings"]
    assert settings["moves"] == MOVES.facts() and settings["truncation"] == 0.8
    image = studio.picture(PictureRecipe("digits-reacgan", 7, 5, 0.8, moves=MOVES))[0].numpy()
    assert (pixels(tmp_path / "out/mine/7/5.png") == image).all()


@pytest.mark.parametrize("form", ["zip to save", "folder"])
@pytest.mark.parametrize("way", ["cancelled", "closed", "the page ends"])
def test_a_stopped_data_set_leaves_nothing(studio, handlers, tmp_path, form, way):
    written = handlers.data_set("me", *{**MANY, "form": form}.values())
    assert "0 of 50,000 images" in next(written)[0]
    assert re.search("[1-9][0-9,]* of 50,000", next(written)[0])
    assert any(path.is_file() for path in tmp_path.rglob("*"))
    if way == "cancelled":
        assert "Cancelled; nothing was kept." in handlers.cancel("me")[0]
        assert "Cancelled; nothing was kept." in list(written)[-1][0]
    elif way == "closed":
        written.close()
        assert "Cancelled; nothing was kept." in handlers.cancel("me")[0]
    else:
        handlers.sets.__exit__()
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.name == "mine"] == []


def test_what_was_begun_before_stays(studio, handlers, tmp_path):
    model = studio.exhibits["digits-reacgan"].model
    asked = iter([False] * 5 + [True])
    begun = generate_dataset(
        model,
        tmp_path / "out/mine",
        num=MANY["count"],
        settings=PictureRecipe("digits-reacgan", 0, 4, 0.8).settings(),
        should_stop=lambda: next(asked),
    )
    assert begun.done == 64
    written = handlers.data_set("me", *{**MANY, "form": "folder"}.values())
    next(written)
    said, _ = handlers.cancel("me")
    words = rf"Cancelled; [0-9,]+ of 50,000 images, begun before, stay in {tmp_path / 'out/mine'}"
    assert re.search(words, said)
    assert len(list((tmp_path / "out/mine").rglob("*.png"))) >= 64


def test_nobody_stops_the_data_set_of_another(handlers):
    written = handlers.data_set("me", *SET.values())
    next(written)
    assert "nothing was kept" in handlers.cancel("somebody")[0]
    assert "save mine.zip" in list(written)[-1][0]
    said, path = handlers.cancel("me")  # too late: it stays to be saved
    assert "save mine.zip" in said and Path(path).is_file()


def test_pictures_are_made_between_the_passes_of_a_data_set(studio, handlers):
    recipe = PictureRecipe("digits-reacgan", 5, 3)
    picture = studio.picture(recipe)
    written = handlers.data_set("me", *{**SET, "classes": [], "count": 100}.values())
    next(written)
    pictures = 0
    running = handlers.sets._jobs[-1]
    while not running.ended(0):
        assert torch.equal(studio.picture(recipe), picture)
        pictures += 1
    assert pictures > 5
    _, path = list(written)[-1]
    with zipfile.ZipFile(path) as archive:
        for label, seed in ((0, 4), (5, 50), (9, 103)):
            image = studio.picture(PictureRecipe("digits-reacgan", label, seed, 0.8))[0].numpy()
            assert (pixels(io.BytesIO(archive.read(f"{label}/{seed}.png"))) == image).all()


def test_a_folder_is_never_overwritten(handlers, tmp_path):
    made(handlers, form="folder")
    before = content(tmp_path / "out/mine")
    assert (
        f"4 images of 2 classes in {tmp_path / 'out/mine'} (4 of them made before)"
        in (made(handlers, form="folder")[0])
    )
    with pytest.raises(Exception, match="holds images that were made otherwise: images is 4 there"):
        made(handlers, form="folder", count=3)
    (tmp_path / "out/theirs").mkdir()
    (tmp_path / "out/theirs/thesis.txt").write_text("years")
    with pytest.raises(Exception, match="exists and is no data set"):
        made(handlers, form="folder", name="theirs")
    assert content(tmp_path / "out/mine") == before
    assert content(tmp_path / "out/theirs") == {"thesis.txt": b"years"}


def test_old_zips_go(handlers, tmp_path):
    for number in range(5):
        made(handlers, seed=number)
    assert len(list((tmp_path / "scratch").rglob("mine.zip"))) == 3
