"""Classify names: images, companion files, splits, system files."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from reacgan.files import as_text
from reacgan.text import one_line

IMAGE_SUFFIXES = frozenset(
    {
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff",
        ".gif", ".pgm", ".ppm", ".pbm", ".pnm",
        ".heic", ".heif", ".hif", ".avif",  # some need a decoder, which the reason for refusing names
        ".npy",
    }
)  # fmt: skip
_REMEDIES = {
    **dict.fromkeys(
        (".jp2", ".j2k", ".jpx", ".jxl", ".psd", ".svg", ".ico", ".tga", ".exr"), "PNG"
    ),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".dcm"), "TIFF"
    ),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".pdf"), ""),
}
"""What to save a file as that holds pictures in a form that is not read; of several pictures empty."""
BESIDE_SUFFIXES = frozenset(
    {
        ".txt", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".md", ".rst",
        ".html", ".htm", ".log", ".ini", ".lock", ".xmp", ".aae", ".thm", ".exif", ".pp3", ".dop",
        ".caption", ".tags", ".pts", ".mat", ".cat", ".lab", ".url", ".lnk",
    }
)  # fmt: skip
"""Extensions of companion files of images, never images themselves."""
TABLE_SUFFIXES = frozenset(
    {
        ".csv", ".tsv", ".json", ".jsonl", ".xml", ".parquet", ".arrow", ".xlsx", ".xls", ".mat", ".h5",
    }
)  # fmt: skip
"""Extensions of files that may hold labels, readable here or not."""

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation")

_TRAIN_WORDS = frozenset((*TRAIN_NAMES, "trainset", "trainingset", "traindata"))
_TEST_WORDS = frozenset((*TEST_NAMES, "testset", "testdata", "valset", "validationset"))
_GENERAL = frozenset(
    {
        "image", "images", "img", "imgs", "picture", "pictures", "pics", "photo", "photos", "data",
        "dataset", "files", "frames", "jpegimages", "jpg", "jpgs", "jpeg", "png", "pngs",
        "original", "originals", "raw", "cropped", "resized",
    }
)  # fmt: skip
_LEFT_BEHIND = frozenset(
    {
        "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "#recycle",
        "$recycle.bin", "@recycle", "@tmp", "@recently-snapshot", "@snapshot", "__pycache__",
        "lost+found", "system volume information",
    }
)  # fmt: skip
_SMALL_COPIES = frozenset({"thumbnails", "thumbnail", "thumbs", "_thumbs", "_thumbnails"})
_PIECE = re.compile(
    "([0-9]{5})|(.*[^a-z])?(part|piece|chunk|shard|batch|images|files)[-_ ]?[0-9]+", re.IGNORECASE
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_]+")

SplitWord = Literal["train", "test", ""]


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden or system file: ``.DS_Store``, ``Thumbs.db``, ``@eaDir``."""
    return name.startswith(".") or name.casefold() in _LEFT_BEHIND


def is_small_copies(name: str) -> bool:
    """Whether a folder holds thumbnails that programs keep beside images."""
    return name.casefold() in _SMALL_COPIES


def is_image(name: str) -> bool:
    """Whether a name is that of a visible image or array."""
    return not is_hidden(name) and suffix_of(name) in IMAGE_SUFFIXES


def readable_name(name: str) -> str:
    """The name with bytes that are not UTF-8 replaced, so that it can be stored and printed."""
    return as_text(name)


def class_name_of(name: str) -> str:
    """A folder's name as a class: readable, in Unicode's composed form (NFC).

    Systems differ in the Unicode form of a name (macOS decomposes).
    """
    return unicodedata.normalize("NFC", readable_name(name))


def unique_names(names: Sequence[str], tags: Sequence[str]) -> tuple[str, ...]:
    """The names, each with its tag in brackets where two classes share the name."""
    often = Counter(names)
    return tuple(
        name if often[name] == 1 else f"{name} ({tag})"
        for name, tag in zip(names, tags, strict=True)
    )


def alike_note(names: Sequence[str]) -> str:
    """A note on classes whose names differ in case, blanks or form of characters alone, or empty."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        groups.setdefault(plain, []).append(name)
    alike = [group for group in groups.values() if len(group) > 1]
    if not alike:
        return ""
    listed = [" and ".join(map(repr, group)) for group in alike]
    return (
        f"classes that differ in case, blanks or the form of characters alone: {shown(listed)}. They "
        "stay apart; where they are one class, give them one name: put the images into one folder, or "
        "write the same in each line of the table"
    )


def suffix_of(name: str) -> str:
    """The extension in lower case, with its dot; a dot at either end makes none."""
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def split_of(name: str) -> tuple[SplitWord, tuple[str, ...]]:
    """The split in a folder's name, and the other words of the name.

    ``train`` gives (train, ()), ``seg_test`` (test, (seg,)), ``testB`` (test, (b,)), ``cat`` ("", ()).
    """
    words = [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFC", name))]
    kinds = [_kind(word) for word in words]
    spoken = [index for index, kind in enumerate(kinds) if kind]
    if len(spoken) != 1:
        return "", ()
    index = spoken[0]
    return kinds[index], tuple(words[:index] + words[index + 1 :])


def not_an_image(suffix: str) -> str:
    """The reason for refusing a file with this extension; with a remedy if it may hold a picture."""
    reason = f"not an image's extension ({suffix or 'none'})"
    form = _REMEDIES.get(suffix)
    if form is None:
        return reason
    return f"{reason}: " + (
        f"save it as {form}" if form else "save its pictures as single PNG files"
    )


def is_general(name: str) -> bool:
    """Whether a folder's name (``images``, ``data``, ``train``) does not describe its contents."""
    return name.casefold() in _GENERAL or bool(split_of(name)[0])


def is_piece(name: str) -> bool:
    """Whether a folder is named as one part of a large set: ``00000``, ``images_part_2``.

    A number of fewer digits (``7``) may be a class.
    """
    return _PIECE.fullmatch(name) is not None


def plural(number: int, word: str, ending: str = "s") -> str:
    """``1 file``, ``2 files``, ``3,000 classes``."""
    return f"{number:,} {word}{'' if number == 1 else ending}"


def shown(names: Sequence[str], most: int = 5) -> str:
    """Some of the names, and the number of further ones."""
    listed = ", ".join(one_line(readable_name(name)) for name in names[:most])
    return listed + (f" and {len(names) - most} more" if len(names) > most else "")


def _kind(word: str) -> SplitWord:
    if word in _TRAIN_WORDS:
        return "train"
    return "test" if word in _TEST_WORDS else ""
