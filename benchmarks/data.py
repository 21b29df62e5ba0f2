"""Data: packing a folder against a loop over Pillow, batches against a DataLoader, growing sets.

    python benchmarks/data.py                       # pictures are made for it; 4 GB of disk for a while
    python benchmarks/data.py --small FOLDER --large FOLDER     # your own: class folders of images

1. ``reacgan data prepare`` (its function, both passes, digest and fsync included) and a plain loop that
   opens, converts, crops and resizes each file with the same filter and stacks the arrays, by turns in
   one process. The pixels are compared.
2. Batches of 64: the packed set, on the device (resident) and mapped, against DataLoaders over the folder
   and over the mapped file, image by image as tutorials write it.
3. Packed sets of 1k to 1M images of 32 px, each opened in a process of its own: seconds until the first
   batch (imports apart), images/s in the first epoch (when the system maps the pages one by one) and
   after it. Resident is off, so that all are read from the map.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness
from reacgan.config import DataConfig
from reacgan.data import ImageData, open_dataset, prepare_data
from reacgan.data.archive import new_archive, read_archive
from reacgan.data.loader import Loader

BATCH = 64
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def make_pictures(folder: Path, count: int, size: tuple[int, int], noise: float) -> Path:
    """JPEG files in ten class folders: smooth colours and noise, as heavy as photographs are."""
    rng = np.random.default_rng(0)
    for number in range(count):
        rough = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC))
        pixels = smooth + rng.normal(0, noise, smooth.shape)
        target = folder / f"class{number % 10}" / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target, quality=90)
    return folder


def files_of(folder: Path) -> list[Path]:
    """Sorted as a packed set is."""
    return [
        path
        for one in sorted(folder.iterdir())
        if one.is_dir()
        for path in sorted(one.iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]


def read_picture(path: Path, side: int) -> np.ndarray:
    """As anyone writes it: open, convert, crop the centre, resize; the same filter and crop."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
        width, height = image.size
        edge = min(width, height)
        if width != height:
            left, top = (width - edge) // 2, (height - edge) // 2
            image = image.crop((left, top, left + edge, top + edge))
        resized = image.resize((side, side), Image.Resampling.LANCZOS)
        return np.asarray(resized).transpose(2, 0, 1)


def preparing(folder: Path, side: int, turns: int, scratch: Path) -> harness.Record:
    """Seconds of both, and their ratio."""
    made: dict[str, np.ndarray] = {}

    def loop() -> None:
        made["loop"] = np.stack([read_picture(path, side) for path in files_of(folder)])

    def prepare() -> None:
        target = scratch / "prepared.safetensors"
        target.unlink(missing_ok=True)
        made["ours"] = prepare_data(folder, target, resolution=side, channels=3).images

    found = harness.interleave({"loop": loop, "prepare": prepare}, turns)
    if not np.array_equal(made["loop"], made["ours"]):
        raise RuntimeError(f"{folder}: the pixels differ")
    return {
        "images": len(made["loop"]),
        "side": side,
        "bytes_a_file": round(statistics.mean(one.stat().st_size for one in files_of(folder))),
        "seconds": found,
        "times": ratio(found["loop"], found["prepare"]),
    }


def ratio(base: list[float], ours: list[float]) -> float:
    """Median over turns of base over ours."""
    return round(statistics.median(a / b for a, b in zip(base, ours, strict=True)), 3)


class Folder(torch.utils.data.Dataset):
    """A textbook data set of files."""

    def __init__(self, folder: Path, side: int) -> None:
        self.files, self.side = files_of(folder), side
        names = sorted({path.parent.name for path in self.files})
        self.labels = [names.index(path.parent.name) for path in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor(read_picture(self.files[index], self.side)), self.labels[index]


class Mapped(torch.utils.data.Dataset):
    """A textbook data set of a mapped array."""

    def __init__(self, data: ImageData) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor(self.data.images[index]), int(self.data.labels[index])


def batches(folder: Path, packed: Path, side: int, turns: int) -> harness.Record:
    """Images/s of each way through the set once, starts of workers included."""
    data = read_archive(packed)
    count = len(data) // BATCH * BATCH

    def loaded(dataset: Any, workers: int) -> Callable[[], None]:
        loader = torch.utils.data.DataLoader(
            dataset, BATCH, shuffle=True, drop_last=True, num_workers=workers
        )

        def once() -> None:
            for _ in loader:
                pass

        return once

    def ours(limit: int | None) -> Callable[[], None]:
        loader = Loader(data, batch=BATCH, seed=0, resident_limit_bytes=limit)

        def once() -> None:
            for moment in range(0, count, BATCH):
                loader.at(moment)

        return once

    ways = {
        "folder, DataLoader": loaded(Folder(folder, side), 0),
        "folder, DataLoader, 2 workers": loaded(Folder(folder, side), 2),
        "mapped, DataLoader": loaded(Mapped(data), 0),
        "packed, mapped": ours(0),
        "packed, resident": ours(None),
    }
    found = harness.interleave(ways, turns)
    base = found["folder, DataLoader"]
    return {
        name: {
            "images_per_second": round(count / statistics.median(seconds)),
            "times": ratio(base, seconds),
            "seconds": seconds,
        }
        for name, seconds in found.items()
    }


def write_set(path: Path, count: int) -> None:
    """A packed set of 32 px; what its pictures show does not change the time."""
    block = np.random.default_rng(0).integers(0, 256, (1000, 3, 32, 32), dtype=np.uint8)
    names = tuple(f"class {label}" for label in range(1000))
    with new_archive(
        path, shape=(3, 32, 32), capacity=count, class_names=names, metadata={}
    ) as writer:
        for _ in range(count // 1000):
            writer.add(block, np.arange(1000, dtype=np.int64))


def child(spec: dict[str, Any]) -> None:
    """Open one set, and read from it."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    config = DataConfig(name="archive", path=spec["path"], resolution=32, channels=3)
    data = open_dataset(config)
    loader = Loader(data, batch=BATCH, seed=0, resident_limit_bytes=0)
    loader.at(0)
    start = time.perf_counter() - began
    first = seconds_of(loader, range(BATCH, len(data), BATCH))
    epoch = max(1, len(data) // BATCH - 1)
    later = seconds_of(loader, range(len(data), len(data) + BATCH * spec["steps"], BATCH))
    loader.close()
    harness.answer(
        {
            "seconds": [later],
            "start_seconds": start,
            "first_epoch": BATCH * epoch / first,
            "per_second": BATCH * spec["steps"] / later,
        }
    )


def seconds_of(loader: Loader, moments: range) -> float:
    """Seconds to serve these moments one after the other."""
    began = time.perf_counter()
    for moment in moments:
        loader.at(moment)
    return time.perf_counter() - began


def growing(turns: int, scratch: Path, sizes: tuple[int, ...]) -> harness.Record:
    """Start-up and images/s over the number of images."""
    found = {}
    for size in sizes:
        if shutil.disk_usage(scratch).free < 2 * size * 3080:
            print(f"{size:,} images: left out, the disk is too full")
            continue
        path = scratch / f"{size}.safetensors"
        write_set(path, size)
        spec = {"path": str(path), "steps": 2000}
        told = [harness.run_child(Path(__file__), spec) for _ in range(turns)]
        found[str(size)] = {
            "start_seconds": round(statistics.median(one["start_seconds"] for one in told), 4),
            "first_epoch": round(statistics.median(one["first_epoch"] for one in told)),
            "images_per_second": round(statistics.median(one["per_second"] for one in told)),
        }
        print(f"{size:>10,} images: {found[str(size)]}", flush=True)
        path.unlink()
    return found


def main() -> None:
    """Measure, print, write."""
    parser = harness.options(__doc__)
    parser.add_argument(
        "--small", type=Path, help="class folders of small images, such as CIFAR-10"
    )
    parser.add_argument("--large", type=Path, help="class folders of photographs")
    parser.add_argument("--scratch", type=Path, help="where to put files for a while")
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    torch.set_num_threads(1)
    turns, quick = harness.turns_of(given), given.quick
    with tempfile.TemporaryDirectory(dir=given.scratch, prefix="reacgan-bench-") as name:
        scratch = Path(name)
        small = given.small or make_pictures(
            scratch / "small", 6_000 if quick else 50_000, (32, 32), 12
        )
        large = given.large or make_pictures(
            scratch / "large", 120 if quick else 600, (500, 375), 6
        )
        prepared = {}
        for label, folder, side in (("32 px", small, 32), ("photographs", large, 128)):
            prepared[label] = preparing(folder, side, turns, scratch)
            held = prepared[label]
            print(f"prepare, {held['images']:,} {label}: {held['times']:.2f} x a Pillow loop")
        packed = scratch / "packed.safetensors"
        prepare_data(small, packed, resolution=32, channels=3)
        served = batches(small, packed, 32, turns)
        for way, held in served.items():
            print(f"{way:32}{held['images_per_second']:>12,} images/s{held['times']:>9.1f} x")
        grown = growing(turns, scratch, SIZES[:3] if quick else SIZES)
    speeds = [held["images_per_second"] for held in grown.values()]
    ratios = {
        "data prepare, 32 px, over a Pillow loop": prepared["32 px"]["times"],
        "data prepare, photographs, over a Pillow loop": prepared["photographs"]["times"],
        "batches, resident, over a DataLoader of the folder": served["packed, resident"]["times"],
        "batches, mapped, over a DataLoader of the folder": served["packed, mapped"]["times"],
        "images/s of the largest set over the smallest": round(speeds[-1] / speeds[0], 3),
    }
    record = {"prepare": prepared, "batches": served, "sets": grown, "ratios": ratios}
    harness.write("data", record, given.out)


if __name__ == "__main__":
    main()
