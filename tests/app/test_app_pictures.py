"""Sheets, pictures like one, its nearest training images; nothing is fetched for them."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.app.studio import PictureRecipe
from reacgan.config import DataConfig
from reacgan.data import open_dataset

pytest.importorskip("gradio")


def test_none_chosen_means_evenly_spaced_classes(handlers):
    _, recipes, *_ = handlers.sheet("digits-reacgan", 0, 1, [], 25, 0)
    assert sorted({recipe.label for recipe in recipes}) == [0, 1, 3, 4, 5, 6, 8, 9]


def test_more_like_this_is_near(studio, handlers):
    recipe = PictureRecipe("digits-reacgan", 3, 5)
    html, recipes = handlers.alike(recipe, 0.1)
    assert [near.moves.toward for near in recipes[:2]] == [((6, 0.1),), ((7, 0.1),)]
    assert html.count("<img") == 8 and "10% to seed 6" in html

    def apart(others) -> float:
        return float(
            (studio.pictures(others).float() - studio.picture(recipe).float()).abs().mean()
        )

    assert apart(recipes) < apart([replace(recipe, seed=seed) for seed in range(6, 14)]) / 2


def test_neighbours_are_the_nearest_training_images(studio):
    recipe = PictureRecipe("digits-reacgan", 3, 5)
    near = studio.near(recipe, 8)
    data = open_dataset(studio.exhibits["digits-reacgan"].model.experiment.data, "train")
    picture = studio.picture(recipe).float()
    squares = (torch.tensor(np.array(data.images)).float() - picture).square().mean((1, 2, 3))
    expected, order = (part[:8] for part in squares.sqrt().sort())
    assert [one.distance for one in near] == pytest.approx(expected.tolist(), rel=1e-5)
    nearest = int(order[0])
    assert torch.equal(near[0].image, torch.tensor(np.array(data.images[nearest])))
    assert near[0].class_name == data.class_names[int(data.labels[nearest])]


def test_missing_training_images_are_said_and_not_fetched(handlers, tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))

    def fetched(*_, **__):
        raise AssertionError("went to the network")

    monkeypatch.setattr("urllib.request.urlopen", fetched)
    words = handlers.near(PictureRecipe("styles", 0, 0))
    assert re.search("images of styles are not here.*nothing is downloaded", words)


def test_nothing_of_the_hub_is_fetched_either():
    from reacgan.data import DataError, offline

    config = DataConfig(name="hub", path="someone/pets", resolution=16, channels=3)
    with offline(), pytest.raises(DataError, match="nothing is downloaded now"):
        open_dataset(config)


def test_pictures_of_other_channel_counts(tmp_path):
    from reacgan.app.pixels import gif_of, png_of

    for channels, mode in ((1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (6, "RGB")):
        images = torch.randint(0, 256, (3, channels, 8, 8), dtype=torch.uint8)
        assert Image.open(io.BytesIO(png_of(images[0]))).mode == mode
        gif = Image.open(io.BytesIO(gif_of(images)))
        assert (gif.n_frames, gif.size) == (4, (128, 128))


def test_a_column_of_names_is_as_wide_as_their_words():
    """A word that is broken is no word; a long name takes lines, not the room of the pictures."""
    from reacgan.app.markup import Shown, sheet

    def width(name):
        html = sheet([(name, [Shown("", "")])], 8, label="sheet")
        return float(re.search(r"--names: ([0-9.]+)rem", html)[1])

    assert width("3") < width("лисица") < width("Обыкновенная лисица") == width("Обыкновенная")
    assert width("x" * 200) == width("x" * 14) and width("家猫") == width("abcd")
