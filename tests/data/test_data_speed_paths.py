"""The quick ways of the data give the same pixels, orders, batches and reasons as the plain ones."""

from __future__ import annotations

import hashlib
import io
import time
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.data import DataError, ImageData, prepare_data
from reacgan.data.archive import new_archive, read_archive
from reacgan.data.decode import MAX_PIXELS, UnreadableImageError, decode_file
from reacgan.data.images import decode_image, read_header
from reacgan.data.listing import list_class_folders
from reacgan.data.loader import Loader, shift_images
from reacgan.data.order import order_of
from reacgan.data.threads import ordered_map

BATCHES = {  # SHA-256 of 60 batches, computed before the quick ways were written
    (False, 0, False): "c1bf7e584361",
    (True, 0, False): "b89a03d3dbdd",
    (False, 3, False): "2ba01528a380",
    (True, 3, True): "a882c694c302",
}


def jpeg(seed=0, size=(40, 30), mode="RGB", **options):
    """A photograph-like JPEG: smooth colours and some noise."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def photos(tmp_path):
    """300 JPEG, PNG and damaged files in three classes."""
    root = tmp_path / "photos"
    for number in range(300):
        folder = root / f"class {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        content = jpeg(number, (33 + number % 5, 32))
        if number % 50 == 7:
            content = content[: len(content) * 9 // 10]
        (folder / f"{number:03}.jpg").write_bytes(content)
        if number % 10 == 0:
            Image.open(io.BytesIO(jpeg(number))).save(folder / f"{number:03}.png")
    return root


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(2, exif=exif))
    with Image.open(path) as image:
        pixels = np.asarray(image)
    turned = [
        pixels, pixels[:, ::-1], pixels[::-1, ::-1], pixels[::-1], pixels.transpose(1, 0, 2),
        pixels.transpose(1, 0, 2)[:, ::-1], pixels[::-1, ::-1].transpose(1, 0, 2),
        pixels.transpose(1, 0, 2)[::-1],
    ][orientation - 1]  # fmt: skip
    found = decode_file(path, resolution=turned.shape[:2], channels=3)
    assert (found == turned.transpose(2, 0, 1)).all()


def test_too_many_pixels_are_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(5, (40, 30)))
    assert read_header(str(path), 1199).problem.startswith("more than 1199 pixels; ")
    with pytest.raises(UnreadableImageError, match="more than 1199 pixels"):
        decode_file(path, resolution=16, channels=3, max_pixels=1199)
    path.write_bytes(jpeg(5, (40, 7)))
    assert read_header(str(path), MAX_PIXELS).problem == "a side below 8 pixels"


@pytest.mark.parametrize("slow", [0, 1e9])
def test_threads_give_the_same_file(photos, tmp_path, monkeypatch, slow):
    before = prepare_data(photos, tmp_path / "before", resolution=16, channels=3)
    monkeypatch.setattr("reacgan.data.threads.SLOW_SECONDS", slow)
    data = prepare_data(photos, tmp_path / "after", resolution=16, channels=3)
    assert data.digest == before.digest and len(data) == 324
    refused = [(tmp_path / f"{name}.refused.txt").read_bytes() for name in ("before", "after")]
    assert refused[0] == refused[1] and refused[0].count(b"truncated or damaged") == 6


def test_equal_words_keep_their_order():
    words = np.random.Philox(1).random_raw(5000)
    assert (order_of(words) == np.argsort(words, kind="stable")).all()
    words = words % np.uint64(40)
    assert (order_of(words) == np.argsort(words, kind="stable")).all()


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("case", list(BATCHES))
def test_batches_are_those_of_before(case, limit):
    flip, crop, balanced = case
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3000, 3, 16, 24), dtype=np.uint8)
    labels = rng.integers(0, 17, 3000)
    data = ImageData(images, labels, tuple(map(str, range(17))), "")
    loader = Loader(
        data, batch=64, seed=7, flip=flip, crop=crop, balanced=balanced, resident_limit_bytes=limit
    )
    seen = hashlib.sha256()
    for moment in range(0, 64 * 60, 64):
        pixels, classes = loader.at(moment)
        seen.update(pixels.numpy().tobytes() + classes.numpy().tobytes())
    loader.close()
    assert seen.hexdigest()[:12] == BATCHES[case]


def test_the_order_of_the_next_epoch_is_begun_before_it_is_asked_for(numbered, monkeypatch):
    plain = [Loader(numbered, batch=8, seed=3)._order(epoch) for epoch in range(4)]
    monkeypatch.setattr("reacgan.data.loader._LONG_ORDER", 1)
    loader = Loader(numbered, batch=8, seed=3)
    assert (loader._order(0) == plain[0]).all()
    made = loader._new_order
    monkeypatch.setattr(loader, "_new_order", lambda epoch: pytest.fail("computed in the step"))
    assert (loader._next_order[1].result() == plain[1]).all()
    loader._order_executor.submit(int).result()
    order = loader._next_order[1].result()
    monkeypatch.setattr(loader, "_new_order", made)
    assert loader._order(1) is order
    assert (loader._order(3) == plain[3]).all() and (loader._order(2) == plain[2]).all()
    loader.close()


def test_shifts_on_the_host_are_those_of_gathers():
    images = torch.randint(0, 256, (9, 3, 12, 10), dtype=torch.uint8)
    shift = torch.randint(-11, 12, (9, 2))
    for moved in (shift, torch.zeros_like(shift), shift.clamp(-2, 2)):
        rows = (torch.arange(12)[None] + moved[:, :1]).clamp(0, 11)
        columns = (torch.arange(10)[None] + moved[:, 1:]).clamp(0, 9)
        expected = torch.stack(
            [image[:, r][:, :, c] for image, r, c in zip(images, rows, columns, strict=True)]
        )
        assert torch.equal(shift_images(images, moved), expected)


def test_a_mapped_set_is_copied_whole(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
    path = tmp_path / "set"
    with new_archive(path, shape=(3, 8, 8), capacity=50, class_names=("a",), metadata={}) as writer:
        writer.add(images, np.zeros(50, dtype=np.int64))
    loader = Loader(read_archive(path), batch=50, seed=0)
    assert loader.resident and loader._images.numpy().tobytes() == images.tobytes()
    path.write_bytes(b"")  # what is resident needs no file


@pytest.mark.parametrize("slow", [0, 1e9])
def test_memory_does_not_grow_with_the_set(photos, monkeypatch, slow):
    monkeypatch.setattr("reacgan.data.threads.SLOW_SECONDS", slow)
    names = [one for one in sorted(photos.rglob("*.jpg")) if one.stat().st_size > 700][:4]
    items = [str(names[number % 4]) for number in range(1200)]

    def decode(path):
        return decode_image(path, resolution=128, channels=3, max_pixels=MAX_PIXELS)

    tracemalloc.start()
    for result in ordered_map(decode, items):
        assert isinstance(result, np.ndarray)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20 < 1200 * 128 * 128 * 3


def test_threads_do_not_run_ahead_of_a_slow_reader(monkeypatch):
    monkeypatch.setattr("reacgan.data.threads.SLOW_SECONDS", 0)
    monkeypatch.setattr("reacgan.data.threads.usable_cores", lambda: 1)
    started = []
    results = ordered_map(started.append, range(5000))
    for _ in range(17):
        next(results)
    time.sleep(0.3)
    assert 17 < len(started) <= 16 + 2 * 2 * 16
    assert len(list(results)) == 5000 - 17


def test_preparing_does_not_load_torch(photos, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from reacgan.data import prepare_data; "
        f"prepare_data({str(photos)!r}, Path({str(tmp_path / 'out')!r}), resolution=8); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_links_and_odd_names_are_found_as_before(tmp_path):
    root, target = tmp_path / "set", tmp_path / "elsewhere"
    (root / "cat").mkdir(parents=True)
    target.mkdir()
    for name in ("a.JPG", ".hidden.jpg", "b.", "c", "d.jpg"):
        (target / name).write_bytes(jpeg())
    (root / "dog").symlink_to(target)
    (root / "cat" / "loop").symlink_to(root / "cat")
    (root / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (root / "cat" / "circle.jpg").symlink_to("circle.jpg")
    (root / "cat" / "one.jpg").symlink_to(target / "d.jpg")
    (root / "loose.jpg").write_bytes(jpeg())
    listing = list_class_folders(root, "train")[0]
    assert listing.class_names == ("cat", "dog") and listing.ignored == 2
    problems = {entry.relative: entry.problem for entry in listing.entries}
    assert problems.pop("dog/b.") in (
        "not an image's extension (none)", "not an image's extension (.)"
    )  # fmt: skip
    assert problems == {
        "cat/circle.jpg": "broken link",
        "cat/gone.jpg": "broken link",
        "cat/one.jpg": "",
        "dog/a.JPG": "",
        "dog/c": "not an image's extension (none)",
        "dog/d.jpg": "",
        "loose.jpg": "outside the class folders",
    }
    with pytest.raises(DataError, match="no such folder"):
        list_class_folders(root / "fish", "train")
