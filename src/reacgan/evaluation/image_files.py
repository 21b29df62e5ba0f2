"""Images in one file, as generators leave them: a zip, or all of them as one array or tensor."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
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
from reacgan.data.flat import NO_CLASS, is_image
from reacgan.data.names import is_hidden
from reacgan.data.pack import Decoder
from reacgan.evaluation.sample_folders import READ, Opened, find_samples
from reacgan.evaluation.sources import describe_values

ENDINGS = (".zip", ".npz", ".npy", ".pt", ".pth")

Pixels = npt.NDArray[np.uint8]


def is_sample_file(path: Path) -> bool:
    """Whether a file's name says that :func:`open_sample_file` reads it."""
    return path.suffix.lower() in ENDINGS


def open_images(
    path: Path, *, resolution: Any, channels: int | None, most_refused: float
) -> Opened:
    """The images of a folder or file of samples, of their own size and channels if None is asked for.

    Raises:
        ConfigError: as :func:`find_samples` and :func:`open_sample_file`.
    """
    if path.is_file():
        return open_sample_file(
            path, resolution=resolution, channels=channels, most_refused=most_refused
        )
    return find_samples(path).open(resolution, channels, most_refused=most_refused)


def open_sample_file(
    path: Path, *, resolution: Any, channels: int | None, most_refused: float
) -> Opened:
    """The images of a zip, an array or a tensor; nothing but tensors is unpickled.

    Args:
        path: a .zip of image files, loose or in class folders; an array uint8 ``[N, H, W, C]`` or
            ``[N, H, W]`` (.npy; .npz, where it is ``arr_0``, ``images`` or the only one); a tensor uint8
            ``[N, C, H, W]`` (.pt; alone, or the only one of a list or dictionary). The other order of
            dimensions is taken where it alone gives grey, RGB or RGBA images.
        resolution: images are cropped and resized to it; None as they are.
        channels: likewise.
        most_refused: share of unreadable files of a zip up to which the rest is taken.

    Raises:
        ConfigError: unreadable, of another kind, or of a shape or type that is no image's.
    """
    ending = path.suffix.lower()
    if ending == ".zip":
        return _of_zip(path, resolution, channels, most_refused)
    if ending in (".pt", ".pth"):
        held, last = _tensor_of(path).numpy(), False
    else:
        held, last = (_array_of(path) if ending == ".npy" else _array_of_npz(path)), True
    images = in_order(held, str(path), channels_last=last)
    pixels = _brought(images, resolution, channels)
    labels = np.zeros(len(pixels), dtype=np.int64)
    return Opened(ImageData(pixels, labels, (NO_CLASS,), str(path)), labelled=False)


def holds_statistics(path: Path) -> bool:
    """Whether an .npz file has the mean and covariance of features; False where it is unreadable."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {"mu", "sigma"} <= set(file.files)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError):
        return False


def in_order(array: npt.NDArray[Any], source: str, *, channels_last: bool) -> Pixels:
    """An array as uint8 ``[N, C, H, W]``.

    Args:
        array: ``[N, H, W, C]``, ``[N, C, H, W]``, or ``[N, H, W]`` of grey images.
        source: for messages.
        channels_last: which of the first two it is by custom. The other is taken where the custom
            cannot be and the other gives grey, RGB or RGBA.

    Raises:
        ConfigError: another type or shape.
    """
    needed = "[N, height, width, channels]" if channels_last else "[N, channels, height, width]"
    if array.dtype != np.uint8:
        raise ConfigError(f"{source}: {_values(array)}; needed: uint8 {needed}, 0 to 255")
    if array.ndim == 3 and not {array.shape[0], array.shape[-1]} & set(PICTURE_CHANNELS):
        array, channels_last = array[..., None], True
    if array.ndim != 4 or len(array) == 0:
        one = " (one image?)" if array.ndim in (2, 3) else ""
        raise ConfigError(f"{source}: uint8 {list(array.shape)}{one}; needed: uint8 {needed}")
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
    try:
        held: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an array ({error}). {READ}") from None
    return held


def _array_of_npz(path: Path) -> npt.NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            name = _only_images(path, {key: file[key] for key in file.files})
            held: npt.NDArray[Any] = file[name]
    except (OSError, ValueError, EOFError, AttributeError, zlib.error, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        raise DataError(f"{path}: cannot be read as arrays ({error}). {READ}") from None
    return held


def _tensor_of(path: Path) -> Tensor:
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged or hostile file raises is not a closed list
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: cannot be read as a tensor ({first}); tensors alone are read, nothing else is "
            f"unpickled. {READ}"
        ) from None
    if isinstance(held, list | tuple):
        held = {str(place): one for place, one in enumerate(held)}
    if isinstance(held, Mapping):
        tensors = {str(key): one for key, one in held.items() if isinstance(one, Tensor)}
        held = tensors[_only_images(path, tensors)] if tensors else None
    if not isinstance(held, Tensor):
        raise DataError(f"{path}: holds no tensor of images. {READ}")
    return held


def _only_images(path: Path, held: Mapping[str, Any]) -> str:
    """The name of the array that is images."""
    shapes = {name: list(one.shape) for name, one in held.items()}
    deep = [name for name, shape in shapes.items() if len(shape) >= 3]
    usual = [name for name in ("arr_0", "images", "samples") if name in deep]
    if usual or len(deep) == 1:
        return (usual or deep)[0]
    listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:6]) or "nothing"
    hint = "; mu and sigma are statistics, which serve as --reference" if "mu" in shapes else ""
    raise DataError(f"{path}: which array are the images? It holds {listed}{hint}. {READ}")


def _brought(images: Pixels, resolution: Any, channels: int | None) -> Pixels:
    """Cropped, resized and converted as files are, where something else is asked for."""
    count, found, height, width = images.shape
    size = size_of(resolution) if resolution is not None else (height, width)
    wanted = found if channels is None else channels
    if (size, wanted) == ((height, width), found):
        return images
    if found in PICTURE_CHANNELS and wanted in PICTURE_CHANNELS:
        return np.stack(
            [to_array(_picture(one), resolution=size, channels=wanted) for one in images]
        )
    if wanted != found:
        raise ConfigError(f"the images have {found} channels, asked for: {wanted} (--channels)")
    planes = np.ascontiguousarray(images).reshape(count * found, height, width)
    resized = np.stack([np.asarray(fit(Image.fromarray(one), resolution=size)) for one in planes])
    return resized.reshape(count, found, *size)


def _picture(image: Pixels) -> Image.Image:
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    return Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels)


def _of_zip(path: Path, resolution: Any, channels: int | None, most_refused: float) -> Opened:
    with tempfile.TemporaryDirectory(prefix="reacgan-") as name:
        root = Path(name)
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
            told = samples.warned(len(images), most_refused)
        except ConfigError as error:
            raise DataError(str(error).replace(str(inner), str(path))) from None
    data = ImageData(images, labels, samples.scan.class_names, str(path))
    return Opened(data, samples.labelled, tuple(one.replace(str(inner), str(path)) for one in told))


def _unpack(file: zipfile.ZipFile, path: Path, root: Path) -> None:
    chosen = [one for one in file.infolist() if not one.is_dir() and _is_visible(one.filename)]
    if not chosen:
        raise DataError(f"{path}: no image found in it. {READ}")
    needed, free = sum(one.file_size for one in chosen), shutil.disk_usage(root).free
    if needed > free:
        raise DataError(
            f"{path}: its images need {needed / 1e9:.1f} GB unpacked, {root.parent} has {free / 1e9:.1f} "
            "GB free; set TMPDIR to a place that has more"
        )
    for one in chosen:
        file.extract(one, root)


def _is_visible(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and is_image(parts[-1]) and not any(is_hidden(one) for one in parts)


def _down(root: Path) -> Path:
    """Through folders that hold one folder and nothing else, as a zip of a folder has."""
    while len(held := list(root.iterdir())) == 1 and held[0].is_dir():
        root = held[0]
    return root


def _gathered(decoder: Decoder) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """All images, on the disk in a file without a name, which goes with them."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the array
    labels: list[npt.NDArray[np.int64]] = []
    for images, known in _batches(decoder):
        file.write(np.ascontiguousarray(images).tobytes())
        labels.append(known)
    file.flush()
    places = np.concatenate(labels)
    shape = (len(places), decoder.channels, *size_of(decoder.resolution))
    return np.memmap(file, dtype=np.uint8, mode="r", shape=shape), places


def _batches(decoder: Decoder) -> Iterator[tuple[Pixels, npt.NDArray[np.int64]]]:
    found = False
    for batch in decoder:
        found = True
        yield batch
    if not found:
        raise DataError(f"{decoder.scan.root}: no image that can be decoded. {READ}")
