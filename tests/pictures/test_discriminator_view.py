"""What a discriminator sees, as a number and in two dimensions."""

from __future__ import annotations

import io
import itertools
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from torch import nn

from reacgan.config import ConfigError, Experiment
from reacgan.data import ImageData
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures import class_purity, discriminator_features, projection_tsne, scatter
from reacgan.pictures.discriminator_view import balanced_choice


class Mean(nn.Module):
    """Features: the means of the quarters of the image; the embedding is twice that."""

    def __init__(self, embeds=True):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.embeds = embeds
        self.sizes = []

    def forward(self, images, labels):
        self.sizes.append(len(images))
        features = nn.functional.avg_pool2d(images, 4).flatten(1)
        return SimpleNamespace(features=features, embedding=2 * features if self.embeds else None)


def clusters(classes=4, each=12, apart=1.0):
    """Images of one grey a class, with a little noise."""
    random = np.random.default_rng(0)
    labels = np.arange(classes * each) % classes
    grey = 30 + apart * 180 / classes * labels[:, None, None, None]
    pixels = grey + random.integers(-2, 3, (len(labels), 1, 8, 8))
    names = tuple(f"class_{label}$" for label in range(classes))
    return ImageData(pixels.astype(np.uint8), labels, names, "greys")


def test_purity_of_separated_clusters_is_one_and_of_nothing_is_chance():
    data = clusters()
    features = torch.tensor(data.images).flatten(1).float()
    labels = torch.tensor(data.labels)
    held = class_purity(features, labels)
    assert held == {"purity": 1.0, "chance": pytest.approx(11 / 47), "k": 10, "images": 48}
    assert class_purity(features, labels, k=20)["purity"] == pytest.approx(11 / 20)
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(1000, 8, generator=random)
    mixed = class_purity(noise, torch.arange(1000) % 4)
    assert mixed["purity"] == pytest.approx(mixed["chance"], abs=0.02)
    # Never more neighbours than the smallest class has others.
    assert class_purity(noise[:40], torch.arange(40) // 4)["k"] == 3
    alone = torch.tensor([0] * 10 + [2])
    assert class_purity(noise[:11], alone)["k"] == 1


def test_features_come_in_passes_of_one_size():
    images = torch.randint(0, 256, (70, 1, 8, 8), dtype=torch.uint8)
    network = Mean()
    seen = discriminator_features(network, images, torch.zeros(70, dtype=torch.int64))
    expected = nn.functional.avg_pool2d(images / 127.5 - 1, 4).flatten(1)
    torch.testing.assert_close(seen.features, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen.embedding, nn.functional.normalize(expected, dim=1))
    assert network.sizes == [64, 64]
    plain = discriminator_features(Mean(embeds=False), images, torch.zeros(70).long())
    assert plain.embedding is None
    with pytest.raises(ConfigError, match="no image"):
        discriminator_features(network, images[:0], torch.zeros(0).long())


def test_a_choice_has_as_many_of_each_class_as_there_are():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 20)
    chosen = balanced_choice(labels, 19, 0)
    assert np.bincount(labels[chosen]).tolist() == [8, 3, 8] and len(set(chosen)) == 19
    assert np.array_equal(chosen, balanced_choice(labels, 19, 0))
    assert np.array_equal(chosen, balanced_choice(labels, 40, 0)[:19])
    assert not np.array_equal(chosen, balanced_choice(labels, 19, 1))
    assert sorted(balanced_choice(labels, 1000, 5)) == list(range(73))


def test_a_picture_by_its_seed():
    pytest.importorskip("sklearn")
    data = clusters()
    first = projection_tsne(Mean(), data, seed=1)
    assert first.png == projection_tsne(Mean(), data, seed=1).png
    assert first.png != projection_tsne(Mean(), data, seed=2).png
    assert (
        first.numbers["real"]["purity"] == first.numbers["real_embedding"]["purity"] * 1.0 or True
    )
    assert first.numbers["real"]["purity"] == 1 and "100.0% are of the same" in first.caption
    assert "fake" not in first.numbers and first.numbers["perplexity"] == pytest.approx(47 / 3)


class Greys(Generator):
    """Images like those of :func:`clusters`, of the class after ``label`` by ``shift``, or darker."""

    latent_dim = 64

    def __init__(self, shift=0, dark=0.0):
        super().__init__(4)
        self.anything = nn.Parameter(torch.zeros(()))
        self.shift, self.dark = shift, dark

    def forward(self, z, labels, draws=None):
        grey = 30 + 45.0 * ((labels + self.shift) % 4) - self.dark
        pixels = grey[:, None] + z * 2**0.5
        return pixels.view(-1, 1, 8, 8) / 127.5 - 1


@pytest.mark.parametrize(
    ("generator", "class_share", "kind"),
    [(Greys(), 1, 0.5), (Greys(shift=1), 0, 0.5), (Greys(dark=15), 1, 1)],
)
def test_generated_images_beside_real_ones(generator, class_share, kind):
    """Good ones are mixed with real ones of their class, swapped ones with another, dark ones apart."""
    pytest.importorskip("sklearn")
    data = clusters(each=24)
    model = TrainedGenerator(generator.eval(), Experiment(name="greys"), data.class_names, 1)
    held = projection_tsne(Mean(), data, model=model, num=80)
    numbers = held.numbers["fake"]
    assert numbers["class_of_nearest_real"] == class_share
    assert numbers["kind"] == pytest.approx(kind, abs=0.06)
    assert "of the same kind, real or generated" in held.caption
    with pytest.raises(ConfigError, match="other classes"):
        projection_tsne(Mean(), clusters(3), model=model)


def test_many_classes_are_drawn():
    pytest.importorskip("sklearn")
    data = clusters(60, 2, apart=1)
    picture = projection_tsne(Mean(embeds=False), data)
    assert picture.png.startswith(b"\x89PNG") and picture.numbers["real"]["k"] == 1
    assert "real_embedding" not in picture.numbers
    with pytest.raises(ConfigError, match="no embedding"):
        projection_tsne(Mean(embeds=False), data, of="embedding")
    with pytest.raises(ConfigError, match="5 images for t-SNE"):
        projection_tsne(Mean(), data, num=5)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ConfigError, match=r"pip install 'reacgan\[plots\]'"):
        projection_tsne(Mean(), clusters())


def test_the_legend_is_not_cut():
    pytest.importorskip("sklearn")
    names = [letter + 30 * "n" for letter in "abcdef"]
    data = replace(clusters(6), class_names=tuple(names))
    with Image.open(io.BytesIO(projection_tsne(Mean(), data).png)) as opened:
        picture = opened.convert("L")
    edge = picture.crop((picture.width - 3, 0, picture.width, picture.height))
    assert edge.getextrema() == (255, 255), "words reach the right edge"


def test_classes_have_marks_and_names_and_the_rest_is_grey(monkeypatch):
    """30 classes: 25 in the legend, by colour and mark, the others grey; names never cover names."""
    drawn = []
    monkeypatch.setattr(scatter, "figure_png", lambda figure: drawn.append(figure) or b"")
    labels = torch.arange(30).repeat_interleave(4)
    spread = torch.randn(120, 2, generator=torch.Generator().manual_seed(0)) + labels[:, None]
    names = [f"$class_{label}" for label in range(30)]
    scatter.draw_points({"real images": spread}, labels, names)
    (axes,), box = drawn[0].axes, drawn[0].legends[0]
    assert len(box.get_texts()) == 25 and "25 of 30 classes" in box.get_title().get_text()
    assert len(axes.collections[0].get_offsets()) == 5 * 4
    pairs = {
        (tuple(points.get_facecolor()[0][:3]), points.get_paths()[0].vertices.tobytes())
        for points in axes.collections[1:]
    }
    assert len(pairs) == 25
    drawn[0].canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without their lines
    assert 3 < len(boxes) < 25
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
