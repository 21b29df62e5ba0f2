"""Every layout of folders that people have, as names alone; and what is decided about it."""

from __future__ import annotations

import io
import re
from pathlib import PurePosixPath

import pytest
from PIL import Image

from reacgan.data import DataError, inspect_data
from reacgan.data.layout import Tree, decide
from reacgan.data.listing import read_tree
from reacgan.data.names import IMAGE_SUFFIXES, split_of, suffix_of


def tree_of(*files: str) -> Tree:
    """A tree from paths; ``cat*3`` stands for three images in the folder cat, ``cat/`` for an empty one."""
    nested: dict = {}
    for text in files:
        path, _, number = text.partition("*")
        parts = list(PurePosixPath(path).parts)
        is_folder = path.endswith("/") or bool(number)
        node = nested
        for name in parts if is_folder else parts[:-1]:
            node = node.setdefault(name, {})
        names = [f"{k}.png" for k in range(int(number or 0))] if is_folder else parts[-1:]
        for name in names:
            node[f"{name}\0"] = None

    def build(name: str, node: dict) -> Tree:
        files = [one[:-1] for one in node if one.endswith("\0")]
        return Tree(
            name,
            images=sum(suffix_of(one) in IMAGE_SUFFIXES for one in files),
            folders=tuple(build(one, node[one]) for one in sorted(node) if not one.endswith("\0")),
            tables=tuple(sorted(one for one in files if suffix_of(one) in (".csv", ".json"))),
        )

    return build("", nested)


PETS = ("cat*3", "dog*3")


def under(place: str, *classes: str) -> tuple[str, ...]:
    return tuple(f"{place}/{one}" for one in classes or PETS)


# name: (files, train, classes or None for cat and dog, test, words of a note)
FOUND = {
    "class folders (torchvision, Keras)": (PETS, "", None, None, ""),
    "classes with deeper folders": (
        ("cat*3", "cat/2019*2", "dog*3"),
        "",
        None,
        None,
        r"sub-folders of a class belong to it: cat \(2\)",
    ),
    "an empty class folder": ((*PETS, "bird/"), "", None, None, ""),
    "train and test": ((*under("train"), *under("test")), "train", None, "test", ""),
    "Roboflow": (
        (*under("train"), *under("valid"), *under("test"), "README.roboflow.txt"),
        "train",
        None,
        "test",
        "not read: valid/",
    ),
    "Hugging Face, train and validation": (
        (*under("train"), *under("validation")),
        "train",
        None,
        "validation",
        "",
    ),
    "train and dev": ((*under("train"), *under("dev")), "train", None, "dev", ""),
    "train and eval": ((*under("train"), *under("eval")), "train", None, "eval", ""),
    "Train and Val": ((*under("Train"), *under("Val")), "Train", None, "Val", ""),
    "train alone": (under("train"), "train", None, None, ""),
    "train, flat test": (
        (*under("train"), "test*5"),
        "train",
        None,
        None,
        "test/ holds 5 images without classes",
    ),
    "train, nested flat test": (
        (*under("train"), "test/test*5"),
        "train",
        None,
        None,
        "test/ holds 5 images without classes",
    ),
    "train, val, flat test": (
        (*under("train"), *under("val"), "test*5"),
        "train",
        None,
        "val",
        "test/ holds 5 images without classes",
    ),
    "training_set twice": (
        (*under("training_set/training_set"), *under("test_set/test_set")),
        "training_set/training_set",
        None,
        "test_set/test_set",
        "train: the folders in training_set/training_set/; test: .*test_set/test_set/",
    ),
    "seg_train, seg_test, seg_pred": (
        (*under("seg_train/seg_train"), *under("seg_test/seg_test"), "seg_pred/seg_pred*9"),
        "seg_train/seg_train",
        None,
        "seg_test/seg_test",
        "beside the split are not read: seg_pred/",
    ),
    "sign language, one flat file a letter in test": (
        (*under("asl_train/asl_train", "A*3", "B*3"), "asl_test/asl_test*28"),
        "asl_train/asl_train",
        ("A", "B"),
        None,
        "asl_test/ holds 28 images without classes",
    ),
    "train_images and test_images": (
        (*under("train_images"), *under("test_images")),
        "train_images",
        None,
        "test_images",
        "train: the folders in train_images/",
    ),
    "photos in the folder given": (under("photos"), "photos", None, None, "folders in photos/"),
    "name/name/": (under("pets/pets"), "pets/pets", None, None, "folders in pets/pets/"),
    "class/class/": (("cat/cat*3", "dog/dog*3"), "", None, None, ""),
    "images/train, images/val, labels": (
        (*under("images/train"), *under("images/val"), "labels/train/1.txt"),
        "images/train",
        None,
        "images/val",
        "train: the folders in images/train/; test: the folders in images/val/.*no image in labels/",
    ),
    "test alone": (under("test"), "test", None, None, "folders in test/"),
    "empty test": ((*under("train"), "test/"), "train", None, None, "no image in test/"),
    "train and annotations": (
        (*under("train"), "annotations/1.xml"),
        "train",
        None,
        None,
        "no image in annotations/",
    ),
    "Caltech": (
        (*under("101_ObjectCategories"), "Annotations/cat/1.mat"),
        "101_ObjectCategories",
        None,
        None,
        "folders in 101_ObjectCategories/.*no image in Annotations/",
    ),
    "Tiny-ImageNet without its files": (
        ("train/n01/images*3", "train/n02/images*3", "val/images*4", "test/images*4"),
        "train",
        ("n01", "n02"),
        None,
        "test/ holds 4 images without classes.*val/ holds 4 images without classes",
    ),
    "ImageNet as the competition gives it": (
        (*under("ILSVRC/Data/CLS-LOC/train"), "ILSVRC/Data/CLS-LOC/val*9", "ILSVRC/Annotations/x.xml"),
        "ILSVRC/Data/CLS-LOC/train",
        None,
        None,
        "val/ holds 9 images without classes",
    ),
    "one name within every class": (("a/x*3", "b/x*3"), "", ("a", "b"), None, ""),
    "a preview beside the folder": (("1.png", *under("pets")), "pets", None, None, "1 image directly"),
    "a stray image among classes": (("pets*1", *under("pets")), "pets", None, None, "folders in pets/"),
    "a class called train": (("bus*3", "train*3"), "", ("bus", "train"), None, "taken for classes"),
    "one class": (("cat*3",), "", ("cat",), None, "one class only, cat"),
    "one class, nested": (("cat/images*3",), "", ("cat",), None, "one class only, cat"),
    "one class in train and test": (("train/cat*3", "test/cat*3"), "train", ("cat",), "test", ""),
    "splits with other classes": (
        (*under("train"), *under("test", "dog*2", "zebra*2")),
        "train",
        None,
        "test",
        "test/ has classes that train has not, zebra: 2 images not used, of 4",
    ),
    "StyleGAN's tool, without its file": (
        ("00000*3", "00001*3"), "", ("00000", "00001"), None, "parts of one set"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_class_folders_are_found(name):
    files, train, classes, test, note = FOUND[name]
    decision = decide(tree_of(*files))
    assert decision.problem == ""
    assert "/".join(decision.train) == train
    assert tuple(one for one in decision.classes if one != "bird") == (classes or ("cat", "dog"))
    assert (None if decision.test is None else "/".join(decision.test)) == test
    if note:
        assert re.search(note, " | ".join(decision.notes)), decision.notes
    else:
        assert not [one for one in decision.notes if "one class" not in one]


# name: (files, words of the problem, paths to give)
STOPPED = {
    "val and test alone": (
        (*under("val"), *under("test")),
        r"none of them is a class: test/ holds cat, dog; val/ holds cat, dog",
        ["test", "val"],
    ),
    "two sources": ((*under("a"), *under("b")), "a/ holds cat, dog; b/ holds cat, dog", ["a", "b"]),
    "train beside another source": ((*under("train"), *under("extra")), "extra/ holds", ["extra", "train"]),
    "kinds within kinds": (
        ("cat/persian*3", "cat/siam*3", "dog/beagle*3", "dog/pug*3"),
        "cat/ holds persian, siam; dog/ holds beagle, pug",
        ["cat", "dog"],
    ),
    "one kind each": (("a/cat*3", "b/dog*3"), "a/ holds cat; b/ holds dog", ["a", "b"]),
    "a copy of all within": (
        (*PETS, *under("pets")),
        r"class folders \(cat, dog\) beside .*pets/ holds cat, dog",
        ["pets"],
    ),
    "a class without its own images": (
        (*PETS, "more/bird*3"),
        r"class folders \(cat, dog\) beside .*more/ holds bird",
        ["more"],
    ),
    "folds": ((*under("fold1"), *under("fold2")), "fold1/ holds cat, dog", ["fold1", "fold2"]),
    "two pairs of splits": (
        (*under("rgb_train"), *under("rgb_test"), *under("ir_train"), *under("ir_test")),
        "none of them is a class",
        ["ir_test", "ir_train", "rgb_test", "rgb_train"],
    ),
    "flat": (("1.png", "2.png"), "no class folders; it holds 2 images", []),
    "flat train": (("train*3",), "no class folders; train/ holds 3 images", []),
    "flat train and annotations": (("train*3", "annotations/1.xml"), "train/ holds 3 images", []),
    "flat train, empty test": (("train*3", "test/"), "train/ holds 3 images", []),
    "flat train and test": (("train*3", "test*3"), "no class folders; train/ holds 3 images", []),
    "flat train, nested": (("train/train*3", "test/test*3"), "found train/train/ with 3 images", []),
    "flat train, test with classes": (("train*3", *under("test")), "train/ holds 3 images", ["test"]),
    "flat images in train": (("train/images*3", "val/images*3"), "train/images/ holds 3 images", []),
    "train_images": (("train_images*3", "test_images*3"), "train_images/ holds 3 images", []),
    "CycleGAN": (("trainA*3", "trainB*3", "testA*3", "testB*3"), "no class folders; found", []),
    "nothing": ((), "no class folders; found nothing", []),
}  # fmt: skip


@pytest.mark.parametrize("name", STOPPED)
def test_what_has_no_class_folders_or_several_ways_to_some(name):
    files, problem, choices = STOPPED[name]
    decision = decide(tree_of(*files))
    assert decision.train is None and re.search(problem, decision.problem), decision.problem
    assert sorted("/".join(way) for way in decision.choices) == choices


PIXELS = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PIXELS, "PNG")


def write(root, files):
    """The same layout on the disk."""
    for text in files:
        path, _, number = text.partition("*")
        is_folder = path.endswith("/") or bool(number)
        (root / path if is_folder else (root / path).parent).mkdir(parents=True, exist_ok=True)
        for name in [f"{k}.png" for k in range(int(number or 0))] if is_folder else [""]:
            image = suffix_of(name or path) in IMAGE_SUFFIXES
            (root / path / name).write_bytes(PIXELS.getvalue() if image else b"")
    return root


@pytest.mark.parametrize("name", FOUND)
def test_the_same_on_a_disk(tmp_path, name):
    files, train, classes, test, note = FOUND[name]
    scan = inspect_data(write(tmp_path / "given", files))
    assert scan.class_names == (classes or ("cat", "dog"))
    assert scan.root == tmp_path.joinpath("given", train)
    assert re.search(note, " | ".join(scan.notes))
    if test is None:
        with pytest.raises(DataError, match="has no test split"):
            inspect_data(tmp_path / "given", split="test")
    else:
        held_out = inspect_data(tmp_path / "given", split="test")
        assert held_out.class_names == scan.class_names
        assert held_out.root == tmp_path.joinpath("given", test)


def test_links_that_lead_up_are_not_followed(tmp_path):
    root = write(tmp_path / "given" / "set", PETS)
    write(tmp_path / "given" / "other", ("a/b*3", "c/d*3"))
    for place in (root, root / "cat"):
        (place / "up").symlink_to(tmp_path / "given")
        (place / "self").symlink_to(place)
    tree = read_tree(root)
    assert [(one.name, one.total, one.folders) for one in tree.folders] == [
        ("cat", 3, ()),
        ("dog", 3, ()),
    ]


@pytest.mark.parametrize("name", STOPPED)
def test_paths_to_give_are_named(tmp_path, name):
    files, problem, choices = STOPPED[name]
    root = write(tmp_path / "given", files)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=problem) as raised:
        inspect_data(root)
    for choice in choices:
        assert str(root / choice) in str(raised.value)
        assert inspect_data(root / choice).files
    assert ("one sub-folder a class" in str(raised.value)) == (not choices)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", ("train", ())), ("Training", ("train", ())), ("seg_train", ("train", ("seg",))),
        ("trainA", ("train", ("a",))), ("TestSet", ("test", ("set",))), ("dev", ("test", ())),
        ("valid", ("test", ())), ("validation", ("test", ())), ("eval", ("test", ())),
        ("trainer", ("", ())), ("contest", ("", ())), ("train_test", ("", ())), ("cat", ("", ())),
    ],
)  # fmt: skip
def test_names_of_splits(name, split):
    assert split_of(name) == split
