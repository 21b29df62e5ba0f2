"""Models by name: in the package, in a checkout, in a folder of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import reacgan
from reacgan import hub
from reacgan.config import ConfigError
from reacgan.hub.places import OF_REPOSITORY
from test_hub import images_of, make


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of one's own with one model in it."""
    monkeypatch.setenv("REACGAN_WEIGHTS", str(tmp_path / "mine"))
    hub.save(make(("x", "y")), tmp_path / "mine" / "small-model")
    (tmp_path / "mine" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine"


def test_names_and_lines(own):
    listed = reacgan.pretrained()
    assert listed["small-model"] == "digits, 8 x 8 x 1, 2 classes, d2dce, 12,345 images seen"
    assert "10 classes" in listed["digits-reacgan"] and "empty" not in listed
    (own / "small-model" / "config.json").write_text("{")
    assert reacgan.pretrained()["small-model"] == "config.json is not readable"


def test_a_name_loads_and_the_first_place_wins(own):
    loaded = reacgan.load("small-model", device="cpu")
    assert torch.equal(images_of(loaded), images_of(make(("x", "y"))))
    hub.save(make(), own / "digits-reacgan")
    assert len(reacgan.load("digits-reacgan", device="cpu").class_names) == 10
    assert hub.locate("small-model") == own / "small-model"


def test_an_existing_path_wins(own):
    hub.save(make(("here", "too")), "small-model")
    assert reacgan.load("small-model").class_names == ("here", "too")
    Path("small-model").rename(".old-small-model")  # as a save leaves it that was killed
    assert reacgan.load("small-model").class_names == ("here", "too")


def test_an_unknown_name_lists_the_known(own):
    for named in ("digit-reacgan", Path("digit-reacgan")):
        with pytest.raises(ConfigError) as caught:
            reacgan.load(named)
        assert "did you mean 'digits-reacgan'? Known: digits-reacgan, " in str(caught.value)
        assert "digit-reacgan: no such folder; give a run's folder or a model" in str(caught.value)
        assert str(caught.value).endswith(", small-model.")


def test_names_of_the_repository_are_explained_outside_of_it(own, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "weights.md").read_text("utf-8")
    named = re.findall(r"^\| `([\w-]+)` \| `weights/`", page, flags=re.MULTILINE)
    assert set(named) == set(OF_REPOSITORY)
    package = hub.known_models()["digits-reacgan"].parent
    monkeypatch.setattr("reacgan.hub.places.weight_folders", lambda: [package])
    for name in named:
        with pytest.raises(ConfigError) as caught:
            reacgan.load(name)
        said = str(caught.value)
        assert f"{name}: not here; these weights come with the package's repository" in said
        assert "REACGAN_WEIGHTS=FOLDER" in said and "did you mean" not in said


def test_a_revision_is_of_a_repository(own):
    for named in ("digits-reacgan", str(own / "small-model")):
        with pytest.raises(ConfigError, match=r"revision is 'v2', but .*leave it out"):
            reacgan.from_pretrained(named, revision="v2")


def test_everything_takes_a_name(own):
    assert hub.list_states("digits-reacgan") == []
    generator, judge = reacgan.from_pretrained("digits-reacgan", device="cpu", discriminator=True)
    image = reacgan.sample(generator, "7", 1)[0].image
    with torch.no_grad():
        seen = judge(image[None].float() / 127.5 - 1, torch.tensor([7]))
    assert torch.isfinite(seen.features).all()
    with pytest.raises(ConfigError, match=r"keeps no state at 5 images; it keeps: none"):
        hub.load_state("digits-reacgan", 5)


def test_commands_take_a_name(own, reacgan):
    code, out, err = reacgan(
        *(
            "sample",
            "digits-reacgan",
            "--classes",
            "3",
            "--num",
            "2",
            "--out",
            "s",
            "--device",
            "cpu",
        ),
        *("--langevin", "1"),
    )
    assert code == 0 and "2 images in s" in out, err
    code, out, err = reacgan(
        "walk", "digits-reacgan", "--between", "3,8", "--out", "w", "--num", "1"
    )
    assert code == 0, err
    code, out, _ = reacgan("weights", "list")
    assert code == 0 and re.search(r"digits-reacgan +digits, 8 x 8 x 1, 10 classes", out)
    code, out, _ = reacgan("weights", "show", "digits-reacgan")
    assert code == 0 and "## Limits" in out
    code, _, err = reacgan("sample", "digits-reacgn", "--out", "s")
    assert code == 1 and "did you mean 'digits-reacgan'" in err


def test_the_evaluation_takes_a_name(own):
    from reacgan.evaluation.targets import find_targets

    (target,) = find_targets("digits-reacgan", device="cpu", find_states=hub.find_states)
    assert target.name == "digits-reacgan" and target.state.model.images_seen == 149_952


def test_a_checkout_and_an_installation(tmp_path, monkeypatch):
    """Beside the package wherever it lies; the root of a checkout only where it is one."""
    monkeypatch.delenv("REACGAN_WEIGHTS", raising=False)
    package = tmp_path / "src" / "reacgan"
    hub.save(make(), package / "weights" / "inside")
    hub.save(make(), tmp_path / "weights" / "from-the-root")
    monkeypatch.setattr(hub.places, "files", lambda name: tmp_path / "src" / name)
    assert set(hub.known_models()) == {"inside"}
    (tmp_path / "pyproject.toml").touch()
    assert set(hub.known_models()) == {"inside", "from-the-root"}
