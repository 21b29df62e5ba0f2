from __future__ import annotations

import logging
import os
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image
from test_data_decode import png

from reacgan.cli import main
from reacgan.config import DataConfig
from reacgan.data import (
    DataError,
    inspect_data,
    open_dataset,
    prepare_data,
    refusal_of,
    report_refused,
    survey_dataset,
)
from reacgan.data.archive import read_archive, read_metadata
from reacgan.data.threads import ordered_map


def save(path, *, size=(16, 16), colour=(200, 100, 50), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


def config(path, **changes):
    return DataConfig(name="folder", path=str(path), **{"resolution": 16, **changes})


@pytest.fixture
def hostile(tmp_path):
    """Good images among everything that people and machines leave in folders."""
    root = tmp_path / "möbel \u732b"
    good = root / "chair"
    for number in range(4):
        save(good / f"{number}.png")
    save(good / "deep" / "er" / "x y \u00fc.png")
    save(good / "is really a jpeg.png", format="JPEG")
    whole = (good / "0.png").read_bytes()
    (good / "zero.png").touch()
    (good / "text.jpg").write_text("not an image")
    (good / "notes.txt").write_text("hello")
    (good / "noname").write_bytes(whole)
    save(good / "one.png", size=(1, 1))
    (good / "bomb.png").write_bytes(png(60000, 60000, depth=8, kind=2, row=b"")[:60])
    save(good / "really tga.png", format="TGA")
    (good / "broken.png").symlink_to(root / "nowhere.png")
    os.mkfifo(good / "pipe.png")
    (good / "loop").symlink_to(good)
    (good / "up").symlink_to(root)
    (good / ".DS_Store").write_text("x")
    (good / "Thumbs.db").write_text("x")
    table = root / "table top"
    save(table / "a.webp")
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    noise.save(table / "cut.png")
    (table / "cut.png").write_bytes((table / "cut.png").read_bytes()[:2000])
    save(root / "loose.png")
    (root / "empty").mkdir()
    return root


def test_hostile_folder(hostile, tmp_path):
    scan = inspect_data(hostile)
    assert scan.class_names == ("chair", "table top")
    assert scan.counts.tolist() == [6, 2]  # the cut one has a good header
    assert scan.files[:5] == tuple(
        f"chair/{name}" for name in ("0.png", "1.png", "2.png", "3.png", "deep/er/x y \u00fc.png")
    )
    reasons = {one.path: one.reason for one in scan.refused}
    assert reasons == {
        "chair/zero.png": "empty file",
        "chair/text.jpg": "content is none of PNG, JPEG, WEBP, BMP, TIFF, GIF, PPM, HEIC, AVIF",
        "chair/noname": "not an image's extension (none)",
        "chair/one.png": "a side below 8 pixels",
        "chair/bomb.png": "more than 64000000 pixels; REACGAN_MAX_PIXELS allows more",
        "chair/really tga.png": "content is none of PNG, JPEG, WEBP, BMP, TIFF, GIF, PPM, HEIC, AVIF",
        "chair/broken.png": "broken link",
        "chair/pipe.png": "not a regular file",
        "loose.png": "outside the class folders",
    }
    assert any("left out" in note and "empty" in note for note in scan.notes)
    assert "1 file beside the images ignored: 1 .txt" in scan.notes
    assert scan.ignored == 4
    assert not scan.grey and set(scan.modes) == {"RGB"} and scan.sizes[0] == (16, 16)

    listed = report_refused(scan, tmp_path / "refused.txt").read_text(encoding="utf-8")
    assert "empty file\tchair/zero.png\n" in listed and listed.count("\n") == 9


def test_too_many_refused_stops_with_counts_and_a_list(hostile, tmp_path):
    out = tmp_path / "out.safetensors"
    with pytest.raises(DataError, match=r"9 of 17 files.*2 x content is none.*refused\.txt"):
        prepare_data(hostile, out, resolution=16)
    listed = (tmp_path / "out.safetensors.refused.txt").read_text(encoding="utf-8")
    assert listed.count("\n") == 9 and not out.exists()
    with pytest.raises(DataError, match="9 of 17 files were refused"):
        open_dataset(config(hostile))
    data = prepare_data(hostile, out, resolution=16, max_refused=0.7)
    assert data.counts.tolist() == [6, 1]  # decoding finds the cut one
    listed = (tmp_path / "out.safetensors.refused.txt").read_text(encoding="utf-8")
    assert "truncated or damaged (OSError)\ttable top/cut.png" in listed


def test_a_class_of_damaged_images_only_is_an_error(two_classes, tmp_path):
    for path in (two_classes / "cat").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="every image of these classes is damaged: cat"):
        prepare_data(two_classes, tmp_path / "out", resolution=16, max_refused=1)


def test_pixel_cap_and_progress(two_classes, tmp_path):
    save(two_classes / "cat" / "large.png", size=(100, 100))
    assert len(inspect_data(two_classes).files) == 7
    assert inspect_data(two_classes, max_pixels=9999).reasons == {
        "more than 9999 pixels; REACGAN_MAX_PIXELS allows more": 1
    }
    steps = []
    prepare_data(
        two_classes,
        tmp_path / "out",
        resolution=8,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(7, 7)]


@pytest.mark.parametrize("kind", ["webp", "gif", "apng"])
def test_animations_are_noted(two_classes, tmp_path, kind):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(two_classes / "cat" / f"a.{kind}", save_all=True, append_images=frames[1:])
    assert "1 image has several frames; the first one is used" in inspect_data(two_classes).notes
    data = prepare_data(two_classes, tmp_path / "out", resolution=8)
    assert (
        data.images[inspect_data(two_classes).files.index(f"cat/a.{kind}")][0].min() >= 254
    )  # red


def test_gif_and_portable_pixmaps(two_classes, tmp_path):
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    Image.new("RGB", (16, 16), (200, 100, 50)).save(two_classes / "cat" / "still.GIF")
    clear = Image.new("P", (16, 16))
    clear.putpalette([1, 2, 3] * 4)
    clear.save(two_classes / "cat" / "clear.gif", transparency=0)
    grey.save(two_classes / "dog" / "grey.pgm")
    scan = inspect_data(two_classes)
    assert not scan.refused
    data = prepare_data(two_classes, tmp_path / "out", resolution=16)
    pixels = dict(zip(scan.files, data.images, strict=True))
    assert pixels["cat/still.GIF"][:, 0, 0].tolist() == [200, 100, 50]
    assert (pixels["cat/clear.gif"] == 255).all()  # white behind what is transparent
    assert (pixels["dog/grey.pgm"] == np.asarray(grey)).all()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("a.jp2", "save it as PNG"), ("a.CR2", "as TIFF"), ("a.mp4", "its pictures as single PNG")],
)
def test_further_formats_have_a_remedy(two_classes, name, remedy):
    (two_classes / "cat" / name).write_bytes(b"x")
    (refused,) = inspect_data(two_classes).refused
    assert remedy in refused.reason


def test_a_larger_share_of_refused_files_is_an_option_of_the_set(hostile, tmp_path, capsys):
    wanted = "--set data.options.max_refused=0.53"
    with pytest.raises(DataError, match=wanted) as refused:
        open_dataset(config(hostile))
    assert "reacgan-test" not in str(refused.value) and "cache" not in str(refused.value)
    scan = survey_dataset(config(hostile))
    assert f"reacgan data inspect '{hostile}' --split train --list-refused" in refusal_of(scan)
    allowed = config(hostile, options={"max_refused": 0.53})
    assert refusal_of(survey_dataset(allowed)) == ""
    with pytest.raises(DataError, match=r"10 of 17 files.*max_refused=0.59"):  # found by decoding
        open_dataset(allowed)
    allowed = config(hostile, options={"max_refused": 0.6})
    assert open_dataset(allowed).counts.tolist() == [6, 1]
    with pytest.raises(
        DataError, match="9 of 17 files"
    ):  # the packed file is that of the other share
        open_dataset(config(hostile))
    with pytest.raises(DataError, match=r"max_refused is 2; allowed: a share of the files, 0 to 1"):
        open_dataset(config(hostile, options={"max_refused": 2}))
    out = tmp_path / "out.safetensors"
    words = ["data", "prepare", str(hostile), str(out), "--resolution", "8"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--set", "data.options.max_refused=0.6"])
    assert not ended.value.code and len(read_archive(out)) == 7


def test_channels_follow_the_images(two_classes, tmp_path):
    assert prepare_data(two_classes, tmp_path / "rgb", resolution=8).channels == 3
    assert prepare_data(two_classes, tmp_path / "one", resolution=8, channels=1).channels == 1
    for path in two_classes.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    assert prepare_data(two_classes, tmp_path / "grey", resolution=8).channels == 1


def test_packed_once_then_mapped_and_anew_when_a_file_changes(
    two_classes, private_cache, monkeypatch
):
    data = open_dataset(config(two_classes))
    assert isinstance(data.images, np.memmap)
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    packs = list((private_cache / "packs").iterdir())
    assert len(packs) == 1
    with monkeypatch.context() as patch:
        patch.setattr("reacgan.data.images.decode_file", None)
        moved = two_classes.rename(two_classes.with_name("moved"))
        assert open_dataset(config(moved)).digest == data.digest
    save(moved / "dog" / "new.png")
    assert len(open_dataset(config(moved))) == 7
    packs[0].write_bytes(b"damaged")
    (moved / "dog" / "new.png").unlink()
    assert open_dataset(config(moved)).digest == data.digest


def test_every_size_and_every_content_has_its_own_pack(two_classes):
    path = two_classes / "cat" / "same size.bmp"
    save(path, colour=(255, 0, 0))
    os.utime(path, ns=(10**18, 10**18))
    red = open_dataset(config(two_classes))
    assert open_dataset(config(two_classes, resolution=8)).images.shape == (7, 3, 8, 8)
    assert open_dataset(config(two_classes, channels=1)).images.shape == (7, 1, 16, 16)
    save(path, colour=(0, 0, 255))
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert open_dataset(config(two_classes)).digest != red.digest


def test_one_pixel_changed_with_size_and_time_set_back(two_classes):
    path = two_classes / "cat" / "0.png"
    before = open_dataset(config(two_classes, resolution=12))
    held, pixels = path.stat(), np.asarray(Image.open(path)).copy()
    time.sleep(0.02)  # a clock of some systems ticks this seldom
    place = (6, 10, 0)
    for value in set(range(256)) - {int(pixels[place])}:
        pixels[place] = value
        Image.fromarray(pixels).save(path)
        if path.stat().st_size == held.st_size:
            break
    os.utime(path, ns=(held.st_atime_ns, held.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns) == (held.st_size, held.st_mtime_ns)
    after = open_dataset(config(two_classes, resolution=12))
    assert (after.images != before.images).sum() == 1
    assert after.digest != before.digest


@pytest.mark.parametrize("slow", [0.0, 1e9])
def test_order_is_kept_with_and_without_threads(monkeypatch, slow):
    monkeypatch.setattr("reacgan.data.threads.SLOW_SECONDS", slow)
    threads, steps = set(), []

    def square(number):
        threads.add(threading.get_ident())
        time.sleep(1e-4 * (number % 3))
        return number * number

    squares = ordered_map(
        square, list(range(1500)), progress=lambda done, total: steps.append(done)
    )
    assert list(squares) == [number * number for number in range(1500)]
    assert (len(threads) > 1) == (slow == 0)
    assert steps == sorted(steps) and steps[-1] == 1500
    assert list(ordered_map(square, [])) == []


def test_names_that_are_not_unicode(two_classes):
    name = os.fsdecode(b"caf\xe9")
    (two_classes / "cat").rename(two_classes / name)
    data = open_dataset(config(two_classes))
    assert data.class_names == ("caf\ufffd", "dog")


def test_a_cache_that_cannot_be_written(two_classes, private_cache, caplog):
    private_cache.write_text("a file where a folder is needed")
    data = open_dataset(config(two_classes))
    assert len(data) == 6 and not isinstance(data.images, np.memmap)
    assert "REACGAN_CACHE" in caplog.text
    private_cache.unlink()
    assert open_dataset(config(two_classes)).digest == data.digest


@pytest.mark.parametrize("held_out", ["test", "val", "Validation"])
def test_splits(two_classes, tmp_path, held_out, caplog):
    root = tmp_path / "split"
    shutil.copytree(two_classes, root / "train")
    save(root / "train" / "aardvark" / "bad.png", size=(2, 2))
    save(root / held_out / "dog" / "1.png")
    save(root / held_out / "zebra" / "1.png")
    for number in range(30):
        save(root / held_out / "cat" / f"{number}.png")
        save(root / "train" / "cat" / f"more{number}.png")
    caplog.set_level(logging.WARNING)
    train, test = open_dataset(config(root)), open_dataset(config(root), "test")
    assert train.class_names == test.class_names == ("cat", "dog")
    assert train.counts.tolist() == [33, 3] and test.counts.tolist() == [30, 1]
    assert "aardvark" in caplog.text and "its class has no training image" in caplog.text
    data = prepare_data(root, tmp_path / "out.safetensors", resolution=16)
    assert data.digest == train.digest
    assert read_archive(tmp_path / "out.test.safetensors").digest == test.digest
    assert read_metadata(tmp_path / "out.test.safetensors")["split"] == "test"
    packed = DataConfig(name="archive", path=str(tmp_path / "out.safetensors"), resolution=16)
    assert open_dataset(packed, "test").digest == test.digest


def test_what_is_not_a_folder_of_classes(tmp_path, two_classes):
    with pytest.raises(DataError, match="no such folder"):
        open_dataset(config(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"data\.path is missing"):
        open_dataset(DataConfig(name="folder"))
    with pytest.raises(DataError, match=r"has no test split; put held-out images in test/<class>"):
        open_dataset(config(two_classes), "test")
    flat = tmp_path / "flat"
    save(flat / "1.png")
    (flat / "labels.csv").write_text("x")
    with pytest.raises(DataError, match=r"no class folders; it holds 1 image\. .*cat.*1\.png.*dog"):
        inspect_data(flat)
    with pytest.raises(DataError, match="a file, needed: a folder"):
        inspect_data(flat / "1.png")
    (tmp_path / "nothing" / "class").mkdir(parents=True)
    with pytest.raises(DataError, match="no image in the folders of its classes"):
        inspect_data(tmp_path / "nothing")
    with pytest.raises(DataError, match="split is 'dev'; allowed: train, test"):
        open_dataset(config(two_classes), "dev")
    with pytest.raises(DataError, match="channels is 2; allowed"):
        open_dataset(config(two_classes, channels=2))


def test_unknown_data_set_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'digit'; did you mean 'digits'.*cifar10"):
        open_dataset(DataConfig(name="digit"))


def test_real_cifar_classes(real_data):
    root = real_data("cifar10-jpeg.tar.xz", lambda name: name.endswith(("01.jpg", "17.jpg")))
    scan = inspect_data(root)
    assert len(scan.class_names) == 10 and not scan.refused
    assert set(scan.sizes) == {(32, 32)} and set(scan.modes) == {"RGB"}
    data = open_dataset(DataConfig(name="cifar10", path=str(root), resolution=32))
    test = open_dataset(DataConfig(name="cifar10", path=str(root), resolution=32), "test")
    assert data.counts.tolist() == [100] * 10 and test.counts.tolist() == [20] * 10
    first = np.asarray(Image.open(scan.root / scan.files[0]).convert("RGB")).transpose(2, 0, 1)
    assert (data.images[0] == first).all()
    rows = ["file,class,split"]
    for split in ("train", "test"):
        for path in sorted((root / split).rglob("*.jpg")):
            rows.append(f"{path.relative_to(root)},{path.parent.name},{split}")
    (root / "cifar.csv").write_text("\n".join(rows))
    table = DataConfig(name="csv", path=str(root / "cifar.csv"), resolution=32)
    assert open_dataset(table).digest == data.digest
    assert open_dataset(table, "test").digest == test.digest
