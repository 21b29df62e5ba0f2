"""Letters, digits and signs: the same everywhere, told apart, and as promised."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from reacgan.cli.train import _resolve
from reacgan.config import ConfigError, Experiment, parse_assignments
from reacgan.data import DataError, find_dataset, open_dataset
from reacgan.data.glyphs import SIDE, _colours, _masters, open_glyphs
from reacgan.experiments import experiment
from reacgan.experiments.describe import describe

TOOL = Path(__file__).parents[2] / "tools" / "draw_glyphs.py"
# A 0 and a 1 of 8 x 8, in grey on grey.
PINNED = bytes.fromhex(
    "8285a2c1bd8c7a8385a5c890cac87e8683d4c084cad0808d86cdbe85bfe29487"
    "8bc9ca8bb0de848286b9db8fc3b985828184b6bcad7d8e7a8780897e80898585"
    "201a17261e18262718252717272826251f21183c671a202a1c2417325a221819"
    "1828273743211616292516493427271d18242f6934161f16201d281c18281727"
)


def glyphs(path="10", *, split="train", resolution=16, channels=1, **options):
    return open_glyphs(path, split=split, resolution=resolution, channels=channels, **options)


def test_the_images_are_those_of_every_machine():
    """But for the last bit: sines differ by machine, and may turn a rounding."""
    found = glyphs("2", resolution=8, images=2)
    pinned = np.frombuffer(PINNED, dtype=np.uint8).reshape(2, 1, 8, 8)
    assert np.abs(found.images.astype(int) - pinned).max() <= 1
    assert (found.images != pinned).mean() < 0.05
    assert found.labels.tolist() == [0, 1]


def test_asked_for_again_they_are_the_same_and_another_seed_gives_others():
    held = glyphs(images=40)
    assert held.digest == glyphs(images=40).digest
    other = glyphs(images=40, seed=1)
    assert (held.images != other.images).any(axis=(1, 2, 3)).all()
    assert (held.labels == other.labels).all()
    assert held.class_names == other.class_names


def test_splits_share_no_image_and_one_is_a_quarter():
    train, test = (glyphs(split=split, images=402, colours=False) for split in ("train", "test"))
    assert (len(train), len(test)) == (402, 101)
    # By more than the noise, which is 4 % of 255 either way.
    near = np.abs(test.images[:, None].astype(int) - train.images[None]).max(axis=(2, 3, 4))
    assert near.min() > 21
    assert train.class_names == test.class_names


@pytest.mark.parametrize("classes", [2, 36, 500])
def test_classes_are_equally_frequent_and_the_first_of_more(classes):
    held = glyphs(str(classes), resolution=8, images=4 * classes)
    assert held.counts.tolist() == [4] * classes
    assert held.class_names == glyphs("500", resolution=8, images=500).class_names[:classes]
    odd = glyphs(str(classes), resolution=8, images=4 * classes + 1)
    assert np.ptp(odd.counts) == 1


def test_the_first_of_more_are_the_same_signs():
    """A font too: an image of class 1 does not depend on how many classes there are."""
    few, many = (glyphs(path, images=24, colours=False) for path in ("2", "24"))
    difference = np.abs(few.images[:2].astype(int) - many.images[:2]).max()
    assert difference <= 21  # the noise, twice 4 % of 255


def test_without_a_path_there_are_a_hundred():
    assert glyphs(None, images=100).num_classes == 100


def test_names_are_signs_of_their_own():
    names = glyphs("500", resolution=8, images=500).class_names
    assert len(set(names)) == 500
    assert all(len(name) == 1 and name.isprintable() and name.strip() for name in names)
    assert names[:12] == tuple("0123456789AB")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("resolution", [8, 16, 48, (24, 16), (16, 32)])
def test_channels_and_sides(channels, resolution):
    held = glyphs(resolution=resolution, channels=channels, images=20)
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    assert held.images.shape == (20, channels, height, width)
    assert held.resolution == resolution
    if channels == 4:
        assert (held.images[:, 3] == 255).all()
    white = glyphs(resolution=resolution, channels=channels, images=20, colours=False)
    ink = white.images[:, :3].astype(float)
    # White on black, alike in all channels but for the noise; the sign whole, in the middle.
    assert np.ptp(ink, axis=1).max() <= 21
    assert ink.reshape(20, -1).max(axis=1).min() > 120
    edge = np.concatenate([ink[:, :, 0].ravel(), ink[:, :, -1].ravel()])
    assert np.mean(edge > 128) < 0.05
    middle = (
        np.indices((height, width))[:, None]
        - np.array([height, width])[:, None, None, None] / 2
        + 0.5
    )
    weight = ink.mean(axis=1) / ink.mean(axis=1).sum(axis=(1, 2), keepdims=True)
    off = (middle * weight).sum(axis=(2, 3)) / min(height, width)
    assert np.abs(off).max() < 0.25


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pen_and_paper_differ_as_promised(channels):
    chances = np.random.default_rng(0).random((20_000, 6))
    paper, pen = (held[:, : min(channels, 3), 0, 0] for held in _colours(chances, channels))
    for held in (paper, pen):
        assert held.min() >= -1e-6 and held.max() <= 1 + 1e-6
    gap = np.abs(pen.mean(axis=1) - paper.mean(axis=1))
    assert gap.min() >= 0.35 - 1e-5
    # Both darker and lighter pens, and those that differ enough are left alone.
    assert 0.4 < np.mean(pen.mean(axis=1) > paper.mean(axis=1)) < 0.6
    drawn = chances[:, : min(channels, 3)] if channels > 1 else chances[:, :1]
    enough = gap > 0.36
    np.testing.assert_allclose(paper[enough], drawn[enough], atol=1e-6)


@pytest.mark.parametrize("colours", [True, False])
def test_no_image_is_without_ink(colours):
    held = glyphs("500", images=1_000, colours=colours)
    spread = np.ptp(held.images.reshape(1_000, -1).astype(int), axis=1)
    # Full stops are drawn as large as letters, thin strokes fade most.
    assert spread.min() > 35


def test_every_class_has_masters_with_ink():
    masters = _masters()
    assert masters.ink.shape[1:] == (SIDE, SIDE)
    assert (masters.ink.min(), masters.ink.max()) == (0, 1)
    assert np.bincount(masters.owners).min() >= 1
    assert (np.diff(masters.owners) >= 0).all()  # classes are looked up by bisection
    assert len(np.bincount(masters.owners)) == len(masters.names) == 500
    assert (masters.ink.reshape(len(masters.ink), -1).mean(axis=1) > 0.01).all()


@pytest.mark.parametrize("path", ["x", "1", "501", "", "-5", "3.5", "0"])
def test_a_path_that_is_no_number_of_classes(path):
    with pytest.raises(DataError, match=rf"path is '{path}'.*from 2 to 500, as in glyphs:50"):
        glyphs(path)


@pytest.mark.parametrize(("split", "least"), [("train", 50), ("test", 200)])
def test_fewer_images_than_classes(split, least):
    with pytest.raises(DataError, match=rf"leave some empty.*images to {least} or more"):
        glyphs("50", split=split, images=49)
    assert glyphs("50", split=split, images=least).counts.min() == 1


@pytest.mark.parametrize("change", [{"split": "val"}, {"channels": 2}, {"channels": 5}])
def test_requests_that_cannot_be_met(change):
    with pytest.raises(DataError):
        glyphs(**change)


@pytest.mark.parametrize("resolution", [16, 32])
def test_classes_are_told_apart(resolution):
    """By the nearest mean of each class, which knows nothing of turns and shifts; chance is 2 %."""
    sets = [
        glyphs("50", split=split, resolution=resolution, images=4_000, colours=False)
        for split in ("train", "test")
    ]
    train, test = (held.images.reshape(len(held), -1).astype(float) for held in sets)
    means = np.stack([train[sets[0].labels == label].mean(axis=0) for label in range(50)])
    distance = (means**2).sum(axis=1)[None] - 2 * test @ means.T
    assert np.mean(distance.argmin(axis=1) == sets[1].labels) > 0.4


def test_opened_by_a_configuration():
    found = find_dataset("glyphs:50")
    assert (found.name, found.path) == ("glyphs", "50")
    assert (find_dataset("glyphs").name, find_dataset("glyphs").path) == ("glyphs", None)
    changed = found.model_copy(update={"options": {"images": 60}, "resolution": 8, "channels": 1})
    assert len(open_dataset(changed)) == 60


def test_a_number_set_on_the_command_line():
    changes = parse_assignments(["data.path=50"])
    held = experiment("glyphs/reacgan").replace(**changes).data
    assert (held.path, held.options) == ("50", {"colours": False})


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("digits/reacgan", "glyphs:50", ("glyphs", "50", {})),
        ("digits/reacgan", "glyphs", ("glyphs", None, {})),
        ("glyphs/reacgan", "glyphs:7", ("glyphs", "7", {"colours": False})),
        ("glyphs/reacgan", "digits", ("digits", None, {})),  # which knows no colours
        ("cifar10/reacgan", "photos", ("cifar10", "photos", {})),  # its own set, from there
    ],
)
def test_a_named_experiment_on_other_data(name, data, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    experiment, _ = _resolve(name, Path(data), "cpu", {}, aloud=False, quiet=True, verbose=False)
    held = experiment.data
    assert (held.name, held.path, held.options) == expected


def test_a_number_is_a_path():
    assert Experiment(name="x").replace(**{"data.path": 500}).data.path == "500"
    for wrong in (True, 3.5, ["5"]):
        with pytest.raises(ValueError, match="path"):
            Experiment(name="x").replace(**{"data.path": wrong})


def test_described_with_the_classes_of_the_path():
    held = experiment("glyphs/reacgan")
    assert describe(held)["num_classes"] == 100
    assert describe(held.replace(**{"data.path": "7"}))["num_classes"] == 7
    assert describe(held.replace(**{"data.path": None}))["num_classes"] == 100
    with pytest.raises(ConfigError, match="data.name is glyphs: give --num-classes"):
        describe(held.replace(**{"data.path": "many"}))


def test_no_two_classes_are_one_shape():
    """The bound of the tool that drew them, on what is stored: sixteen levels of ink."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("fontTools")
    spec = importlib.util.spec_from_file_location("draw_glyphs", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    masters = _masters()
    first = np.searchsorted(masters.owners, np.arange(500))  # of the first font
    looks = np.stack([tool.blurred(ink) for ink in masters.ink[first].astype(float)])
    alike = looks @ looks.T
    np.testing.assert_allclose(np.diag(alike), 1)
    np.fill_diagonal(alike, 0)
    assert alike.max() <= tool.LIKENESS + 0.005
    assert tool.likeness(looks[0], looks[1:]) == pytest.approx(alike[0].max())
    assert tool.SIDE == SIDE
