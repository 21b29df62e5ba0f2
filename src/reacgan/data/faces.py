"""AFHQ and FFHQ: faces of animals in three classes, and of people in one (unconditional)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.download import unpacked
from reacgan.data.listing import Entry, Listing, list_class_folders, parts_up_to, walk_folder
from reacgan.data.names import IMAGE_SUFFIXES, suffix_of

_AFHQ_CLASSES = ("cat", "dog", "wild")
_AFHQ_BYTES = 32 * 2**30
_FFHQ_BYTES = 128 * 2**30
_FFHQ_TRAINING = 60_000


def list_afhq(path: str | None, *, split: str) -> list[Listing]:
    """AFHQ (Choi et al., StarGAN v2, CVPR 2020): cats, dogs and wild animals, 512 x 512 pixels.

    Version 1 has 14,630 training images and 500 a class in val/, version 2 (re-sampled with less
    aliasing) 14,336 and about 500 a class in test/; either serves as ``test`` here.

    Args:
        path: the folder with train/ and val/ or test/, or the published zip of it.
        split: train or test.

    Raises:
        DataError: no path (the message says what to fetch), or another layout.
    """
    if path is None:
        raise DataError(
            "data.path is missing: AFHQ (CC BY-NC 4.0) is not downloaded. Fetch afhq.zip "
            "or afhq_v2.zip as https://github.com/clovaai/stargan-v2 says, and set data.path to it "
            "or to its folder with train/ and val/ or test/"
        )
    root = unpacked(Path(path), max_bytes=_AFHQ_BYTES)
    for name in ("afhq", "afhq_v2", "afhqv2"):
        if not (root / "train").is_dir() and (root / name / "train").is_dir():
            root = root / name
    listings = list_class_folders(root, split)
    for listing in listings:
        if listing.class_names != _AFHQ_CLASSES:
            raise DataError(
                f"{listing.root}: has the folders {', '.join(listing.class_names)}; AFHQ has "
                f"{', '.join(_AFHQ_CLASSES)}. For other class folders use data.name=folder"
            )
    return listings


def list_ffhq(path: str | None, *, split: str, train_on_all: bool = False) -> list[Listing]:
    """FFHQ (Karras et al., StyleGAN, CVPR 2019): 70,000 faces of people, one class called face.

    The images numbered 0 to 59,999 are ``train`` and the rest ``test``, as in the authors' split;
    their generators are trained on all of them (``train_on_all``).

    Args:
        path: images1024x1024/ or thumbnails128x128/ with its sub-folders 00000/, 01000/, ..., a
            folder of the same files side by side, or a zip or tar of either.
        split: train or test.
        train_on_all: the held-out images are part of ``train``, too.

    Raises:
        DataError: no path (the message says what to fetch), or no numbered images.
    """
    if path is None:
        raise DataError(
            "data.path is missing: FFHQ (CC BY-NC-SA 4.0) is not downloaded. Fetch "
            "images1024x1024 or thumbnails128x128 as https://github.com/NVlabs/ffhq-dataset says, "
            "and set data.path to that folder"
        )
    root = unpacked(Path(path), max_bytes=_FFHQ_BYTES)
    files, ignored = walk_folder(root, root, label=0)
    parts: dict[str, list[Entry]] = {"train": [], "test": []}
    for entry in files:
        if suffix_of(Path(entry.relative).name) not in IMAGE_SUFFIXES:
            continue
        stem = Path(entry.relative).stem
        if not (stem.isascii() and stem.isdigit()):
            entry = replace(entry, problem="its name is not a number, as FFHQ's are")  # noqa: PLW2901
        held_out = stem.isdigit() and int(stem) >= _FFHQ_TRAINING
        if not held_out or train_on_all:
            parts["train"].append(entry)
        if held_out:
            parts["test"].append(entry)
    for part in parts_up_to(split):
        if not parts[part]:
            wanted = "0 to 59999" if part == "train" else "60000 to 69999"
            raise DataError(
                f"{root}: holds no image numbered {wanted}, which are FFHQ's {part} images; needed: "
                "files such as 00000.png, or 00000/00000.png"
            )
    return [
        Listing(root, part, ("face",), tuple(parts[part]), ignored) for part in parts_up_to(split)
    ]
