"""Words of the command line and of configurations: whole numbers, and ~ as the home folder."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import cyclopts
import pytest

import reacgan as package
from commands import TINY, leaves
from reacgan.cli import build_app
from reacgan.cli.options import written_out
from reacgan.config import Experiment, Schema, load_experiment, with_home
from reacgan.data import DATASETS, find_dataset, refuse_inside

PARAMETERS = [
    (words, argument)
    for words, command in leaves(build_app())
    for argument in command.assemble_argument_collection()
]


def _asks_for(argument, kind):
    return kind in (argument.hint, *get_args(argument.hint)) and argument.name != "--device"


def _chosen(kind):
    found = [(words, argument) for words, argument in PARAMETERS if _asks_for(argument, kind)]
    return [pytest.param(*one, id=f"{one[0]} {one[1].name}") for one in found]


def _given(words, argument, value):
    """What a command gets of one value, its other parameters filled with anything."""
    filled = []
    for other in (one for name, one in PARAMETERS if name == words):
        if other.name == argument.name or (
            other.required and other.hint in (str, Path, str | Path)
        ):
            word = value if other.name == argument.name else "x"
            filled.append(f"{other.name}={word}" if other.name.startswith("-") else word)
    _, bound, *_ = build_app().parse_args(
        written_out([*words.split(), *filled]), exit_on_error=False, print_error=False
    )
    return list(_plain([*bound.args, bound.kwargs]))


def _plain(value: Any):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _plain(one)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _plain(list(vars(value).values()))
    else:
        yield value


@pytest.mark.parametrize(("words", "argument"), _chosen(int))
def test_whole_numbers_are_whole(words, argument):
    assert 1000 in _given(words, argument, "1e3")
    assert 1000 in _given(words, argument, "1_000")
    for wrong in ("2.7", "1e-1", "inf", "x"):
        with pytest.raises(cyclopts.CoercionError, match=r"needed: a whole number, such as \d+ or"):
            _given(words, argument, wrong)


@pytest.mark.parametrize(("words", "argument"), [*_chosen(Path), *_chosen(str)])
def test_a_tilde_is_the_home_folder_in_every_parameter(words, argument, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    got = [str(one) for one in _given(words, argument, "~/x")]
    assert str(tmp_path / "x") in got
    assert not any("~" in one for one in got)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("~", "HOME"),
        ("~/x", "HOME/x"),
        ("--out=~/x", "--out=HOME/x"),
        ("--out=~", "--out=HOME"),
        ("glyphs:~/x", "glyphs:HOME/x"),
        ("--data=glyphs:~/x", "--data=glyphs:HOME/x"),
        ("cifar10=~/x", "cifar10=HOME/x"),
        ("data.path=~/x", "data.path=HOME/x"),
        ("--set=data.path=~/x y", "--set=data.path=HOME/x y"),
        ("data.path=~", "data.path=~"),  # YAML's null
        ("./~", "./~"),
        ("a~/x", "a~/x"),
        ("x/~/y", "x/~/y"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x"),
        ("https://host/~name", "https://host/~name"),
    ],
)
def test_where_a_tilde_is_home(text, wanted, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert with_home(text) == wanted.replace("HOME", str(tmp_path))


def _text_keys(section: type[Schema], before: str = ""):
    for name, field in section.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if inspect.isclass(kind) and issubclass(kind, Schema):
                yield from _text_keys(kind, f"{before}{name}.")
        if str in (field.annotation, *get_args(field.annotation)) or "str" in str(field.annotation):
            yield f"{before}{name}"


# Keys of text that are names and no paths.
NAMES = {"name", "loss.adversarial", "scores.by"}


def test_every_key_that_is_a_path_knows_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = {key for key in _text_keys(Experiment) if not key.endswith(".name")} - NAMES
    keys -= {"penalties", "consistency", "scores.metrics", "data.options"}
    assert keys == {"data.path", "training.start_from"}
    file = tmp_path / "a.yaml"
    file.write_text("data: {path: ~/photos}\ntraining: {start_from: ~/run}\n")
    for held in (
        Experiment(name="x").replace(**dict.fromkeys(keys, "~/photos")),
        load_experiment("~/a.yaml"),
    ):
        assert held.data.path == str(tmp_path / "photos")
        assert str(held.training.start_from).startswith(str(tmp_path))


def test_python_functions_know_home_too(monkeypatch, tmp_path, run_folder, pets):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run").symlink_to(run_folder)
    (tmp_path / "pets").symlink_to(pets)
    model = package.load("~/run", device="cpu")
    assert package.save(model, "~/model") == tmp_path / "model"
    assert package.from_pretrained("~/model", device="cpu").class_names == model.class_names
    assert package.inspect_data("~/pets").class_names == ("cat", "dog")
    assert len(package.prepare_data("~/pets", "~/p.safetensors", resolution=8)) == 6
    assert (tmp_path / "p.safetensors").exists()
    assert find_dataset("~/pets").path == str(tmp_path / "pets")
    assert package.derive_experiment("~/pets", device="cpu").experiment.data.path == str(
        tmp_path / "pets"
    )
    with pytest.raises(package.ConfigError, match=f"{tmp_path}/nothing"):
        package.load("~/nothing")
    assert "folder" in DATASETS


def test_out_in_home_is_no_folder_called_tilde(reacgan, monkeypatch, tmp_path, run_folder):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    code, _, err = reacgan("sample", run_folder, "--classes", "1", "--num", "1", "--out=~/made")
    assert code == 0, err
    assert (tmp_path / "home" / "made" / "1" / "0.png").exists() and not (tmp_path / "~").exists()


@pytest.fixture
def pets(tmp_path):
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    "words",
    [
        "train --data PHOTOS --out PHOTOS/run",
        "train --data PHOTOS --out PHOTOS",
        "train digits/reacgan --data PHOTOS --out PHOTOS/deep/er/run --set data.channels=3",
        "data prepare PHOTOS PHOTOS/cat/packed.safetensors --resolution 8",
        "evaluate PHOTOS/cat --reference PHOTOS --out PHOTOS/scores",
        "evaluate PHOTOS/cat --reference OTHER --out PHOTOS/cat/scores",
    ],
)
def test_out_among_the_images_is_refused(reacgan, pets, tmp_path, words):
    (tmp_path / "OTHER").symlink_to(pets)
    words = words.replace("PHOTOS", str(pets)).replace("OTHER", str(tmp_path / "OTHER"))
    before = sorted(pets.rglob("*"))
    tiny = TINY if words.startswith("train --") else []
    code, _, err = reacgan(*words.split(), *tiny)
    assert code == 1 and "choose an --out elsewhere, such as" in err, err
    assert sorted(pets.rglob("*")) == before


def test_samples_go_into_no_images_of_the_run(reacgan, pets, tmp_path):
    words = ["train", "--data", pets, "--images", 16, "--quiet", "--out", tmp_path / "run", *TINY]
    assert reacgan(*words)[0] == 0
    for command in ("sample", "walk"):
        code, _, err = reacgan(
            command,
            tmp_path / "run",
            "--out",
            pets / "made",
            "--seeds" if command == "walk" else "--num",
            "0,1" if command == "walk" else "1",
        )
        assert code == 1 and "lies inside" in err
    assert not (pets / "made").exists()


def test_beside_the_images_is_right(pets, tmp_path):
    refuse_inside(tmp_path / "photos-run", pets)
    refuse_inside(pets, None)
    refuse_inside(pets / "x", "glyphs:50")
