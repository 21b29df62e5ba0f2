from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from reacgan.config import DataConfig
from reacgan.data import DataError, open_dataset

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (70, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(70) % 10


def opened(name, path=None, split="train", **changes):
    values = {"resolution": 32, "path": None if path is None else str(path), **changes}
    return open_dataset(DataConfig(name=name, **values), split)


def test_digits():
    train, test = opened("digits", channels=1, resolution=8), opened("digits", split="test")
    assert len(train) + len(test) == 1797
    assert train.counts.min() >= 116 and test.counts.min() >= 58
    assert train.class_names == tuple("0123456789")
    assert train.images.shape == (1201, 1, 8, 8) and test.images.shape == (596, 3, 32, 32)
    assert train.images.min() == 0 and train.images.max() == 255
    assert (test.images[:, 0] == test.images[:, 2]).all()
    assert train.digest.startswith("4746c053e16954cd")
    with pytest.raises(DataError, match="part of the package"):
        opened("digits", "somewhere")


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    grey = np.round(original.images * 255 / 16).astype(np.uint8)
    seen = np.zeros(10, dtype=int)
    parts = {"train": [], "test": []}
    for image, label in zip(grey, original.target, strict=True):
        seen[label] += 1
        parts["test" if seen[label] % 3 == 0 else "train"].append((image, label))
    for split, expected in parts.items():
        data = opened("digits", split=split, resolution=8, channels=1)
        assert (data.images[:, 0] == np.stack([image for image, _ in expected])).all()
        assert data.labels.tolist() == [label for _, label in expected]


def records(part, *, fine=False):
    columns = [LABELS[part, None].astype(np.uint8), PIXELS[part].reshape(-1, 3072)]
    if fine:
        columns.insert(0, np.full_like(columns[0], 19))
    return np.concatenate(columns, axis=1).tobytes()


@pytest.fixture
def cifar10_files():
    files = {f"data_batch_{k + 1}.bin": records(slice(10 * k, 10 * k + 10)) for k in range(5)}
    files["test_batch.bin"] = records(slice(50, 70))
    files["batches.meta.txt"] = "\n".join(f"name{k}" for k in range(10)).encode() + b"\n\n"
    return files


def write_tar(path, files, folder):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            item = tarfile.TarInfo(f"{folder}/{name}")
            item.size = len(content)
            tar.addfile(item, io.BytesIO(content))
    return path


def test_cifar10_from_the_archive_and_from_its_folder(tmp_path, cifar10_files):
    path = write_tar(tmp_path / "c.tar.gz", cifar10_files, "cifar-10-batches-bin")
    folder = tmp_path / "unpacked" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, content in cifar10_files.items():
        (folder / name).write_bytes(content)
    for place in (path, folder, folder.parent):
        train, test = opened("cifar10", place), opened("cifar10", place, "test")
        assert (train.images == PIXELS[:50]).all() and (test.images == PIXELS[50:]).all()
        assert train.labels.tolist() == LABELS[:50].tolist()
        assert train.class_names == tuple(f"name{k}" for k in range(10))
    grey = opened("cifar10", path, resolution=16, channels=1)
    assert grey.images.shape == (50, 1, 16, 16)
    assert opened("cifar10", path, resolution=16, channels=1).digest == grey.digest


def test_cifar100_has_fine_labels(tmp_path):
    names = "\n".join(f"fine{k}" for k in range(100)).encode()
    files = {
        "train.bin": records(slice(0, 50), fine=True),
        "test.bin": records(slice(50, 70), fine=True),
        "fine_label_names.txt": names,
    }
    path = write_tar(tmp_path / "c.tar.gz", files, "cifar-100-binary")
    data = opened("cifar100", path)
    assert data.num_classes == 100 and data.class_names[7] == "fine7"
    assert data.labels.tolist() == LABELS[:50].tolist()


def test_damaged_and_pickled_cifar(tmp_path, cifar10_files):
    short = {**cifar10_files, "data_batch_3.bin": cifar10_files["data_batch_3.bin"][:-1]}
    path = write_tar(tmp_path / "short.tar.gz", short, "x")
    with pytest.raises(DataError, match=r"data_batch_3\.bin: 30729 bytes.*multiple of 3073"):
        opened("cifar10", path)
    pickled = write_tar(tmp_path / "py.tar.gz", {"data_batch_1": b"\x80"}, "cifar-10-batches-py")
    with pytest.raises(DataError, match="the binary archive, not the pickled one"):
        opened("cifar10", pickled)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"\x80")
    with pytest.raises(DataError, match="pickled form of CIFAR-10, which is not read"):
        opened("cifar10", tmp_path / "cifar-10-batches-py")
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cut\.tar\.gz: cannot be read"):
        opened("cifar10", cut)
    with pytest.raises(DataError, match="no such file"):
        opened("cifar10", tmp_path / "absent")


@pytest.fixture
def tiny(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    wnids = ["n02", "n01", "n03"]
    (root / "val" / "images").mkdir(parents=True)
    for number, wnid in enumerate(wnids):
        (root / "train" / wnid / "images").mkdir(parents=True)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("x")
        for k in range(2):
            image = Image.new("RGB", (64, 64), (number * 100, k, 0))
            image.save(root / "train" / wnid / "images" / f"{wnid}_{k}.JPEG", quality=100)
            image.save(root / "val" / "images" / f"val_{number + 3 * k}.JPEG", quality=100)
    (root / "wnids.txt").write_text("\n".join(wnids))
    words = "n01\tcrane, bird\nn02\tcrane\nn03\tdog, hound\nn99\tunused\n"
    (root / "words.txt").write_text(words)
    lines = [f"val_{k}.JPEG\t{wnids[k % 3]}\t0\t0\t9\t9" for k in range(6)]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines))
    return root


def test_tiny_imagenet(tiny, tmp_path):
    archive = tmp_path / "tiny.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(tiny.rglob("*")):
            zipped.write(path, path.relative_to(tiny.parent))
    for name, place in (
        ("tiny_imagenet", tiny),
        ("tiny_imagenet", tiny.parent),
        ("tiny_imagenet", archive),
        ("folder", tiny),
    ):
        train, test = opened(name, place), opened(name, place, "test")
        assert train.class_names == test.class_names == ("crane (n01)", "crane (n02)", "dog")
        for data in (train, test):
            assert data.counts.tolist() == [2, 2, 2]
            red = data.images[:, 0].mean((1, 2)).round(-2).astype(int)
            assert red.tolist() == np.array([100, 0, 200])[data.labels].tolist()


def test_tiny_imagenet_that_is_not_one(tiny, tmp_path):
    (tiny / "val" / "val_annotations.txt").write_text("../../x.JPEG\tn01\n")
    with pytest.raises(DataError, match="is not a file name and a class"):
        opened("tiny_imagenet", tiny, "test")
    (tiny / "wnids.txt").unlink()
    with pytest.raises(DataError, match="not the official layout"):
        opened("tiny_imagenet", tiny)
    (tmp_path / "x.zip").write_text("no")
    with pytest.raises(DataError, match="not a zip"):
        opened("tiny_imagenet", tmp_path / "x.zip")


def test_downloads_go_to_the_cache(monkeypatch, private_cache, cifar10_files, tmp_path):
    path = write_tar(tmp_path / "c.tar.gz", cifar10_files, "cifar-10-batches-bin")
    asked = []

    def fake(url, destination, **options):
        asked.append((url, destination, options["md5"]))
        return path

    monkeypatch.setattr("reacgan.data.download.download", fake)
    assert len(opened("cifar10")) == 50
    url, destination, md5 = asked[0]
    assert url.endswith("/cifar-10-binary.tar.gz") and len(md5) == len(hashlib.md5().hexdigest())
    assert destination == private_cache / "downloads" / "cifar-10-binary.tar.gz"


def test_real_tiny_imagenet(real_data):
    root = real_data("tiny-imagenet-200-subset.tar.xz") / "tiny-imagenet-200"
    train = opened("tiny_imagenet", root, resolution=64)
    test = opened("tiny_imagenet", root, "test", resolution=64)
    assert train.counts.tolist() == [25] * 200 and test.counts.tolist() == [5] * 200
    assert "goldfish" in train.class_names and len(set(train.class_names)) == 200
