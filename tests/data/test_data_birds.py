"""CUB-200-2011 and ImageNet in their official layouts, small."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from reacgan.config import ConfigError, DataConfig
from reacgan.data import DataError, cub200, open_dataset, survey_dataset

RNG = np.random.default_rng(0)


def opened(name, path, split="train", resolution=8, **options):
    path = None if path is None else str(path)
    config = DataConfig(name=name, path=path, resolution=resolution, options=options)
    return open_dataset(config, split)


def picture(path, size=(20, 12), colour=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise) if colour is None else Image.new("RGB", size, colour)
    image.save(path, "PNG")
    return image


@pytest.fixture
def birds(tmp_path):
    """Two species; images 1, 2, 5 for training, 3, 4 for test; the bird is a white square."""
    root = tmp_path / "CUB_200_2011"
    lines = {name: [] for name in ("images", "image_class_labels", "train_test_split")}
    boxes = []
    folders = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    for number, (label, training) in enumerate([(1, 1), (1, 1), (1, 0), (2, 0), (2, 1)], start=1):
        name = f"{folders[label - 1]}/bird_{number}.jpg"
        image = Image.new("L", (40, 30), 0)
        left, top = 2 * number, number
        image.paste(255, (left, top, left + 12, top + 12))
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").save(root / "images" / name, quality=100)
        lines["images"].append(f"{number} {name}")
        lines["image_class_labels"].append(f"{number} {label}")
        lines["train_test_split"].append(f"{number} {training}")
        boxes.append(f"{number} {left}.0 {top}.0 12.0 12.0")
    lines |= {
        "bounding_boxes": boxes,
        "classes": [f"{k} {name}" for k, name in enumerate(folders, start=1)],
    }
    for name, held in lines.items():
        (root / f"{name}.txt").write_text("\n".join(held) + "\n")
    return root


def test_birds_of_the_folder(birds):
    for place in (birds, birds.parent):
        train, test = opened("cub200", place), opened("cub200", place, "test")
        assert (
            train.class_names == test.class_names == ("Black footed Albatross", "Laysan Albatross")
        )
        assert train.labels.tolist() == [0, 0, 1] and test.labels.tolist() == [0, 1]
        assert train.images.mean() < 100


@pytest.mark.parametrize("resolution", [8, (8, 12)])
def test_birds_cropped_to_their_boxes(birds, resolution):
    data = opened("cub200", birds, resolution=resolution, box=True)
    if resolution == 8:
        assert data.images.min() > 225
        assert opened("cub200", birds, "test", box=True).images.min() > 225
    else:  # widened by half: a sixth of black on either side, but at the edge on one
        assert (data.images[1, 0] > 128).mean() == pytest.approx(2 / 3, abs=0.1)
        assert data.size == resolution
    assert opened("cub200", birds, resolution=resolution).digest != data.digest
    assert survey_dataset(DataConfig(name="cub200", path=str(birds))).counts.tolist() == [2, 1]


def test_a_box_in_another_place_is_another_pack(birds):
    before = opened("cub200", birds, box=True).digest
    text = (birds / "bounding_boxes.txt").read_text()
    (birds / "bounding_boxes.txt").write_text(text.replace("1 2.0 1.0 12.0", "1 20.0 1.0 12.0", 1))
    assert opened("cub200", birds, box=True).digest != before


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("images.txt", None, r"images\.txt: missing; needed: the official CUB_200_2011\.tgz"),
        ("bounding_boxes.txt", None, r"bounding_boxes\.txt: missing"),
        ("bounding_boxes.txt", "1 2 3 4\n", "'1 2 3 4' is not a number and 4 values"),
        ("bounding_boxes.txt", "1 2 3 4 5\n", "has no line for image 2"),
        ("bounding_boxes.txt", "1 2 3 0 5\n", "image 1 has '2 3 0 5'; needed: left, top, width"),
        ("bounding_boxes.txt", "1 2 3 x 5\n", "image 1 has '2 3 x 5'"),
        ("bounding_boxes.txt", "1 2 3 nan 5\n", "image 1 has '2 3 nan 5'"),
        ("image_class_labels.txt", "1 7\n", "image 1 has '7'; needed: a class of classes.txt"),
        ("image_class_labels.txt", "1 1\n1 2\n", "1 occurs twice"),
        ("train_test_split.txt", "1 yes\n", "image 1 has 'yes'; needed: 0 or 1"),
        ("images.txt", "x y\n", "'x y' is not a number and a name"),
        ("images.txt", "1 ../../secret.png\n", "leads outside of images/"),
        ("classes.txt", b"\xff\xfe", r"classes\.txt: not readable"),
        ("images.txt", "1 absent.jpg\n", "1 x not readable: No such file or directory"),
    ],
)
def test_birds_that_do_not_fit_together(birds, file, content, said):
    if content is None:
        (birds / file).unlink()
    else:
        data = content if isinstance(content, bytes) else content.encode()
        (birds / file).write_bytes(data)
    with pytest.raises(DataError, match=said):
        opened("cub200", birds, box=True)


def test_birds_whose_box_is_outside(birds):
    (birds / "bounding_boxes.txt").write_text("".join(f"{k} 90 90 9 9\n" for k in range(1, 6)))
    with pytest.raises(DataError, match="3 x its box lies outside of it"):
        opened("cub200", birds, box=True)


def test_options_are_those_of_the_opener(birds):
    with pytest.raises(
        ConfigError, match=r"data\.options\.bx: unknown option.*; did you mean 'box'"
    ):
        opened("cub200", birds, bx=True)
    with pytest.raises(ConfigError, match=r"data\.options\.box: .*boolean"):
        opened("cub200", birds, box="perhaps")
    with pytest.raises(ConfigError, match=r"data\.options\.box: unknown option.*Allowed: none"):
        opened("digits", None, box=True)


@pytest.fixture
def published(birds, tmp_path, monkeypatch):
    """The birds as CUB_200_2011.tgz on a server; gives its file, and what was asked for."""
    archive = tmp_path / "served" / "CUB_200_2011.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(birds, "CUB_200_2011")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(archive.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/{archive.name}"
    monkeypatch.setattr(cub200, "CUB200", dataclasses.replace(cub200.CUB200, url=url, md5=md5))
    yield archive
    server.shutdown()
    server.server_close()


def test_birds_of_the_archive_and_downloaded(birds, published, monkeypatch):
    digest = opened("cub200", birds).digest
    assert opened("cub200", published).digest == digest
    assert opened("cub200", None).digest == digest
    published.unlink()
    assert opened("cub200", None, "test").labels.tolist() == [0, 1]  # from the cache
    with pytest.raises(DataError, match="no such file or folder"):
        opened("cub200", published)
    published.write_text("no archive")
    with pytest.raises(DataError, match=r"neither a folder nor a \.tar"):
        opened("cub200", published)


def test_birds_of_another_checksum(published, monkeypatch):
    other = dataclasses.replace(cub200.CUB200, md5="0" * 32)
    monkeypatch.setattr(cub200, "CUB200", other)
    with pytest.raises(DataError, match="its md5 is [0-9a-f]{32}, expected 0{32}"):
        opened("cub200", None)
    assert other.max_unpacked_bytes >= 2 * 2**30


def test_the_published_checksum_stands_in_the_source():
    assert cub200.CUB200.md5 == "97eceeb196236b17998738112f37df78"
    assert cub200.CUB200.url.startswith("https://data.caltech.edu/records/65de6-vp158/files/")
