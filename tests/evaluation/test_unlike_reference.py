"""Images to score that are unlike the reference in colour or size: it is never changed to match them."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import reacgan as package
from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.evaluation import read_scores
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.scores import protocol_id
from reacgan.evaluation.targets import find_targets
from reacgan.extractors import Extracted, Extractor, build_extractor
from reacgan.reports.tables import score_table

QUICK = ["--set", "extractor.epochs=4", "extractor.width=8", "--device", "cpu", "--quiet"]
DOMAIN = ["--extractor", "domain", "--metrics", "fid"]


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REACGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Means(Extractor):
    """Mean colour and spread of pictures of any size; remembers the shapes that it saw."""

    name = "means"
    features_dim = 6
    any_size = True

    def __init__(self):
        self.seen = set()

    def to(self, device):
        del device

    def __call__(self, images):
        self.seen.add(tuple(images.shape[1:]))
        pixels = images.float().expand(-1, 3, -1, -1).flatten(2) / 255
        return Extracted(torch.cat([pixels.mean(2), pixels.std(2)], 1))

    def describe(self):
        return {"name": self.name, "weights": "0123456789abcdef"}


class OfOneShape(Means):
    """An extractor that says nothing of shapes."""

    any_size = False


def pictures(count, *, side=16, seed=0, classes=("a", "b")):
    """Two classes of two colours each, with noise."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    base = np.array([[200, 60, 40], [40, 90, 210]])[labels][:, :, None, None]
    noise = chance.integers(-40, 40, (count, 3, side, side))
    shade = chance.integers(-30, 30, (count, 1, 1, 1))
    images = (base + noise + shade).clip(0, 255).astype(np.uint8)
    return ImageData(images, labels.astype(np.int64), tuple(classes), "pictures")


def write(data, folder, change=lambda image: image):
    for place, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        where = folder / data.class_names[label]
        where.mkdir(parents=True, exist_ok=True)
        change(Image.fromarray(image.transpose(1, 2, 0))).save(where / f"{place:03}.png")
    return folder


def as_grey(image):
    return image.convert("L")


def as_grey_rgb(image):
    return image.convert("L").convert("RGB")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    write(pictures(120), root / "real" / "train")
    write(pictures(80, seed=1), root / "real" / "test")
    made = pictures(80, seed=2)
    for name, change in (("colour", lambda image: image), ("grey", as_grey), ("rgb", as_grey_rgb)):
        write(made, root / name, change)
    write(pictures(80, seed=2, side=32), root / "large")
    return root


def fid(reacgan, made, reference, out, *more):
    code, shown, err = reacgan(
        "evaluate", made, "--reference", reference, *DOMAIN, "--out", out, *QUICK, *more
    )
    assert code == 0, err
    return read_scores(out / "scores.jsonl")[-1], shown


def real_photographs(folder):
    """CIFAR images out of the archive: 100 as reference, 100 more as files in three ways."""
    data = Path(os.environ.get("REACGAN_DATA") or Path(__file__).parents[3] / "shared" / "data")
    archive = data / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip(f"REAL IMAGES NOT FOUND: {archive}; set REACGAN_DATA to their folder")
    found = []
    with tarfile.open(archive, "r|xz") as tar:
        for one in tar:
            if one.isfile():
                found.append(Image.open(BytesIO(tar.extractfile(one).read())).convert("RGB"))
            if len(found) == 200:
                break
    changes = {"colour": lambda image: image, "grey": as_grey, "rgb": as_grey_rgb}
    for place, image in enumerate(found):
        ways = changes if place % 2 else {"real": changes["colour"]}
        for name, change in ways.items():
            (folder / name).mkdir(exist_ok=True)
            change(image).save(folder / name / f"{place:03}.png")
    return folder


def test_a_collapse_to_grey_is_seen_on_real_images(tmp_path):
    """Grey files were compared with the reference turned grey, and scored as colour does."""
    root = real_photographs(tmp_path)
    found = {}
    for name in ("colour", "grey", "rgb"):
        (target,) = find_targets(root / name)
        assert target.images.channels == (1 if name == "grey" else 3)
        result = package.evaluate(
            target.images,
            root / "real",
            metrics="fid",
            extractor=Means(),
            cache=FeatureCache(tmp_path),
        )
        found[name] = result["fid"]
    assert found["grey"] == found["rgb"] > 3 * found["colour"], found


def test_a_collapse_to_grey_is_seen(reacgan, folders, tmp_path):
    found = {
        name: fid(reacgan, folders / name, folders / "real", tmp_path / name)
        for name in ("colour", "grey", "rgb")
    }
    values = {name: score.value for name, (score, _) in found.items()}
    assert values["grey"] == values["rgb"] > 5 * values["colour"]
    score, shown = found["grey"]
    assert score.protocol["reference"]["channels"] == 3
    assert score.protocol["fake"]["channels"] == 1 and "brought_to" in score.protocol["fake"]
    warning = "warning: the images to score have 1 channel (grey), the reference 3 channels (RGB)"
    assert " ".join(shown.split()).index(warning) < " ".join(shown.split()).index("FID ↓")
    for name in ("colour", "rgb"):
        assert "warning" not in found[name][1]
        assert set(found[name][0].protocol["fake"]) == {"images", "labels"}
    assert protocol_id(score.protocol) != protocol_id(found["rgb"][0].protocol)
    table = score_table([found[name][0] for name in ("colour", "grey")])
    assert len(table.blocks) == 2 and str(table).count("warning: ") == 1
    assert "**Warning:** " in table.markdown()


def test_sizes_are_their_own_or_those_asked_for(reacgan, folders, tmp_path):
    score, shown = fid(reacgan, folders / "large", folders / "real", tmp_path / "own")
    assert score.protocol["reference"]["size"] == [16, 16]
    assert score.protocol["fake"]["size"] == [32, 32]
    assert "images to score are 32 x 32, the reference 16 x 16" in shown
    assert "--resolution 32 crops and resizes" in shown
    asked = "--resolution", "16"
    score, shown = fid(reacgan, folders / "large", folders / "real", tmp_path / "asked", *asked)
    assert "warning" not in shown and "size" not in score.protocol["fake"]


@pytest.mark.parametrize("kind", [Means, OfOneShape])
def test_what_an_extractor_sees(folders, tmp_path, kind):
    """Pictures as they are where it takes any, else both in the shape of the reference."""
    network = kind()
    batches = [torch.tensor(pictures(80, seed=2, side=32).images[:, :1])]
    result = package.evaluate(
        batches, folders / "real", metrics="fid", extractor=network, cache=FeatureCache(tmp_path)
    )
    assert network.seen == {(3, 16, 16)} | ({(1, 32, 32)} if kind is Means else set())
    assert len(result.scores[0].warnings) == 2


def test_a_reference_of_many_sizes_is_asked_about(reacgan, folders, tmp_path):
    write(pictures(6, side=24), tmp_path / "more")
    write(pictures(20), tmp_path / "mixed")
    for folder in (tmp_path / "more").iterdir():
        folder.rename(tmp_path / "mixed" / folder.name / "more")
    arguments = [folders / "colour", "--reference", tmp_path / "mixed", *DOMAIN, *QUICK]
    code, _, err = reacgan("evaluate", *arguments, "--out", tmp_path / "out")
    assert code == 1
    assert "the reference" in err and "of 2 sizes (16 x 16, 24 x 24); give --resolution" in err
    code, _, err = reacgan("evaluate", *arguments, "--out", tmp_path / "out", "--resolution", "16")
    assert code == 0, err


def test_a_run_against_a_reference_in_colour(reacgan, run_folder, folders, tmp_path):
    """The run's own images are grey and of 8 x 8; a reference that is named keeps what it has."""
    score, shown = fid(reacgan, run_folder, folders / "real", tmp_path / "out", "--num", "40")
    held = score.protocol["reference"]
    assert (held["size"], held["channels"]) == ([16, 16], 3)
    assert shown.count("warning: ") == 2


def test_channels_that_were_asked_for_are_said(reacgan, folders, tmp_path):
    grey = "--channels", "1"
    score, shown = fid(reacgan, folders / "colour", folders / "real", tmp_path / "out", *grey)
    assert score.protocol["reference"]["channels"] == 1
    assert "the reference is in colour and was turned grey, as channels=1 asks for" in shown


def test_a_grey_reference_is_looked_at_in_grey(reacgan, folders, tmp_path):
    write(pictures(60), tmp_path / "real" / "train", as_grey)
    write(pictures(40, seed=1), tmp_path / "real" / "test", as_grey)
    score, shown = fid(reacgan, folders / "rgb", tmp_path / "real", tmp_path / "out")
    assert score.protocol["reference"]["channels"] == 1
    assert "for domain both are made grey; colours are ignored" in " ".join(shown.split())
    same, _ = fid(reacgan, folders / "grey", tmp_path / "real", tmp_path / "out")
    assert same.value == score.value


def test_bringing_images_to_a_shape():
    from reacgan.extractors.fitting import fitted, fitted_data

    data = pictures(8)
    images = torch.tensor(data.images)
    assert fitted(images, (3, 16, 16)) is images
    assert fitted_data(data, (3, 16, 16)) is data
    pillow = [
        np.asarray(Image.fromarray(one.transpose(1, 2, 0)).convert("L")) for one in data.images
    ]
    grey = fitted(images, (1, 16, 16))
    assert np.array_equal(grey[:, 0].numpy(), np.stack(pillow))
    assert torch.equal(fitted(grey, (3, 16, 16)), grey.expand(-1, 3, -1, -1))
    opaque = fitted(images, (4, 16, 16))
    assert torch.equal(opaque[:, :3], images) and bool((opaque[:, 3] == 255).all())
    assert torch.equal(fitted(opaque, (3, 16, 16)), images)
    flat = torch.full((2, 3, 8, 8), 77, dtype=torch.uint8)
    assert torch.equal(fitted(flat, (3, 12, 20)), torch.full((2, 3, 12, 20), 77, dtype=torch.uint8))
    with pytest.raises(ConfigError, match="the images have 5 channels, needed: 3"):
        fitted(torch.zeros(1, 5, 8, 8, dtype=torch.uint8), (3, 8, 8))


def test_domain_learns_from_what_is_named(reacgan, folders, tmp_path):
    """Not from the reference that has classes, too, and which would then be known by heart."""
    write(pictures(100, seed=5), tmp_path / "learned")
    code, _, err = reacgan(
        "evaluate", folders / "colour", "--reference", folders / "real" / "train", *DOMAIN,
        "--training", tmp_path / "learned", "--out", tmp_path / "out", *QUICK,
    )  # fmt: skip
    assert code == 0, err
    (score,) = read_scores(tmp_path / "out" / "scores.jsonl")
    assert not any("was trained on" in note for note in score.notes), score.notes
    own = open_dataset(DataConfig(path=str(tmp_path / "learned"), resolution=16))
    assert score.protocol["extractor"]["data"] == own.digest


def test_held_out_images_that_are_named_are_what_accuracy_is_measured_on(folders):
    train, held_out = pictures(60, seed=7), pictures(30, seed=8)
    result = package.evaluate(
        pictures(40, seed=9), folders / "real", training=train, held_out=held_out, metrics="fid",
        extractor="domain", extractor_options={"epochs": 1, "width": 8}, device="cpu",
    )  # fmt: skip
    told = result.scores[0].protocol["extractor"]
    assert (told["data"], told["held_out"]["digest"]) == (train.digest, held_out.digest)


def test_a_saved_classifier_sees_both_sides_in_its_own_shape(folders, tmp_path):
    made = build_extractor("domain", {"epochs": 1, "width": 8}, train=pictures(60, side=24))
    made.save(tmp_path / "mine.safetensors")
    saved = build_extractor(str(tmp_path / "mine.safetensors"))
    assert saved.shape == (3, 24, 24)
    values = [
        package.evaluate(
            pictures(60, seed=2, side=side), folders / "real", metrics="fid", extractor=saved,
            cache=FeatureCache(tmp_path / "cache"),
        )
        for side in (24, 16, 16)
    ]  # fmt: skip
    assert [one.scores[0].warnings != () for one in values] == [True, False, False]
    assert values[1]["fid"] == values[2]["fid"]
