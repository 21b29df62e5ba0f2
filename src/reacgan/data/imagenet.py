"""ImageNet (ILSVRC 2012): 1,281,167 training and 50,000 validation images of 1,000 classes.

``train/<wnid>/*.JPEG`` and ``val/``, either sorted into the same sub-folders or flat as published.
Classes of flat validation images are read from ``LOC_val_solution.csv`` (of the Kaggle competition) or
from the development kit (``ILSVRC2012_devkit_t12/data``: ILSVRC2012_validation_ground_truth.txt and
meta.mat). ``LOC_synset_mapping.txt`` gives readable names. All of them are beside train/, or at the
top where train/ is at ILSVRC/Data/CLS-LOC/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reacgan.data.dataset import DataError
from reacgan.data.listing import Entry, Listing, describe_file, folders, list_classes, read_lines
from reacgan.data.names import is_image, readable_name, unique_names

_INSIDE = ("", "CLS-LOC", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC", "ILSVRC2012")
_NAMES = "LOC_synset_mapping.txt"
_SOLUTION = "LOC_val_solution.csv"
_DEVKITS = ("ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "devkit/data", "data")
_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"


def list_imagenet(path: str | None, *, split: str) -> list[Listing]:
    """ImageNet: 1,281,167 training and 50,000 test images of 1,000 classes.

    ``test`` is the validation part: the test part has no labels. Classes are the sub-folders of
    train/ sorted by name, any subset of the 1,000.

    Args:
        path: the folder that holds train/, val/ and the file of the classes of val/.
        split: train or test.

    Raises:
        DataError: no path (the message says what to fetch), or another layout.
    """
    if path is None:
        raise DataError(
            "data.path is missing: ImageNet needs a registration and is not downloaded. "
            "Fetch ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
            "ILSVRC2012_devkit_t12.tar.gz from https://image-net.org/download.php, unpack them to "
            "train/<wnid>/, val/ and ILSVRC2012_devkit_t12/, and set data.path to the folder"
        )
    top = Path(path)
    if not top.is_dir():
        raise DataError(f"{top}: no such folder")
    root = next((top / way for way in _INSIDE if (top / way / "train").is_dir()), None)
    wnids = [] if root is None else folders(root / "train")
    if root is None or not wnids:
        raise DataError(
            f"{top}: has no train/ with a sub-folder for each class, such as train/n01440764/ "
            "(each of the class archives in ILSVRC2012_img_train.tar is unpacked to its own)"
        )
    train = list_classes(root / "train")
    listings = [_named(train, top)]
    if split == "test":
        listings.append(_validation(root, top, [folder.name for folder in wnids], listings[0]))
    return listings


def _named(listing: Listing, top: Path) -> Listing:
    """The listing with readable names, if the file of names exists."""
    table = top / _NAMES
    names: dict[str, str] = {}
    if table.is_file():
        for line in read_lines(table):
            wnid, _, synonyms = line.partition(" ")
            names[wnid] = synonyms.partition(",")[0].strip()
    readable = [names.get(wnid) or wnid for wnid in listing.class_names]
    named = unique_names(readable, listing.class_names)
    return Listing(listing.root, listing.split, named, listing.entries, listing.ignored)


def _validation(root: Path, top: Path, wnids: list[str], train: Listing) -> Listing:
    folder = root / "val"
    if not folder.is_dir():
        raise DataError(f"{folder}: missing; unpack ILSVRC2012_img_val.tar to it")
    below = folders(folder)
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    if below:
        sorted_in = list_classes(folder)
        shown = {readable_name(wnid): label for wnid, label in label_of.items()}
        labels = [*(shown.get(name, -1) for name in sorted_in.class_names), -1]  # -1: no class
        entries = [replace(entry, label=labels[entry.label]) for entry in sorted_in.entries]
        return Listing(folder, "test", train.class_names, tuple(entries), sorted_in.ignored)
    files = sorted(file.name for file in folder.iterdir() if is_image(file.name))
    classes = _answers(root, top, files)
    described = []
    for name in files:
        wnid = classes.get(Path(name).stem)
        entry = describe_file(folder / name, name, label_of.get(wnid or "", -1))
        if wnid is None:
            entry = Entry(name, -1, problem="no class is given for it")
        described.append(entry)
    return Listing(folder, "test", train.class_names, tuple(described))


def _answers(root: Path, top: Path, files: list[str]) -> Mapping[str, str]:
    """The class (wnid) of each validation image, by its name without extension."""
    for folder in (top, root):
        if (folder / _SOLUTION).is_file():
            return _solution(folder / _SOLUTION)
        for kit in _DEVKITS:
            if (folder / kit / _GROUND_TRUTH).is_file():
                return _ground_truth(folder / kit, files)
    raise DataError(
        f"{root / 'val'}: the images are in one folder and no file has their classes. Put "
        f"{_SOLUTION} into {top}, or unpack ILSVRC2012_devkit_t12.tar.gz there, or sort the images "
        "into val/<wnid>/"
    )


def _solution(path: Path) -> dict[str, str]:
    """``ImageId,PredictionString``; the string is the wnid and a box, once for each object."""
    classes = {}
    for line in read_lines(path)[1:]:
        name, _, prediction = line.partition(",")
        words = prediction.split()
        if not name or not words:
            raise DataError(f"{path}: the line {line[:80]!r} is not an image, a comma and a wnid")
        classes[name.strip()] = words[0]
    return classes


def _ground_truth(kit: Path, files: list[str]) -> dict[str, str]:
    """Line k is the ILSVRC2012_ID (1 to 1000) of image ILSVRC2012_val_<k, 8 digits>."""
    wnids = _wnids(kit / "meta.mat")
    classes = {}
    for number, line in enumerate(read_lines(kit / _GROUND_TRUTH), start=1):
        identity = int(line) if line.strip().isdigit() else 0
        if identity not in wnids:
            raise DataError(
                f"{kit / _GROUND_TRUTH}, line {number}: {line[:40]!r} is no ILSVRC2012_ID of "
                "meta.mat"
            )
        classes[f"ILSVRC2012_val_{number:08d}"] = wnids[identity]
    if files and not any(Path(name).stem in classes for name in files):
        raise DataError(
            f"{kit / _GROUND_TRUTH}: its {len(classes)} lines stand for ILSVRC2012_val_00000001 and so "
            f"on, but the images are called as {files[0]}"
        )
    return classes


def _wnids(path: Path) -> dict[int, str]:
    """ILSVRC2012_ID to wnid, from the development kit's MATLAB file."""
    try:
        from scipy.io import loadmat  # noqa: PLC0415 - only this layout needs it
    except ImportError:
        raise DataError(
            f"{path}: reading it needs SciPy: pip install scipy. Without it, put {_SOLUTION} beside "
            "train/, or sort the images into val/<wnid>/"
        ) from None
    try:
        table: Any = loadmat(path, squeeze_me=True, struct_as_record=True)["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table}
    except Exception as error:  # damaged files raise anything
        raise DataError(f"{path}: not the development kit's meta.mat ({error!r:.120})") from None
