"""Train several methods for the same number of images, judge them alike, and lay them side by side.

    python examples/compare_methods.py --data cifar10/ --images 32000 --out runs/methods

Each method is an experiment of one group (--group, by default cifar10-small) and trains in a folder of
its own below --out; what is there already is taken up or skipped. The judge is a classifier trained on
the real images, as in judge_images.py. Writes methods.md, methods.json and methods.png to --out: a row
of pictures a method, the classes side by side, the same seeds for all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from judge_images import figures, of_real

import reacgan
from reacgan.config import ConfigError
from reacgan.data import ImageData, open_dataset
from reacgan.metrics import train_judge
from reacgan.models import count_parameters
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
COLUMNS = ("label_accuracy", "frechet", "precision", "recall", "density", "coverage")
PER_CLASS = 2


def train_all(given: argparse.Namespace, data: ImageData) -> dict[str, float]:
    """Minutes of training of each method, in this call or an earlier one."""
    minutes = {}
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
        minutes[method] = before + (time.perf_counter() - began) / 60
        record.write_text(json.dumps(minutes[method]))
        if not result.complete:
            sys.exit(f"stopped during {method}; the same command goes on")
    return minutes


def judge_all(
    given: argparse.Namespace, data: ImageData, held_out: ImageData, minutes: dict[str, float]
) -> list[dict[str, Any]]:
    """One row a method and one of real images."""
    judge = train_judge(data, held_out, epochs=given.epochs, cache=given.cache)
    stride = max(1, len(data) // 10_000)
    real = judge.features(torch.tensor(data.images[::stride]))
    rows: list[dict[str, Any]] = []
    for method in given.methods:
        model = reacgan.load(given.out / method, device="cpu")
        found = figures(judge, model, real, held_out, given.samples)
        rows.append(
            {
                "method": method,
                "generator": count_parameters(model.generator),
                "minutes": round(minutes[method], 1),
                **found,
            }
        )
        print(method, {key: round(found[key], 3) for key in COLUMNS}, flush=True)
    return [{"method": "held-out real images", **of_real(rows[0], judge)}, *rows]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| | G parameters | minutes | label asked for | Fréchet distance | precision | recall "
        "| density | coverage |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        size = f"{row['generator']:,}" if "generator" in row else ""
        cells = [f"{row[key]:.3f}" for key in COLUMNS]
        lines.append(
            f"| {row['method']} | {size} | {row.get('minutes', '')} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


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
    """Train what is not trained, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="the real images")
    parser.add_argument("--group", default="cifar10-small")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--images", type=int, default=32_000, help="real images each one sees")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--epochs", type=float, default=6.0, help="of the classifier")
    parser.add_argument("--cache", type=Path, default=Path("runs/judges"))
    parser.add_argument("--out", type=Path, default=Path("runs/methods"))
    given = parser.parse_args()

    config = reacgan.experiment(f"{given.group}/{given.methods[0]}").data
    config = config.model_copy(update={"path": given.data})
    data, held_out = open_dataset(config, "train"), open_dataset(config, "test")
    given.out.mkdir(parents=True, exist_ok=True)
    rows = judge_all(given, data, held_out, train_all(given, data))
    protocol = {
        "images_seen": given.images,
        "precision": given.precision,
        "samples": given.samples,
        "judge": f"reacgan Classifier, {given.epochs:g} epochs",
        "judge_held_out_accuracy": rows[0]["label_accuracy"],
        "neighbours": "k = 5, features of the judge, against 10,000 training images",
        "data_digest": data.digest,
        "averaged_weights": True,
        "batch_norm": "moving statistics",
        "seeds": "0 upwards",
        "torch": torch.__version__,
    }
    record = {"protocol": protocol, "rows": rows}
    (given.out / "methods.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (given.out / "methods.md").write_text(table(rows), encoding="utf-8")
    save_png(picture(given, data), given.out / "methods.png")
    print(table(rows))


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
