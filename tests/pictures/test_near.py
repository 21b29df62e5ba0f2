"""Nearest training images and ways between samples."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reacgan.config import ConfigError, Experiment
from reacgan.data import ImageData
from reacgan.extractors import Extracted, Extractor
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures import interpolations, neighbours, search, sheet
from reacgan.pictures.samples import spread
from reacgan.sampling import interpolate, sample

NAMES = ("cat", "dog", "cow")


def pictures_of(count=30, shape=(3, 4, 4), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return ImageData(pixels, np.arange(count) % 3, NAMES, "random pictures")


class Copier(Generator):
    """Gives training image ``label``, mirrored or not."""

    latent_dim = 2

    def __init__(self, images, mirrored=False):
        super().__init__(3)
        self.held = nn.Parameter(torch.tensor(images).float() / 127.5 - 1)
        self.mirrored = mirrored

    def forward(self, z, labels, draws=None):
        images = self.held[labels]
        return images.flip(-1) if self.mirrored else images


class Corner(Extractor):
    """Sees the first two pixels of the first channel alone."""

    name, features_dim = "corner/2", 2

    def to(self, device):
        pass

    def __call__(self, images):
        return Extracted(images[:, 0, 0, :2].float())

    def describe(self):
        return {"name": self.name, "weights": "none"}


def trained(generator, flip=False):
    held = Experiment(name="copier").replace(**{"data.flip": flip})
    return TrainedGenerator(generator.eval(), held, NAMES, 1)


def test_the_nearest_of_a_training_image_is_itself():
    data = pictures_of()
    found = search(torch.tensor(data.images), data, k=3)
    assert found.index[:, 0].tolist() == list(range(30))
    assert (found.distance[:, 0] == 0).all() and not found.mirrored.any()
    pixels = data.images.reshape(30, -1).astype(np.float64)
    plain = np.sqrt(((pixels[:, None] - pixels[None]) ** 2).mean(2))
    np.testing.assert_allclose(found.distance.numpy(), np.sort(plain)[:, :3], rtol=1e-12)


def test_a_set_in_parts_gives_the_same(monkeypatch):
    data, images = pictures_of(), torch.tensor(pictures_of(seed=1).images)
    whole = search(images, data, k=4, mirror=True)
    monkeypatch.setattr("reacgan.pictures.near._CHUNK_NUMBERS", 48 * 3)
    parts = search(images, data, k=4, mirror=True)
    assert torch.equal(whole.index, parts.index) and torch.equal(whole.distance, parts.distance)


def test_mirrored_images_count_where_asked_each_once():
    data = pictures_of()
    turned = torch.tensor(data.images).flip(-1)
    assert (search(turned, data, k=1).distance > 0).all()
    found = search(turned, data, k=30, mirror=True)
    assert found.index[:, 0].tolist() == list(range(30)) and found.mirrored[:, 0].all()
    assert (found.distance[:, 0] == 0).all() and (found.distance.diff(dim=1) >= 0).all()
    assert all(sorted(row) == list(range(30)) for row in found.index.tolist())


def test_features_decide_what_is_near():
    data = pictures_of()
    images = torch.tensor(data.images).clone()
    images[:, 1:] = 255 - images[:, 1:]
    assert search(images, data, k=1, extractor=Corner()).index[:, 0].tolist() == list(range(30))
    assert (search(images, data, k=1, extractor=Corner()).distance == 0).all()


@pytest.mark.parametrize("flip", [True, False])
def test_a_copying_generator_is_seen(flip):
    data, unseen = pictures_of(), pictures_of(40, seed=9)
    model = trained(Copier(data.images, mirrored=True), flip=flip)
    picture = neighbours(model, data, held_out=unseen, num=4, k=5)
    rows = picture.numbers["rows"]
    assert [row["class"] for row in rows] == ["cat", "dog", "cow", "cat"]
    assert [row["seed"] for row in rows] == [0, 0, 0, 1]
    first = [row["nearest"][0] for row in rows]
    assert [one["image"] for one in first] == [0, 1, 2, 0] or not flip
    assert all(one["mirrored"] and one["distance"] == 0 for one in first) == flip
    assert (picture.numbers["median_nearest"] == 0) == flip
    assert picture.numbers["held_out_median_nearest"] > 50
    assert ("(m): mirrored" in picture.caption) == flip
    drawn = np.asarray(Image.open(io.BytesIO(picture.png)))
    assert drawn.shape[0] > 4 * 64 and drawn.shape[1] > 6 * 64
    left, right = drawn[5:69, 5:69], drawn[5:69, 88:152]  # the image, and its nearest as it is near
    assert np.array_equal(left, right) == flip and len(np.unique(left)) > 10


def test_what_cannot_be_looked_for():
    data = pictures_of()
    with pytest.raises(ConfigError, match="k is 31; allowed: 1 to 30"):
        search(torch.tensor(data.images), data, k=31)
    with pytest.raises(ConfigError, match="needed: one shape"):
        search(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), data, k=1)


def test_interpolations_end_at_the_samples_of_their_seeds(untrained):
    """The picture holds the images that sample gives, at the ends of the right rows."""
    model = untrained(side=16, channels=3)
    made = interpolations(model, seed=3, steps=5)
    assert list(made) == ["latents", "classes"]
    held = {(one.label, one.seed): one.image for one in sample(model, num=2, seed=3)}
    ends = interpolate(model, classes=(1, 1), seeds=(3, 4), steps=5)
    assert torch.equal(ends[0], held[1, 3]) and torch.equal(ends[-1], held[1, 4])
    for name, row, first, last in (
        ("latents", 1, (1, 3), (1, 4)),
        ("classes", 1, (1, 3), (2, 3)),
    ):
        opened = Image.open(io.BytesIO(made[name].png))
        words, image, side = json.loads(opened.text["sheet"]), np.asarray(opened), 48
        written = "{0}\nseed {1}" if name == "latents" else "{0}"
        for column, key in ((0, first), (4, last)):
            top, left = words["tops"][row], words["lefts"][column]
            assert words["ends" if column else "names"][row] == written.format(
                model.class_names[key[0]], key[1]
            )
            cell = image[top : top + side, left : left + side]
            assert np.array_equal(cell[::3, ::3].transpose(2, 0, 1), held[key].numpy()), name


def test_a_jump_has_the_largest_ratio():
    """Classes that only switch at the end of the way: one step of all."""
    data = pictures_of()

    class Switch(Copier):
        def forward(self, z, labels, draws=None):
            chosen = labels.argmax(1) if labels.dim() == 2 else labels
            return super().forward(z, chosen)

    made = interpolations(trained(Switch(data.images)), steps=6)
    assert made["classes"].numbers["steepest_median"] == pytest.approx(5)
    assert made["latents"].numbers["steepest_median"] is None  # z changes nothing
    assert "nothing changes" in made["latents"].caption


def test_few_and_many_classes(untrained):
    assert spread(3, 5) == [0, 1, 2, 0, 1] and spread(200, 3) == [0, 100, 199]
    assert spread(10, 1) == [0]
    assert list(interpolations(untrained(names=("only",)))) == ["latents"]
    many = untrained(names=tuple(f"class {place}" for place in range(40)))
    assert len(sheet(many, columns=2).numbers["classes"]) == 25
    assert "25 of 40 classes, seeds 7 to 8" in sheet(many, columns=2, seed=7).caption
