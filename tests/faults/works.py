"""What is disturbed: everything that a person does with a run, on a few small pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

import reacgan
from reacgan.cli import main
from reacgan.config import Experiment, component

CLASSES, EACH = 3, 8
MODEL = "digits-reacgan"


def pictures(folder: Path) -> Path:
    """Class folders of random pictures of 8 pixels."""
    draw = np.random.default_rng(0)
    for label in range(CLASSES):
        inner = folder / f"class {label}"
        inner.mkdir(parents=True)
        for number in range(EACH):
            pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(inner / f"{number}.png")
    return folder


def experiment(images: Path) -> Experiment:
    """A run of 64 images with two states, two scores, sheets and a best state."""
    return Experiment(name="tiny").replace(
        **{
            "data.name": "folder",
            "data.path": str(images),
            "data.resolution": 8,
            "model.generator.width": 4,
            "model.generator.latent_dim": 8,
            "model.generator.shared_dim": 8,
            "model.backbone.width": 4,
            "model.head": component("d2dce", embedding_dim=8).model_dump(),
            "training.batch": 8,
            "training.images": 64,
            "training.precision": "float32",
            "report.journal_every": 32,
            "report.samples_every": 32,
            "report.checkpoint_every": 16,
            "scores.every": 32,
            "scores.extractor": {"name": "domain", "epochs": 0.3, "width": 2},
            "scores.metrics": {"fid": {}},
            "scores.num": 12,
            "speed.background": False,
            "watch.action": "off",
        }
    )


def train(root: Path) -> None:
    """Pack, train, score, save, choose the best."""
    reacgan.train(experiment(root.parent / "pictures"), root / "run", device="cpu", quiet=True)


def ready(root: Path) -> None:
    """What is there before the other works: a copy of the run of :func:`train`."""
    shutil.copytree(root.parent / "run", root / "run")


def publish(root: Path) -> None:
    """A folder to share, with scores, pictures and the discriminator."""
    command("weights", "publish", root / "run", "--out", root / "published")


def evaluate(root: Path) -> None:
    """A score of the run, with a small classifier that is trained for it."""
    own = ("--set", "extractor.epochs=0.3", "extractor.width=2")
    command("evaluate", root / "run", "--extractor", "domain", *own, "--num", "12")


def generate(root: Path) -> None:
    """A data set as a folder, and as a zip."""
    for form, name in (("folder", "set"), ("zip", "set.zip")):
        command("generate", MODEL, "--total", "6", "--to", form, "--out", root / name)


def export(root: Path) -> None:
    """Single images, a sheet of them, and the generator as one file."""
    command("sample", MODEL, "--num", "1", "--classes", "3", "--grid", "--out", root / "samples")
    command("export", MODEL, "--out", root / "exported" / "d.safetensors", "--overwrite")


WORKS = {
    "train": train,
    "publish": publish,
    "evaluate": evaluate,
    "generate": generate,
    "export": export,
}


def command(*words: object) -> None:
    """Run one of the command line; raises SystemExit where it fails."""
    try:
        main([str(word) for word in words])
    except SystemExit as ended:
        if ended.code:
            raise
