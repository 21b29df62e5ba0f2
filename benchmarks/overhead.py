"""What a whole ``reacgan train`` costs beyond its bare training cycles.

    python benchmarks/overhead.py                                 # both experiments, one and two threads
    python benchmarks/overhead.py --experiment digits/reacgan --threads 1 --data photos/

Two kinds of processes take turns on the same images:

command   ``reacgan train`` as a person calls it, with the report settings that the experiment comes with:
          data, journal, looks of the watch, average, sheets, checkpoints and the shareable model, until
          it returns.
bare      ``Trainer.cycle`` and nothing else, as often.

Both are timed from the end of the second cycle on; the seconds before the first are told apart. Every run
ends with a sheet, a checkpoint and a model, so a run of this length has more of them for each image than
one of full length: the overhead is an upper bound. With ``--data`` left out, pictures of noise are written
for experiments that need a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import Record, alternate, options, run_child, turns_of, write

IMAGES = {"digits/reacgan": 64_000, "cifar10-small/reacgan": 12_800}
"""Seen in one run, where nothing is said: each has at least one look (every 10,000)."""
QUICK = {"digits/reacgan": 12_800, "cifar10-small/reacgan": 640}
WARM = 2


def child(spec: Record) -> Record:
    """One process; ``way`` says which."""
    began = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = str(spec["threads"])
    import torch

    torch.set_num_threads(spec["threads"])
    import reacgan
    from reacgan.training.loop import Trainer

    marks: list[tuple[float, float]] = []
    whole = Trainer.cycle

    def cycle(self: Any, journal: Any) -> None:
        if not marks:
            marks.append((time.perf_counter(), time.process_time()))
        whole(self, journal)
        if len(marks) <= WARM:
            _wait(self.engine.device)
            marks.append((time.perf_counter(), time.process_time()))

    Trainer.cycle = cycle  # type: ignore[method-assign]
    experiment = reacgan.experiment(spec["experiment"])
    if spec["way"] == "command":
        _command(spec)
    else:
        _bare(spec, experiment)
    ended, busy = time.perf_counter(), time.process_time()
    cycles = spec["images"] // experiment.cycle_images - WARM
    return {
        "seconds": [ended - marks[-1][0]],
        "processor_seconds": [busy - marks[-1][1]],
        "start_up_seconds": marks[0][0] - began,
        "images_per_second": cycles * experiment.cycle_images / (ended - marks[-1][0]),
    }


def _command(spec: Record) -> None:
    from reacgan.cli import main

    with tempfile.TemporaryDirectory() as out:
        data = ["--data", spec["data"]] if spec["data"] else []
        arguments = [
            "train", spec["experiment"], *data, "--out", f"{out}/run", "--quiet",
            "--device", spec["device"], "--images", str(spec["images"]), "--speed", spec["speed"],
        ]  # fmt: skip
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code  # type: ignore[assignment]
        if code:
            raise RuntimeError(f"reacgan {' '.join(arguments)}: ended with {code}")


def _bare(spec: Record, experiment: Any) -> None:
    from workloads import trainer_of

    from reacgan.data import open_dataset
    from reacgan.training.journal import Journal

    experiment = experiment.replace(**{"speed.mode": spec["speed"], "data.path": spec["data"]})
    trainer = trainer_of(experiment, open_dataset(experiment.data), device=spec["device"])
    journal = Journal(None, 0)
    for _ in range(spec["images"] // experiment.cycle_images):
        trainer.cycle(journal)
    journal.read(trainer.state.images_seen)  # waits for the device
    _wait(trainer.engine.device)
    trainer.steps.loader.close()


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def noise_folder(root: Path, resolution: int, channels: int, each: int = 200) -> str:
    """Ten class folders of PNG files."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for label in range(10):
        folder = root / f"class {label}"
        folder.mkdir(parents=True)
        for index in range(each):
            pixels = generator.integers(0, 256, (resolution, resolution, channels), dtype=np.uint8)
            picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            picture.save(folder / f"{index}.png")
    return str(root)


def one_case(name: str, threads: int, given: argparse.Namespace, data: str | None) -> Record:
    """Turns of both ways, and the overhead: the median of the turns' ratios."""
    images = given.images or (QUICK if given.quick else IMAGES).get(name, 12_800)
    spec = {
        "experiment": name, "threads": threads, "images": images, "data": data,
        "device": given.device, "speed": given.speed,
    }  # fmt: skip
    ways = {
        way: lambda way=way: run_child(Path(__file__), {**spec, "way": way})
        for way in ("bare", "command")
    }
    print(f"{name}, {threads} thread(s), {images:,} images, speed {given.speed}")
    found = alternate(ways, turns_of(given))
    record: Record = {**{key: spec[key] for key in spec if key != "data"}}
    for key in ("seconds", "processor_seconds"):
        took = {way: [turn[key][0] for turn in turns] for way, turns in found.items()}
        ratios = [mine / bare for bare, mine in zip(took["bare"], took["command"], strict=True)]
        record[f"overhead_of_{key}"] = round(statistics.median(ratios) - 1, 4)
        record[f"overhead_of_{key}_turns"] = [round(ratio - 1, 4) for ratio in ratios]
    for way, turns in found.items():
        record[way] = {
            key: round(statistics.median(turn[key] for turn in turns), 3)
            for key in ("images_per_second", "start_up_seconds")
        }
    return record


def show(cases: list[Record]) -> None:
    """The table."""
    print(
        f"\n{'experiment':24} {'threads':>7} {'bare':>10} {'command':>10} {'overhead':>9} "
        f"{'processor':>9} {'start-up':>9}"
    )
    for case in cases:
        rates = [case[way]["images_per_second"] for way in ("bare", "command")]
        print(
            f"{case['experiment']:24} {case['threads']:7} {rates[0]:8.1f}/s {rates[1]:8.1f}/s "
            f"{case['overhead_of_seconds']:9.1%} {case['overhead_of_processor_seconds']:9.1%} "
            f"{case['command']['start_up_seconds']:7.1f} s"
        )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--experiment", nargs="+", default=list(IMAGES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--images", type=int, help="seen in each run")
    parser.add_argument("--data", help="a folder with one sub-folder a class; noise by default")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps", "auto"])
    parser.add_argument("--speed", default="auto", choices=["auto", "plain"])
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child)))
        return
    import reacgan

    cases = []
    with tempfile.TemporaryDirectory() as room:
        for number, name in enumerate(given.experiment):
            section = reacgan.experiment(name).data
            data = given.data
            if data is None and section.name != "digits":
                size = section.resolution
                if not isinstance(size, int):
                    sys.exit(f"{name}: images are not square; give --data")
                data = noise_folder(Path(room) / str(number), size, section.channels)
            cases += [
                one_case(name, threads, given, None if section.name == "digits" else data)
                for threads in given.threads
            ]
    show(cases)
    write("overhead", {"cases": cases}, given.out)


if __name__ == "__main__":
    main()
