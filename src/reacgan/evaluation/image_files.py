"""Generated images on disk: folders, zips, and all images as one array or tensor."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from reacgan.config import ConfigError, size_of
from reacgan.data import DataError, ImageData
from reacgan.data.dataset import MAX_CHANNELS, PICTURE_CHANNELS
from reacgan.data.decode import MIN_SIDE, fit, to_array
from reacgan.data.folder import list_folder
from reacgan.data.listing import NO_CLASS, Listing, is_flat, list_flat
from reacgan.data.names import is_hidden, is_image, readable_name
from reacgan.data.pack import Decoder, open_listings
from reacgan.data.scan import MAX_REFUSED, SEVERAL_FRAMES, Scan, scan_listings
from reacgan.evaluation.sources import describe_values
from reacgan.files import scratch_folder
from reacgan.unpacking import bomb_problem, open_npy, open_npz, refuse_bomb

ENDINGS = (".zip", ".npz", ".npy", ".pt", ".pth")

Pixels = npt.NDArray[np.uint8]

READ = (
    "What is read: a folder of images, loose or in class folders (PNG, JPEG, WebP, GIF, BMP, TIFF, or "
    ".npy with [height, width, channels]); a .zip of them; all images as one array uint8 [N, H, W, C] "
    "(.npy, .npz) or tensor uint8 [N, C, H, W] (.pt); a table (.csv, .tsv, .jsonl); a packed file"
)
SHEET = "grid.png"
"""What `reacgan sample --grid` writes beside the images: a sheet of all of them."""
_FURTHER_PAGES = re.compile(r"grid-[0-9]+\.png")
MOST_UNREADABLE = 0.5
"""Largest share of unusable files with which the rest is still scored, with a warning."""


@dataclass(frozen=True)
class Opened:
    """Images read from a folder or file."""

    images: ImageData
    labelled: bool
    warnings: tuple[str, ...] = ()
    """Such as files that were left out."""


@dataclass(frozen=True)
class Samples:
    """The image files of a folder, and what was left out."""

    root: Path
    listings: list[Listing]
    scan: Scan
    labelled: bool
    warnings: tuple[str, ...]

    def open(self, resolution: Any, channels: int | None, *, most_refused: float) -> Opened:
        """The pixels; files whose headers are intact but whose pixels are not are left out now."""
        images = open_listings(
            self.listings,
            resolution=resolution if resolution is not None else self.resolution(),
            channels=channels if channels is not None else self.scan.channels,
            max_refused=1.0,
        )
        lost = tuple(f"{self.root}: {note}" for note in images.lost)
        return Opened(images, self.labelled, (*self.warned(len(images), most_refused), *lost))

    def warned(self, usable: int, most_refused: float) -> tuple[str, ...]:
        """Warnings of what was left out, after ``usable`` images were decoded.

        Raises:
            DataError: more than a share ``most_refused`` cannot be used.
        """
        damaged = len(self.scan.files) - usable
        if not damaged and not self.scan.refused:
            return self.warnings
        reasons = Counter(file.reason for file in self.scan.refused)
        reasons.update({"truncated or damaged": damaged} if damaged else {})
        return (*self.warnings, self._unreadable(reasons, usable, most_refused))

    def resolution(self) -> Any:
        """The size that all images share, as in a configuration.

        Raises:
            ConfigError: there are several.
        """
        sizes = sorted(set(self.scan.sizes))
        if len(sizes) > 1:
            raise ConfigError(many_sizes(self.root, [(high, wide) for wide, high in sizes]))
        width, height = sizes[0]
        return height if height == width else (height, width)

    def _unreadable(self, reasons: Counter[str], usable: int, most: float) -> str:
        count = sum(reasons.values())
        listed = ", ".join(f"{number} x {reason}" for reason, number in reasons.most_common(4))
        named = [file.path for file in self.scan.refused][:3]
        such = f", such as {', '.join(named)}" if named else ""
        if count > most * (count + usable):
            raise DataError(
                f"{self.root}: {count} of {count + usable} image files cannot be used: {listed}{such}. "
                "Repair them or move them out of the folder"
            )
        return f"{self.root}: {count} of {count + usable} image files were left out: {listed}{such}"


def find_samples(root: Path) -> Samples:
    """Find the images to score in a folder; headers are read, nothing is decoded.

    Sub-folders without an image are skipped, and so is the sheet of `reacgan sample --grid`.

    Raises:
        ConfigError: no image, or loose images beside class folders, where either could be meant.
    """
    flat = is_flat(root)
    try:
        listings = [_images_only(list_flat(root))] if flat else list_folder(root, split="train")
    except DataError as error:
        raise DataError(f"{error}. {READ}") from None
    *others, whole = listings
    listing = whole if flat else _without_sheet(whole)  # a sheet has no class
    if not listing.entries:
        raise DataError(f"{root}: no image found in it. {READ}")
    _refuse_loose(root, listing)
    scan = scan_listings([*others, listing])
    sheet = flat and SHEET in scan.files and len(scan.files) > 1
    if sheet and _only_of_its_size(scan, SHEET):
        listing = _without_sheet(listing)
        scan = scan_listings([listing])
    left_out = len(listing.entries) < len(whole.entries)
    warnings: tuple[str, ...] = ()
    if left_out:
        warnings = (f"{root / SHEET}: left out, a sheet of the other images",)
    warnings += tuple(f"{root}: {note}" for note in scan.notes if SEVERAL_FRAMES in note)
    return Samples(root, [*others, listing], scan, not flat, warnings)


def many_sizes(source: object, sizes: Iterable[tuple[int, int]]) -> str:
    """What to do about images of several sizes (height, width)."""
    known = list(sizes)
    shown = ", ".join(f"{wide} x {high}" for high, wide in known[:3])
    return (
        f"{source}: images of {len(known)} sizes ({shown}{' ...' if len(known) > 3 else ''}); give "
        "--resolution, to which all are cropped and resized"
    )


def _images_only(listing: Listing) -> Listing:
    """The listing without files whose names are those of something else."""
    entries = tuple(e for e in listing.entries if is_image(e.relative.rpartition("/")[2]))
    ignored = listing.ignored + len(listing.entries) - len(entries)
    return replace(listing, entries=entries, ignored=ignored)


def _without_sheet(listing: Listing) -> Listing:
    entries = tuple(
        e
        for e in listing.entries
        if e.relative != SHEET and not _FURTHER_PAGES.fullmatch(e.relative)
    )
    return replace(listing, entries=entries)


def _only_of_its_size(scan: Scan, file: str) -> bool:
    sizes = list(scan.sizes)
    return sizes.count(sizes[scan.files.index(file)]) == 1


def _refuse_loose(root: Path, listing: Listing) -> None:
    """Raise for several loose images beside class folders: either could be meant."""
    loose = [e for e in listing.entries if e.label < 0 and "/" not in e.relative]
    if len(loose) > MAX_REFUSED * len(listing.entries):
        names = ", ".join(listing.class_names[:3])
        raise ConfigError(
            f"{root}: holds {len(loose)} loose images (such as {readable_name(loose[0].relative)}) and "
            f"folders of images ({names}{', ...' if len(listing.class_names) > 3 else ''}). Give the "
            "folder of those to score, or move the others out"
        )


def is_sample_file(path: Path) -> bool:
    """Whether :func:`open_images` reads files of this name."""
    return path.suffix.lower() in ENDINGS


def open_images(
    path: Path, *, resolution: Any, channels: int | None, most_refused: float
) -> Opened:
    """The images of a folder, a zip, an array or a tensor; nothing but tensors is unpickled.

    Args:
        path: a folder or a .zip of image files, loose or in class folders; an array uint8
            ``[N, H, W, C]`` or ``[N, H, W]`` (.npy; .npz, where it is ``arr_0``, ``images`` or the only
            array); a tensor uint8 ``[N, C, H, W]`` (.pt; alone, or the only tensor of a list or
            dictionary). The other order of dimensions is taken where it alone gives grey, RGB or RGBA.
        resolution: images are cropped and resized to it; None: unchanged.
        channels: likewise.
        most_refused: largest share of unreadable files with which the rest is taken.

    Raises:
        ConfigError: unreadable, of another kind, or not the shape or type of images; as
            :func:`find_samples`.
    """
    if not path.is_file():
        return find_samples(path).open(resolution, channels, most_refused=most_refused)
    ending = path.suffix.lower()
    if ending == ".zip":
        return _of_zip(path, resolution, channels, most_refused)
    tensor = ending in (".pt", ".pth")
    array = _tensor_of(path).numpy() if tensor else _array_of(path)
    images = in_order(array, str(path), channels_last=not tensor)
    pixels = _resized(images, resolution, channels)
    labels = np.zeros(len(pixels), dtype=np.int64)
    return Opened(ImageData(pixels, labels, (NO_CLASS,), str(path)), labelled=False)


def holds_statistics(path: Path) -> bool:
    """Whether an .npz file has the mean and covariance of features; False where it is unreadable."""
    try:
        with open_npz(path) as file:
            return {"mu", "sigma"} <= set(file.names)
    except (OSError, ValueError):
        return False


def in_order(array: npt.NDArray[Any], source: str, *, channels_last: bool) -> Pixels:
    """An array as uint8 ``[N, C, H, W]``.

    Args:
        array: ``[N, H, W, C]``, ``[N, C, H, W]``, or ``[N, H, W]`` of grey images.
        source: for messages.
        channels_last: the expected order. The other is taken where it alone gives grey, RGB or RGBA.

    Raises:
        ConfigError: another type or shape.
    """
    needed = "[N, height, width, channels]" if channels_last else "[N, channels, height, width]"
    if array.dtype != np.uint8:
        raise ConfigError(f"{source}: {_values(array)}; needed: uint8 {needed}, 0 to 255")
    if array.ndim == 3 and not {array.shape[0], array.shape[-1]} & set(PICTURE_CHANNELS):
        array, channels_last = array[..., None], True
    if array.ndim != 4 or len(array) == 0:
        hint = " (one image?)" if array.ndim in (2, 3) else ""
        raise ConfigError(f"{source}: uint8 {list(array.shape)}{hint}; needed: uint8 {needed}")
    orders = {True: array.transpose(0, 3, 1, 2), False: array}
    fits = [last for last in (channels_last, not channels_last) if _are_images(orders[last])]
    usual = channels_last in fits
    if not usual and not any(orders[last].shape[1] in PICTURE_CHANNELS for last in fits):
        raise ConfigError(
            f"{source}: uint8 {list(array.shape)}; needed: uint8 {needed}, sides of {MIN_SIDE} pixels or "
            f"more and 1 to {MAX_CHANNELS} channels"
        )
    return orders[fits[0]]


def _values(array: npt.NDArray[Any]) -> str:
    known = array.dtype.kind in "fiu" and array.dtype.itemsize <= 8
    return describe_values(torch.tensor(array)) if known else f"{array.dtype} {list(array.shape)}"


def _are_images(array: npt.NDArray[Any]) -> bool:
    return 1 <= array.shape[1] <= MAX_CHANNELS and min(array.shape[2:]) >= MIN_SIDE


def _array_of(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy file, mapped, or the one of a .npz file that is images."""
    try:
        if path.suffix.lower() == ".npy":
            return open_npy(path)
        with open_npz(path) as file:
            shapes = {name: list(file.shape(name)) for name in file.names[:_MOST_ARRAYS]}
            return file.read(_only_images(path, shapes))
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as an array ({error}). {READ}") from None


_MOST_ARRAYS = 1000
"""Of a file that are looked at for images."""


def _tensor_of(path: Path) -> Tensor:
    try:
        refuse_bomb(path)
        read: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and hostile files raise anything
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: cannot be read as a tensor ({first}); tensors alone are read, nothing else is "
            f"unpickled. {READ}"
        ) from None
    if isinstance(read, list | tuple):
        read = dict(enumerate(read))
    if isinstance(read, Mapping):
        tensors = {str(key): value for key, value in read.items() if isinstance(value, Tensor)}
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        read = tensors[_only_images(path, shapes)] if tensors else None
    if not isinstance(read, Tensor):
        raise DataError(f"{path}: holds no tensor of images. {READ}")
    if read.numel() * read.element_size() > read.untyped_storage().nbytes():
        raise DataError(
            f"{path}: its tensor {list(read.shape)} repeats the same {read.untyped_storage().nbytes():,} "
            "bytes; store images.clone()"
        )
    return read


def _only_images(path: Path, shapes: Mapping[str, list[int]]) -> str:
    """The name of the array that is images."""
    deep = [name for name, shape in shapes.items() if len(shape) >= 3]
    usual = [name for name in ("arr_0", "images", "samples") if name in deep]
    if usual or len(deep) == 1:
        return (usual or deep)[0]
    listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:6]) or "nothing"
    hint = "; mu and sigma are statistics, which serve as --reference" if "mu" in shapes else ""
    raise DataError(f"{path}: which array are the images? It holds {listed}{hint}. {READ}")


def _resized(images: Pixels, resolution: Any, channels: int | None) -> Pixels:
    """Crop, resize and convert as for image files, where another shape is asked for."""
    count, own, height, width = images.shape
    size = size_of(resolution) if resolution is not None else (height, width)
    wanted = own if channels is None else channels
    if (size, wanted) == ((height, width), own):
        return images
    if own in PICTURE_CHANNELS and wanted in PICTURE_CHANNELS:
        pictures = map(_picture, images)
        return np.stack([to_array(p, resolution=size, channels=wanted) for p in pictures])
    if wanted != own:
        raise ConfigError(f"the images have {own} channels, asked for: {wanted} (--channels)")
    planes = np.ascontiguousarray(images).reshape(count * own, height, width)
    resized = [np.asarray(fit(Image.fromarray(plane), resolution=size)) for plane in planes]
    return np.stack(resized).reshape(count, own, *size)


def _picture(image: Pixels) -> Image.Image:
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    return Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels)


def _of_zip(path: Path, resolution: Any, channels: int | None, most_refused: float) -> Opened:
    with scratch_folder(Path(tempfile.gettempdir()) / "images", "reacgan-") as root:
        try:
            with zipfile.ZipFile(path) as file:
                _unpack(file, path, root)
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise DataError(f"{path}: cannot be unpacked ({error}). {READ}") from None
        inner = _down(root)
        try:
            samples = find_samples(inner)
            size = resolution if resolution is not None else samples.resolution()
            decoder = Decoder(
                samples.scan,
                resolution=size,
                channels=channels if channels is not None else samples.scan.channels,
                report=root / "refused.txt",
                max_refused=1.0,
            )
            images, labels = _gathered(decoder)
            warnings = samples.warned(len(images), most_refused)
        except ConfigError as error:
            raise DataError(str(error).replace(str(inner), str(path))) from None
    data = ImageData(images, labels, samples.scan.class_names, str(path))
    warnings = tuple(text.replace(str(inner), str(path)) for text in warnings)
    return Opened(data, samples.labelled, warnings)


def _unpack(file: zipfile.ZipFile, path: Path, root: Path) -> None:
    chosen = [m for m in file.infolist() if not m.is_dir() and _is_visible(m.filename)]
    if not chosen:
        raise DataError(f"{path}: no image found in it. {READ}")
    needed, free = sum(member.file_size for member in chosen), shutil.disk_usage(root).free
    if problem := bomb_problem(needed, sum(member.compress_size for member in chosen)):
        raise DataError(f"{path}: {problem}, as no images do; unpack it yourself if you trust it")
    if needed > free:
        raise DataError(
            f"{path}: its images need {needed / 1e9:.1f} GB unpacked, {root.parent} has {free / 1e9:.1f} "
            "GB free; set TMPDIR to a folder that has more"
        )
    for member in chosen:
        file.extract(member, root)


def _is_visible(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and is_image(parts[-1]) and not any(map(is_hidden, parts))


def _down(root: Path) -> Path:
    """Skip folders that hold one folder and nothing else, as in a zip of a folder."""
    while len(inside := list(root.iterdir())) == 1 and inside[0].is_dir():
        root = inside[0]
    return root


def _gathered(decoder: Decoder) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """All images, mapped from a temporary file that is deleted with the array."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the array
    labels: list[npt.NDArray[np.int64]] = []
    for images, known in decoder:
        file.write(np.ascontiguousarray(images).tobytes())
        labels.append(known)
    if not labels:
        raise DataError(f"{decoder.scan.root}: no image that can be decoded. {READ}")
    file.flush()
    joined = np.concatenate(labels)
    shape = (len(joined), decoder.channels, *size_of(decoder.resolution))
    return np.memmap(file, dtype=np.uint8, mode="r", shape=shape), joined
