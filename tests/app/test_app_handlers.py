"""What the page makes: true command lines, refused values, data sets, neighbours; without a browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import shlex
import zipfile
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.app import checks
from reacgan.app.commands import sample_command
from reacgan.app.handlers import Handlers
from reacgan.app.sets import DataSets
from reacgan.app.studio import Exhibit, PictureRecipe, open_studio, shown_names
from reacgan.config import ConfigError, DataConfig
from reacgan.data import open_dataset
from reacgan.generated import generate_dataset
from reacgan.sampling import Moves

pytest.importorskip("gradio")


@pytest.fixture(scope="session")
def studio(nasty, styles):
    return open_studio(["digits-reacgan", nasty, styles], "cpu")


@pytest.fixture
def handlers(studio, tmp_path):
    with DataSets(studio, tmp_path / "scratch", tmp_path / "out") as sets:
        yield Handlers(sets, "auto")


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def content_of(html: str, name: str) -> bytes:
    """The content of a link that saves."""
    match = re.search(rf'download="[^"]*{name}" href="data:[^,]*,([^"]*)"', html)
    return base64.b64decode(match[1])


MOVES = Moves(toward=((7, 0.1 + 0.2), (8, 0.1)), along=((1, 1.5), (3, -0.25)))


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
    odd = Exhibit("m", "m", model, "")
    with pytest.raises(ConfigError, match="no word on a command line means the class 'all'"):
        sample_command(odd, [PictureRecipe("m", 0, 0)])
    assert "--classes 0" in sample_command(odd, [PictureRecipe("m", 1, 0)])


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
        Exhibit("m", "m", large, "").affordable("images", 65)


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


def test_texts_are_neither_html_nor_templates():
    from reacgan.app.markup import text

    shown = text("<b onclick='x'>{{constructor}} ${1+1} `\0")
    assert not set("<>'{}$`\0") & set(shown) and "&#123;&#123;constructor" in shown


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


SET = {
    "model": "digits-reacgan",
    "truncation": 0.8,
    "psi": 1,
    "classes": ["7", "3"],
    "count": 2,
    "seed": 4,
    "name": "mine",
    "form": "zip to save",
    "moved": False,
    "picked": None,
}
MANY = {**SET, "classes": [], "count": 5_000}


def made(handlers, **changes) -> tuple[str, str | None]:
    """The end of a data set: what is said, and the file."""
    return list(handlers.data_set("me", *{**SET, **changes}.values()))[-1]


def line_of(html: str) -> list[str]:
    """The words of the command line that is shown."""
    return shlex.split(unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", html)[1]))


def content(path):
    """Every file, byte for byte."""
    if path.is_file():
        return path.read_bytes()
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


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


def test_without_a_folder_there_are_zips_alone(studio, tmp_path):
    with DataSets(studio, tmp_path, None) as sets:
        with pytest.raises(Exception, match="form is .*folder.*; allowed: .*zip to save"):
            made(Handlers(sets, "auto"), form="folder")
        assert list(tmp_path.iterdir()) == []


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


def test_old_zips_go(handlers, tmp_path):
    for number in range(5):
        made(handlers, seed=number)
    assert len(list((tmp_path / "scratch").rglob("mine.zip"))) == 3


def test_an_error_of_ours_is_not_described(handlers, caplog, monkeypatch):
    from reacgan.app.handlers import for_people

    def broken(*_):
        raise RuntimeError("/secret/path")

    with pytest.raises(Exception, match="An error of the program") as caught:
        for_people(broken)()
    assert "/secret" not in str(caught.value) and "/secret/path" in caplog.text


def test_pictures_of_other_channel_counts(tmp_path):
    from reacgan.app.pixels import gif_of, png_of

    for channels, mode in ((1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (6, "RGB")):
        images = torch.randint(0, 256, (3, channels, 8, 8), dtype=torch.uint8)
        assert Image.open(io.BytesIO(png_of(images[0]))).mode == mode
        gif = Image.open(io.BytesIO(gif_of(images)))
        assert (gif.n_frames, gif.size) == (4, (128, 128))
