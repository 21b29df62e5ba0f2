"""Train several methods for the same number of images, score them alike, and lay them side by side.

    python examples/compare_methods.py --data cifar10/ --images 32000 --out runs/methods

Each method is an experiment of one group (--group, by default cifar10-small) and trains in a folder of
its own below --out; what is there already is taken up or skipped. All are scored by one protocol, with a
classifier trained on the real images. Writes scores.jsonl, methods.md and methods.png to --out: a row of
pictures a method, the classes side by side, the same seeds for all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

import reacgan
from reacgan.config import ConfigError
from reacgan.data import ImageData, open_dataset
from reacgan.evaluation import Score, append_scores
from reacgan.evaluation.scoring import Request, score
from reacgan.hub import find_states
from reacgan.reports import score_table
from reacgan.sampling import generate, latents_for, save_png, sheet

METHODS = (
    "dcgan",
    "wgan-gp",
    "sngan",
    "biggan",
    "acgan",
    "tacgan",
    "adcgan",
    "mhgan",
    "contragan",
    "reacgan",
    "reacgan-diffaug",
    "stylegan2-d2dce",
)
METRICS = {"accuracy": {}, "fid": {}, "prdc": {}, "ifid": {}}
PER_CLASS = 2


def train_all(given: argparse.Namespace, data: ImageData) -> None:
    """Train each method, and note the minutes it took in this call and earlier ones."""
    for method in given.methods:
        out = given.out / method
        record = out / "minutes.json"
        before = json.loads(record.read_text()) if record.exists() else 0.0
        experiment = reacgan.experiment(f"{given.group}/{method}").replace(
            **{
                "training.images": given.images,
                "training.precision": given.precision,
                "data.path": given.data,
                "report.checkpoint_every": given.images,
            }
        )
        began = time.perf_counter()
        result = reacgan.train(experiment, out, data=data, device=given.device)
        record.write_text(json.dumps(before + (time.perf_counter() - began) / 60))
        if not result.complete:
            sys.exit(f"stopped during {method}; the same command goes on")


def score_all(given: argparse.Namespace) -> list[Score]:
    """Every method, and as many real training images, against the held-out images."""
    request = Request(
        reference=given.data,
        extractor="domain",
        metrics=METRICS,
        num=given.samples,
        device=given.device,
    )
    recorded = given.out / "scores.jsonl"
    recorded.unlink(missing_ok=True)
    found: list[Score] = []
    for method in given.methods:
        for _, result in score(given.out / method, request, find_states=find_states):
            found += result.scores
            append_scores(recorded, result.scores)
            print(method, {one.metric: round(one.value, 3) for one in result.scores}, flush=True)
    return found


def picture(given: argparse.Namespace, data: ImageData) -> torch.Tensor:
    """Real images in the first row, then a row a method: ``PER_CLASS`` images of each class."""
    classes = list(range(data.num_classes))[:10]
    labels = torch.tensor([label for label in classes for _ in range(PER_CLASS)])
    real = [
        torch.tensor(data.images[(data.labels == label).nonzero()[0][seed]])
        for label in classes
        for seed in range(PER_CLASS)
    ]
    images, names = [torch.stack(real)], ["real"]
    for method in given.methods:
        model = reacgan.load(given.out / method, device="cpu")
        z = latents_for([seed for _ in classes for seed in range(PER_CLASS)], model.latent_dim)
        images.append(generate(model.generator, z, labels))
        names.append(method)
    return sheet(torch.stack(images), names)


def main() -> None:
    """Train what is not trained, score, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="the real images")
    parser.add_argument("--group", default="cifar10-small")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--images", type=int, default=32_000, help="real images each one sees")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("runs/methods"))
    given = parser.parse_args()

    config = reacgan.experiment(f"{given.group}/{given.methods[0]}").data
    config = config.model_copy(update={"path": given.data})
    data = open_dataset(config, "train")
    given.out.mkdir(parents=True, exist_ok=True)
    train_all(given, data)
    table = score_table(score_all(given))
    (given.out / "methods.md").write_text(table.markdown(), encoding="utf-8")
    save_png(picture(given, data), given.out / "methods.png")
    print(table)


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
