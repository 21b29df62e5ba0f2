"""CUB-200-2011: 11,788 photographs of 200 species of birds, in the official layout.

Wah, Branson, Welinder, Perona, Belongie: The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001.
Every text file has one line for each image or class, starting with its number: ``images.txt`` (path
below images/), ``image_class_labels.txt`` (class), ``train_test_split.txt`` (1 for training),
``bounding_boxes.txt`` (left, top, width, height in pixels) and ``classes.txt`` (name).
"""

from __future__ import annotations

import math
from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.decode import Box
from reacgan.data.download import Resource, cached_download, unpacked
from reacgan.data.listing import Listing, describe_file, read_lines

CUB200 = Resource(
    url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    md5="97eceeb196236b17998738112f37df78",
    max_unpacked_bytes=4 * 2**30,
)
_FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


def list_cub200(path: str | None, *, split: str, box: bool = False) -> list[Listing]:
    """CUB-200-2011: 5,994 training and 5,794 test images of 200 classes, 41 to 60 of each.

    Args:
        path: the published CUB_200_2011.tgz, its unpacked folder, or None to download it.
        split: train or test, as train_test_split.txt says.
        box: crop to the bird instead of the centre: its bounding box, widened to the requested
            proportions within the picture.

    Raises:
        DataError: files missing or inconsistent; or the download failed.
    """
    archive = Path(path) if path is not None else cached_download(CUB200)
    root = unpacked(archive, max_bytes=CUB200.max_unpacked_bytes)
    if not (root / _FILES[0]).is_file() and (root / "CUB_200_2011").is_dir():
        root = root / "CUB_200_2011"
    for name in (*_FILES, *(["bounding_boxes.txt"] if box else [])):
        if not (root / name).is_file():
            raise DataError(
                f"{root / name}: missing; needed: the official CUB_200_2011.tgz or its folder, with "
                "images/ and the text files beside it (leave data.path out to download it)"
            )
    classes = _column(root / "classes.txt")
    label_of = {number: label for label, number in enumerate(classes)}
    files, labels = _column(root / "images.txt"), _column(root / "image_class_labels.txt", 1)
    training = _column(root / "train_test_split.txt", 1)
    boxes = _column(root / "bounding_boxes.txt", 4) if box else {}
    entries: dict[str, list[tuple[str, int, Box | None]]] = {"1": [], "0": []}
    for number, name in files.items():
        label = label_of.get(_of(labels, number, root / "image_class_labels.txt"))
        part = _of(training, number, root / "train_test_split.txt")
        if label is None or part not in entries:
            wrong = "image_class_labels.txt" if label is None else "train_test_split.txt"
            value = labels[number] if label is None else part
            allowed = "a class of classes.txt" if label is None else "0 or 1"
            raise DataError(f"{root / wrong}: image {number} has {value!r}; needed: {allowed}")
        if name.startswith("/") or ".." in name.split("/"):
            raise DataError(f"{root / 'images.txt'}: {name!r} leads outside of images/")
        part_box = _box(boxes, number, root / "bounding_boxes.txt") if box else None
        entries[part].append((f"images/{name}", label, part_box))
    names = tuple(_readable(name) for name in classes.values())
    listings = []
    for part_name, part in (("train", "1"), ("test", "0"))[: 1 if split == "train" else 2]:
        described = [describe_file(root / name, name, k, b) for name, k, b in entries[part]]
        listings.append(Listing(root, part_name, names, tuple(described)))
    return listings


def _column(path: Path, values: int = 0) -> dict[str, str]:
    """The rest of each line by its number: ``values`` words, or any text (0)."""
    column: dict[str, str] = {}
    for line in read_lines(path):
        number, _, rest = line.strip().partition(" ")
        if not number.isdigit() or not rest or (values and len(rest.split()) != values):
            needed = f"{values} value{'s' if values > 1 else ''}" if values else "a name"
            raise DataError(f"{path}: the line {line[:80]!r} is not a number and {needed}")
        if number in column:
            raise DataError(f"{path}: {number} occurs twice")
        column[number] = rest.strip()
    return column


def _of(column: dict[str, str], number: str, path: Path) -> str:
    if number not in column:
        raise DataError(f"{path}: has no line for image {number} of images.txt")
    return column[number]


def _box(boxes: dict[str, str], number: str, path: Path) -> Box:
    words = _of(boxes, number, path).split()
    try:
        left, top, width, height = (float(word) for word in words)
    except ValueError:
        left = top = width = height = math.nan
    if not all(map(math.isfinite, (left, top, width, height))) or width <= 0 or height <= 0:
        raise DataError(
            f"{path}: image {number} has {' '.join(words)!r}; needed: left, top, width and height "
            "in pixels, the last two above 0"
        )
    return left, top, width, height


def _readable(name: str) -> str:
    """``001.Black_footed_Albatross`` is Black footed Albatross."""
    number, _, rest = name.partition(".")
    return (rest if number.isdigit() and rest else name).replace("_", " ")
