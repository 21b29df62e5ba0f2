"""ImageNet, AFHQ and FFHQ in the layouts that they are published in, small."""

from __future__ import annotations

import shutil
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from reacgan.config import DataConfig
from reacgan.data import DataError, open_dataset, survey_dataset

WNIDS = ("n01440764", "n02012849", "n03126707")
ANSWERS = (2, 0, 1, 1)
"""The class of each validation image."""


def opened(name, path, split="train", **options):
    config = DataConfig(name=name, path=str(path), resolution=8, options=options)
    return open_dataset(config, split)


def save(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 8), (value, value, value)).save(path, "PNG")


@pytest.fixture
def imagenet(tmp_path):
    """Three classes with 2 training images and 4 flat validation images; no answers yet."""
    root = tmp_path / "imagenet"
    for wnid in WNIDS:
        for number in range(2):
            save(root / "train" / wnid / f"{wnid}_{number}.JPEG")
    for number, label in enumerate(ANSWERS, start=1):
        save(root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", 80 * label)
    return root


def check(root, names=WNIDS):
    train, test = opened("imagenet", root), opened("imagenet", root, "test")
    assert train.counts.tolist() == [2, 2, 2] and train.class_names == test.class_names == names
    assert (test.images[:, 0, 0, 0] == 80 * test.labels).all()
    assert test.counts.tolist() == [1, 2, 1]


def write_solution(place):
    rows = [
        f"ILSVRC2012_val_{k:08d},{WNIDS[label]} 1 2 3 4 {WNIDS[0]} 1 2 3 4 "
        for k, label in reversed(list(enumerate(ANSWERS, start=1)))
    ]
    (place / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))


def write_devkit(folder, ids=(2, 3, 1)):
    """``ids``: the ILSVRC2012_ID of each class, which is not the order of the wnids."""
    savemat = pytest.importorskip("scipy.io").savemat
    folder.mkdir(parents=True)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")]
    rows = [(number, wnid, "a word") for number, wnid in zip(ids, WNIDS, strict=True)]
    rows.append((1001, "n00001740", "entity"))
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kinds)[:, None]})
    lines = "".join(f"{ids[label]}\n" for label in ANSWERS)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


def test_flat_validation_with_the_solution_of_the_competition(imagenet, tmp_path):
    write_solution(imagenet)
    check(imagenet)
    names = "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n"
    (imagenet / "LOC_synset_mapping.txt").write_text(names)
    check(imagenet, ("tench", "crane (n02012849)", "crane (n03126707)"))
    kaggle = tmp_path / "kaggle"
    shutil.copytree(imagenet / "train", kaggle / "ILSVRC/Data/CLS-LOC/train")
    shutil.copytree(imagenet / "val", kaggle / "ILSVRC/Data/CLS-LOC/val")
    for name in ("LOC_val_solution.csv", "LOC_synset_mapping.txt"):
        shutil.copy(imagenet / name, kaggle)
    check(kaggle, ("tench", "crane (n02012849)", "crane (n03126707)"))


def test_flat_validation_with_the_development_kit(imagenet, monkeypatch):
    write_devkit(imagenet / "ILSVRC2012_devkit_t12" / "data")
    check(imagenet)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(DataError, match=r"needs SciPy: pip install scipy"):
        opened("imagenet", imagenet, "test")
    monkeypatch.undo()
    kit = imagenet / "ILSVRC2012_devkit_t12" / "data"
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n7\n")
    with pytest.raises(DataError, match=r"line 2: '7' is no ILSVRC2012_ID of meta\.mat"):
        opened("imagenet", imagenet, "test")
    (kit / "meta.mat").write_bytes(b"MATLAB 5.0" * 100)
    with pytest.raises(DataError, match=r"not the development kit's meta\.mat"):
        opened("imagenet", imagenet, "test")


def test_validation_sorted_into_folders(imagenet):
    for number, label in enumerate(ANSWERS, start=1):
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        (imagenet / "val" / WNIDS[label]).mkdir(exist_ok=True)
        (imagenet / "val" / name).rename(imagenet / "val" / WNIDS[label] / name)
    check(imagenet)
    shutil.rmtree(imagenet / "train" / WNIDS[0])
    with pytest.raises(DataError, match="1 of 4 files.*its class has no training image"):
        opened("imagenet", imagenet, "test")


def test_imagenet_that_is_not_laid_out_so(imagenet, tmp_path):
    with pytest.raises(DataError, match=r"no file has their classes.*LOC_val_solution\.csv"):
        opened("imagenet", imagenet, "test")
    write_solution(imagenet)
    table = imagenet / "LOC_val_solution.csv"
    table.write_text(table.read_text().replace("ILSVRC2012_val_00000002,", "other,"))
    with pytest.raises(DataError, match="1 x no class is given for it"):
        opened("imagenet", imagenet, "test")
    table.write_text("ImageId,PredictionString\nname only\n")
    with pytest.raises(DataError, match="'name only' is not an image, a comma and a wnid"):
        opened("imagenet", imagenet, "test")
    shutil.rmtree(imagenet / "val")
    with pytest.raises(DataError, match=r"val: missing; unpack ILSVRC2012_img_val\.tar"):
        opened("imagenet", imagenet, "test")
    with pytest.raises(DataError, match="no train/ with a sub-folder for each class"):
        opened("imagenet", tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        opened("imagenet", tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("imagenet", r"needs a registration.*https://image-net\.org/download\.php.*set data\.path"),
        ("afhq", r"not downloaded.*clovaai/stargan-v2.*set data\.path"),
        ("ffhq", r"not downloaded.*NVlabs/ffhq-dataset.*set data\.path"),
        ("csv", r"data\.path is missing; give the file"),
        ("jsonl", r"data\.path is missing; give the file"),
        ("hub", r"data\.path is missing; give the set's name on the hub"),
    ],
)
def test_what_is_not_downloaded_says_what_to_fetch_and_where_to_put_it(name, said):
    with pytest.raises(DataError, match=said):
        open_dataset(DataConfig(name=name, resolution=8))


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_afhq_of_both_versions(tmp_path, held_out):
    root = tmp_path / "afhq"
    for part, count in (("train", 3), (held_out, 1)):
        for value, name in enumerate(("cat", "dog", "wild")):
            for number in range(count):
                save(root / part / name / f"{number}.jpg", 50 * value)
    with zipfile.ZipFile(tmp_path / "afhq.zip", "w") as zipped:
        for path in sorted(root.rglob("*.jpg")):
            zipped.write(path, path.relative_to(tmp_path))
    for place in (root, tmp_path / "afhq.zip"):
        train, test = opened("afhq", place), opened("afhq", place, "test")
        assert train.class_names == ("cat", "dog", "wild")
        assert train.counts.tolist() == [3, 3, 3] and test.counts.tolist() == [1, 1, 1]
        assert (test.images[:, 0, 0, 0] == 50 * test.labels).all()
    save(root / "train" / "zebra" / "1.jpg")
    with pytest.raises(
        DataError, match=r"cat, dog, wild, zebra; AFHQ has cat, dog, wild\. For other"
    ):
        opened("afhq", root)


@pytest.mark.parametrize("nested", [False, True])
def test_ffhq_is_one_class(tmp_path, nested):
    root = tmp_path / "images"
    for number in (0, 7, 59_999, 60_000, 69_999):
        name = f"{number // 1000 * 1000:05d}/{number:05d}.png" if nested else f"{number:05d}.png"
        save(root / name, number // 300)
    (root / "LICENSE.txt").write_text("x")
    train, test = opened("ffhq", root), opened("ffhq", root, "test")
    assert train.class_names == test.class_names == ("face",)
    assert train.images[:, 0, 0, 0].tolist() == [0, 0, 199]
    assert test.images[:, 0, 0, 0].tolist() == [200, 233]
    whole = opened("ffhq", root, train_on_all=True)
    assert len(whole) == 5 and len(opened("ffhq", root, "test", train_on_all=True)) == 2
    save(root / "me.png")
    config = DataConfig(name="ffhq", path=str(root))
    assert survey_dataset(config).reasons == {"its name is not a number, as FFHQ's are": 1}
    with pytest.raises(DataError, match=r"1 of 4 files.*its name is not a number"):
        opened("ffhq", root)


def test_ffhq_without_held_out_images(tmp_path):
    save(tmp_path / "00001.png")
    with pytest.raises(DataError, match=r"no image numbered 60000 to 69999"):
        opened("ffhq", tmp_path, "test")
    save(tmp_path / "other" / "60001.png")
    with pytest.raises(DataError, match=r"no image numbered 0 to 59999"):
        opened("ffhq", tmp_path / "other")
