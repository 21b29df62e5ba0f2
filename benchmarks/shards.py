"""How fast shards are read and decoded, and what a large set of them takes.

    python benchmarks/shards.py decode [--sides 32 64 128] [--workers 0 1 2 4] [--count 2000]
    python benchmarks/shards.py large FOLDER [--images 1000000] [--batches 2000]

``decode`` writes small sets of pictures of noise over gradients (as PNG of their size, and as JPEG files kept
as they came) and reads batches of 64 as training does: images a second, and a second and core. ``large``
renders glyphs at 16 px, writes them as shards (about 2 GB a million: a tar file has two headers an image)
and tells how long the set takes to open and how memory and speed change over the batches.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from reacgan.data.dataset import ImageData
from reacgan.data.loader import Loader
from reacgan.data.shards import open_shards, prepare_shards
from reacgan.data.shards.index import ShardIndex
from reacgan.data.shards.tar import ShardWriter
from reacgan.data.shards.writing import stored_pixels
from reacgan.data.threads import usable_cores

BATCH = 64
_CLASSES = 10


def pictures(folder: Path, side: int, count: int, suffix: str) -> Path:
    """Class folders of pictures that compress about as photographs do."""
    chance = np.random.default_rng(0)
    slope = np.linspace(0, 160, side)
    for number in range(count):
        low, high = chance.uniform(0, 1, (2, 3))
        image = slope[:, None, None] * low + slope[None, :, None] * high / 2
        image = image + chance.normal(0, 12, (side, side, 3))
        path = folder / f"class {number % _CLASSES}" / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def decode(sides: list[int], workers: list[int], count: int) -> list[dict[str, object]]:
    """A row a size, form and number of workers."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for side in sides:
            for form, resolution, suffix in (("png", side, ".png"), ("jpeg", None, ".jpg")):
                root = Path(temporary) / f"{side}{suffix}"
                stored = side if resolution else 2 * side  # JPEG files are larger and shrunk
                pictures(root, stored, count, suffix)
                shards = root.with_name(f"{root.name}.shards")
                prepare_shards(root, shards, shards=4, resolution=resolution)
                for number in workers:
                    rows.append(
                        {
                            "side": side,
                            "form": form,
                            "workers": number,
                            **_read(shards, side, number),
                        }
                    )
                    print(json.dumps(rows[-1]), flush=True)
    return rows


def _read(shards: Path, side: int, workers: int) -> dict[str, int]:
    data = open_shards(str(shards), split="train", resolution=side, channels=3, workers=workers)
    loader = Loader(data, batch=BATCH, seed=0)
    loader.at(0)  # processes start
    batches = max(4, len(data) // BATCH)
    began, used = time.perf_counter(), time.process_time()
    for number in range(1, batches + 1):
        loader.at(number * BATCH)
    seconds = time.perf_counter() - began
    loader.close()
    used = time.process_time() - used
    images = batches * BATCH
    facts = {"images_s": round(images / seconds)}
    # The start of other processes would be counted as decoding.
    return facts if workers else {**facts, "images_s_core": round(images / used)}


def large(folder: Path, images: int, batches: int) -> dict[str, object]:
    """Write, open and read a large set; bytes and seconds."""
    if not (folder / "index.json").exists():
        write_glyphs(folder, images)
    before = _resident_bytes()
    began = time.perf_counter()
    data = open_shards(str(folder), split="train", resolution=16, channels=3)
    opened = time.perf_counter() - began
    loader = Loader(data, batch=BATCH, seed=0)
    loader.at(0)
    after_opening = _resident_bytes()
    points = []
    began = time.perf_counter()
    for number in range(1, batches + 1):
        loader.at(number * BATCH)
        if number % max(1, batches // 10) == 0:
            seconds = time.perf_counter() - began
            points.append(
                (number * BATCH, _resident_bytes(), round(BATCH * batches / 10 / seconds))
            )
            began = time.perf_counter()
    loader.close()
    return {
        "images": len(data),
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "opened_s": round(opened, 2),
        "rss_before": before,
        "rss_opened": after_opening,
        "images_seen, rss, images_s": points,
        "load": os.getloadavg()[0],
        "cores": usable_cores(),
    }


def write_glyphs(folder: Path, images: int, *, a_shard: int = 10_000) -> ShardIndex:
    """A set of rendered glyphs, each varied by a shift, brightness and noise of its own."""
    from reacgan.data.glyphs import open_glyphs

    glyphs: ImageData = open_glyphs("50", split="train", resolution=16, channels=3)
    folder.mkdir(parents=True)
    writer = ShardWriter(
        folder,
        "train",
        classes=glyphs.num_classes,
        counts=np.full(-(-images // a_shard), a_shard),
    )
    chance = np.random.default_rng(0)
    for number in range(images):
        index = int(chance.integers(len(glyphs)))
        pixels = np.roll(glyphs.images[index], chance.integers(-3, 4, 2), (1, 2))
        pixels = (pixels * chance.uniform(0.5, 1)).astype(np.uint8) ^ np.uint8(number & 3)
        writer.add(stored_pixels(pixels, int(glyphs.labels[index])))
        if number % 100_000 == 0:
            print(f"{number:,} of {images:,}", file=sys.stderr, flush=True)
    split = writer.finish()
    index = ShardIndex(glyphs.class_names, 3, (16, 16), {"train": split}, "glyphs")
    index.write(folder)
    return index


def _resident_bytes() -> int:
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Parse, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    small = commands.add_parser("decode")
    small.add_argument("--sides", type=int, nargs="+", default=[32, 64, 128])
    small.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    small.add_argument("--count", type=int, default=2000)
    whole = commands.add_parser("large")
    whole.add_argument("folder", type=Path)
    whole.add_argument("--images", type=int, default=1_000_000)
    whole.add_argument("--batches", type=int, default=2000)
    asked = parser.parse_args()
    if asked.command == "decode":
        decode(asked.sides, asked.workers, asked.count)
        print(json.dumps({"cores": usable_cores(), "load": os.getloadavg()[0]}))
    else:
        print(json.dumps(large(asked.folder, asked.images, asked.batches), indent=1))


if __name__ == "__main__":
    main()
