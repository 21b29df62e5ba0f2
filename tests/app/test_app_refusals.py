"""Values from a browser that are of another type, out of range or of somebody else are refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from page_values import MOVES, SET, made

from reacgan.app import checks
from reacgan.app.handlers import Handlers
from reacgan.app.sets import DataSets
from reacgan.app.studio import Exhibit, PictureRecipe
from reacgan.config import ConfigError
from reacgan.sampling import Moves

pytest.importorskip("gradio")


SHEET = {
    "model": "digits-reacgan",
    "truncation": 0,
    "psi": 1,
    "classes": ["3"],
    "count": 2,
    "seed": 0,
}


HOSTILE = [
    ("model", "../../etc/passwd", "model is '../../etc/passwd'; allowed: 'digits-reacgan'"),
    ("model", {"a": 1}, "model is"),
    ("classes", ["3", "<script>"], "class is '<script>'; allowed: '0', '1'"),
    ("classes", [3], "class is 3"),
    ("classes", "x" * 10_000, "\\.\\.\\.; allowed"),
    ("classes", ["3"] * 101, "101 classes are chosen; allowed with so many images of each: 100"),
    ("count", 10**9, "images a class is 1000000000; allowed: a whole number from 1 to 25"),
    ("count", -1, "allowed: a whole number from 1 to 25"),
    ("count", 0, "allowed"),
    ("count", 2.5, "allowed"),
    ("count", True, "allowed"),
    ("count", None, "allowed"),
    ("count", "8", "allowed"),
    ("count", math.nan, "images a class is nan"),
    ("seed", -1, "seed is -1; allowed: a whole number from 0 to 4,294,967,295"),
    ("seed", 2**32, "seed is 4294967296; allowed"),
    ("seed", 1e300, "allowed"),
    ("truncation", math.nan, "truncation is nan; allowed: a number from 0 to 5"),
    ("truncation", math.inf, "allowed"),
    ("truncation", -1, "allowed"),
    ("truncation", 1e-9, "truncation is 1e-09; allowed: 0 \\(none\\), or 0.05 to 5"),
    ("truncation", [1], "allowed"),
]


@pytest.mark.parametrize(("name", "value", "words"), HOSTILE)
def test_hostile_values_are_refused_with_the_limit(handlers, name, value, words):
    with pytest.raises(ConfigError, match=words):
        handlers.sheet(*{**SHEET, name: value}.values())


@pytest.mark.parametrize("psi", [math.nan, -0.1, 1.1, "1"])
def test_hostile_psi(handlers, psi):
    with pytest.raises(ConfigError, match="psi is .*; allowed: a number from 0 to 1"):
        handlers.sheet("styles", 0, psi, ["cat"], 1, 0)


def test_hostile_walks_and_moves(handlers, studio):
    walk = ["digits-reacgan", 0, 1, "3", "4", 0, 1, 12]
    for position, value in (
        (7, 61),
        (7, 1),
        (7, math.nan),
        (5, -1),
        (3, "nothing"),
        (4, ["1", "2"]),
    ):
        with pytest.raises(ConfigError, match="allowed"):
            handlers.walk(*[*walk[:position], value, *walk[position + 1 :]])
    recipe = PictureRecipe("digits-reacgan", 3, 0)
    for amount in (math.nan, math.inf, 1e9, "1", None):
        with pytest.raises(
            ConfigError, match="direction 1 is .*; allowed: a number from -10 to 10"
        ):
            handlers.move(recipe, amount, 0, 0, 0, 0)
    for share in (0, 1, math.nan, "0.5"):
        with pytest.raises(ConfigError, match="how far is"):
            handlers.alike(recipe, share)
    far = replace(recipe, moves=Moves(toward=((1, 0.1),) * checks.MAX_TOWARD))
    with pytest.raises(ConfigError, match="8 steps of"):
        handlers.alike(far, 0.2)
    for picked in (None, "recipe", {"label": 1}):
        with pytest.raises(ConfigError, match="no picture is picked yet"):
            handlers.near(picked)
    for recipes, index in ((None, 0), ([recipe], 1), ([recipe], -1), ([recipe], "0")):
        with pytest.raises(ConfigError, match="press Generate first|picture is"):
            handlers.pick(recipes, index)


def test_a_sheet_has_limited_pixels(studio):
    exhibit = studio.exhibits["digits-reacgan"]
    large = replace(
        exhibit.model, experiment=exhibit.model.experiment.replace(**{"data.resolution": 1024})
    )
    with pytest.raises(
        ConfigError, match="images is 65; allowed for images of 1024 x 1024: at most 64"
    ):
        Exhibit("m", "m", large).affordable("images", 65)


@pytest.mark.parametrize(
    ("position", "value", "words"),
    [
        (4, 10**7, "images a class is 10000000; allowed: a whole number from 1 to 50,000"),
        (4, 40_000, "40,000 images of 10 classes are 400,000; allowed on this page: 50,000 in all"),
        (5, 2**32 - 1, "the last seed is"),
        (6, "../outside", "name is '../outside'; allowed: 1 to 64 of the letters"),
        (6, "a/b", "name is"),
        (6, "..", "name is"),
        (6, "", "name is"),
        (6, "nul\0", "name is"),
        (6, "x" * 65, "name is"),
        (6, "name\n", "name is"),
        (6, None, "name is None"),
        (7, "folder in /", "form is"),
        (7, ["folder"], "form is"),
        (8, "yes", "move as the picked picture is 'yes'; allowed: true, false"),
        (8, 1, "move as the picked picture is 1"),
        (8, True, "no picture is picked yet"),
    ],
)
def test_hostile_data_sets(handlers, tmp_path, position, value, words):
    values = [*{**SET, "classes": []}.values()]
    values[position] = value
    with pytest.raises(Exception, match=re.escape(words).replace("'", "&#x27;")):
        list(handlers.data_set("me", *values))
    assert not (tmp_path / "out").exists()


def test_the_picked_picture_of_another_model(handlers):
    with pytest.raises(Exception, match="picture is one of styles; pick one of digits-reacgan"):
        made(handlers, moved=True, picked=PictureRecipe("styles", 0, 0, moves=MOVES))


def test_without_a_folder_there_are_zips_alone(studio, tmp_path):
    with DataSets(studio, tmp_path, None) as sets:
        with pytest.raises(Exception, match="form is .*folder.*; allowed: .*zip to save"):
            made(Handlers(sets, "auto"), form="folder")
        assert list(tmp_path.iterdir()) == []


def test_texts_are_neither_html_nor_templates():
    from reacgan.app.markup import text

    shown = text("<b onclick='x'>{{constructor}} ${1+1} `\0")
    assert not set("<>'{}$`\0") & set(shown) and "&#123;&#123;constructor" in shown


def test_an_error_of_ours_is_not_described(handlers, caplog, monkeypatch):
    from reacgan.app.handlers import for_people

    def broken(*_):
        raise RuntimeError("/secret/path")

    with pytest.raises(Exception, match="An error of the program") as caught:
        for_people(broken)()
    assert "/secret" not in str(caught.value) and "/secret/path" in caplog.text
