"""CIFAR-10 and CIFAR-100 from their binary archives (not from the pickles).

A record is a label of one byte (CIFAR-100: coarse, then fine) and 3,072 bytes of pixels, red, green
and blue planes of 32 x 32 (https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from reacgan.config import Resolution, size_of
from reacgan.data.dataset import DataError, ImageData, check_request
from reacgan.data.decode import RESIZE, to_array
from reacgan.data.download import Resource, cached_download
from reacgan.data.folder import list_folder
from reacgan.data.pack import open_listings
from reacgan.data.packed_cache import cache_key, packed_once, read_cached, write_cached

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Variant:
    """The differences of the two sets."""

    name: str
    resource: Resource
    files: dict[str, tuple[str, ...]]
    names_file: str
    label_bytes: int
    classes: int


CIFAR10 = Variant(
    name="CIFAR-10",
    resource=Resource(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        max_unpacked_bytes=2**28,
    ),
    files={
        "train": tuple(f"data_batch_{part}.bin" for part in range(1, 6)),
        "test": ("test_batch.bin",),
    },
    names_file="batches.meta.txt",
    label_bytes=1,
    classes=10,
)
CIFAR100 = Variant(
    name="CIFAR-100",
    resource=Resource(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        max_unpacked_bytes=2**28,
    ),
    files={"train": ("train.bin",), "test": ("test.bin",)},
    names_file="fine_label_names.txt",
    label_bytes=2,
    classes=100,
)


def open_cifar10(
    path: str | None, *, split: str, resolution: Resolution, channels: int
) -> ImageData:
    """CIFAR-10: 50,000 training and 10,000 test images of 10 classes.

    Args:
        path: the binary archive (.tar.gz), the folder of its .bin files, a folder of class folders,
            or None to download the archive.
        split: train or test.
        resolution: 32 as published; others are cropped and resized.
        channels: 1, 3 or 4.

    Raises:
        DataError: files missing, truncated or pickled; or the download failed.
    """
    return _open(CIFAR10, path, split=split, resolution=resolution, channels=channels)


def open_cifar100(
    path: str | None, *, split: str, resolution: Resolution, channels: int
) -> ImageData:
    """CIFAR-100 with its 100 fine classes: 50,000 training and 10,000 test images.

    Args:
        path: as for :func:`open_cifar10`: the binary archive, a folder, or None to download it.
        split: train or test.
        resolution: 32 as published; others are cropped and resized.
        channels: 1, 3 or 4.

    Raises:
        DataError: as :func:`open_cifar10`.
    """
    return _open(CIFAR100, path, split=split, resolution=resolution, channels=channels)


def _open(
    variant: Variant, path: str | None, *, split: str, resolution: Resolution, channels: int
) -> ImageData:
    check_request(split=split, resolution=resolution, channels=channels, pictures_only=True)
    root = Path(path) if path is not None else cached_download(variant.resource)
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    folder = _folder_of_files(root, variant, split) if root.is_dir() else None
    if root.is_dir() and folder is None:
        listings = list_folder(str(root), split=split)
        return open_listings(listings, resolution=resolution, channels=channels)
    wanted = (*variant.files[split], variant.names_file)
    files = [root] if folder is None else [folder / name for name in wanted]
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = cache_key(variant.name, split, RESIZE, size_of(resolution), channels, stamps)
    source = f"{variant.name} ({split}) of {root}"

    def make() -> ImageData:
        contents = _from_tar(root, wanted) if folder is None else _from_folder(folder, wanted)
        images, labels = _records(contents, variant, split)
        return write_cached(
            key,
            _Resized(images, labels, resolution, channels),
            shape=(channels, *size_of(resolution)),
            capacity=len(labels),
            class_names=_class_names(contents, variant),
            source=source,
        )

    return packed_once(key, source, lambda: read_cached(key, source), make)


def _folder_of_files(root: Path, variant: Variant, split: str) -> Path | None:
    """The folder of the .bin files, or None where there are none (class folders, then)."""
    first = variant.files[split][0]
    pickled = first.removesuffix(".bin")
    for folder in (root, *sorted(child for child in root.iterdir() if child.is_dir())):
        if (folder / first).is_file():
            for name in (*variant.files[split], variant.names_file):
                if not (folder / name).is_file():
                    raise DataError(f"{folder / name}: missing; unpack {variant.name} again")
            return folder
        if (folder / pickled).is_file():
            raise DataError(
                f"{folder}: the pickled form of {variant.name}, which is not read; use the "
                f"binary one: {variant.resource.url}"
            )
    return None


def _from_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def _from_tar(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of a tar, read as a stream; nothing is unpacked to disk."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                source = tar.extractfile(member) if member.isreg() and name in names else None
                if source is not None and member.size <= 2**28:
                    contents[name] = source.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a tar archive: {error}") from None
    missing = [name for name in names if name not in contents]
    if missing:
        raise DataError(
            f"{path}: holds no {missing[0]}; needed: the binary archive, not the pickled one"
        )
    return contents


def _records(
    contents: dict[str, bytes], variant: Variant, split: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    size = variant.label_bytes + _PIXELS
    parts = []
    for name in variant.files[split]:
        if not contents[name] or len(contents[name]) % size:
            raise DataError(
                f"{name}: {len(contents[name])} bytes, needed: a multiple of {size} "
                f"(a record of {variant.name}); the file is truncated or another one"
            )
        parts.append(np.frombuffer(contents[name], dtype=np.uint8).reshape(-1, size))
    records = np.concatenate(parts)
    labels = records[:, variant.label_bytes - 1].astype(np.int64)
    if labels.max() >= variant.classes:
        raise DataError(f"{variant.name}: a label of {labels.max()}; the file is another one")
    return records[:, variant.label_bytes :].reshape(-1, 3, 32, 32), labels


def _class_names(contents: dict[str, bytes], variant: Variant) -> tuple[str, ...]:
    lines = contents[variant.names_file].decode("utf-8", "replace").split()
    if len(lines) != variant.classes:
        raise DataError(
            f"{variant.names_file}: {len(lines)} class names, needed: {variant.classes}"
        )
    return tuple(lines)


@dataclass(frozen=True)
class _Resized:
    """Batches of the images at the requested size; may be iterated repeatedly."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    resolution: Resolution
    channels: int

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        native = (self.channels, *size_of(self.resolution)) == (3, 32, 32)
        for start in range(0, len(self.labels), 1000):
            images = self.images[start : start + 1000]
            if not native:
                images = np.stack([self._convert(image) for image in images])
            yield images, self.labels[start : start + 1000]

    def _convert(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        return to_array(image, resolution=self.resolution, channels=self.channels)
