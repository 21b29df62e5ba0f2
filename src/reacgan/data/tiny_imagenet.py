"""Tiny-ImageNet in its official layout: 200 classes of 64 x 64 images.

``train/<wnid>/images/*.JPEG``, ``val/images/*.JPEG`` with ``val/val_annotations.txt`` (file and
wnid, tab-separated), ``wnids.txt`` (the classes, one a line) and ``words.txt`` (their names).
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.download import Resource, cached_download, extract, unpacked_folder
from reacgan.data.listing import Entry, Listing, describe_file, read_lines
from reacgan.data.names import is_image, unique_names

TINY_IMAGENET = Resource(
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    max_unpacked_bytes=2 * 2**30,
)


def list_tiny_imagenet(path: str | None, *, split: str) -> list[Listing]:
    """Tiny-ImageNet: 100,000 training and 10,000 test images of 200 classes, 64 x 64 pixels.

    ``test`` is the published validation part: the published test part has no labels. Classes are
    sorted by wnid and named by the first word of ``words.txt``.

    Args:
        path: tiny-imagenet-200.zip, its unpacked folder, or None to download it.
        split: train or test.

    Raises:
        DataError: the layout is not the official one, or the download failed.
    """
    root = Path(path) if path is not None else cached_download(TINY_IMAGENET)
    if root.is_file():
        if not zipfile.is_zipfile(root):
            raise DataError(f"{root}: not a zip; needed: tiny-imagenet-200.zip or its folder")
        limit = TINY_IMAGENET.max_unpacked_bytes
        root = extract(root, unpacked_folder(root), max_bytes=limit)
    if not is_official(root) and is_official(root / "tiny-imagenet-200"):
        root = root / "tiny-imagenet-200"
    if not is_official(root):
        raise DataError(
            f"{root}: not the official layout of Tiny-ImageNet (wnids.txt, train/<wnid>/images, "
            "val/val_annotations.txt); for other class folders use the data set 'folder'"
        )
    return list_official(root, split)


def is_official(root: Path) -> bool:
    """Whether a folder has the published layout of Tiny-ImageNet."""
    return (root / "wnids.txt").is_file() and (root / "train").is_dir()


def list_official(root: Path, split: str) -> list[Listing]:
    """The listing of train, and of test if requested."""
    wnids = sorted(set(read_lines(root / "wnids.txt")))
    names = class_names(root, wnids)
    entries: list[Entry] = []
    for label, wnid in enumerate(wnids):
        folder = root / "train" / wnid / "images"
        if not folder.is_dir():
            raise DataError(f"{folder}: missing, though wnids.txt names its class")
        entries.extend(_images(folder, root, label))
    listings = [Listing(root, "train", names, tuple(entries))]
    if split == "train":
        return listings
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    held_out = []
    for line in read_lines(root / "val" / "val_annotations.txt"):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in labels or Path(name).name != name or name in ("", "..", "."):
            raise DataError(
                f"{root / 'val' / 'val_annotations.txt'}: the line {line[:80]!r} is not a file "
                "name and a class of wnids.txt, separated by tabs"
            )
        relative = f"val/images/{name}"
        held_out.append(describe_file(root / relative, relative, labels[wnid]))
    held_out.sort(key=lambda entry: entry.relative)
    return [*listings, Listing(root, "test", names, tuple(held_out))]


def class_names(root: Path, wnids: list[str]) -> tuple[str, ...]:
    """The first word of each class, with its wnid where two classes share the word."""
    words = {}
    if (root / "words.txt").is_file():
        for line in read_lines(root / "words.txt"):
            wnid, _, synonyms = line.partition("\t")
            words[wnid] = synonyms.partition(",")[0].strip()
    names = [words.get(wnid) or wnid for wnid in wnids]
    return unique_names(names, wnids)


def _images(folder: Path, root: Path, label: int) -> list[Entry]:
    images = sorted(file for file in folder.iterdir() if is_image(file.name))
    return [describe_file(file, file.relative_to(root).as_posix(), label) for file in images]
