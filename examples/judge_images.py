"""Judge a run on real images: labels carried, and real images covered.

    python examples/judge_images.py runs/cifar10-small-reacgan --data cifar10/

A classifier of the package is trained on the real training images (a few minutes on two cores, kept
in --cache), its accuracy on held-out real images is printed beside. Precision, recall, density and
coverage (k = 5) are measured in its features, and printed beside what held-out real images reach.
With --checkpoints, every kept state of the run is judged, so two runs can be compared at equal
images seen.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

import reacgan
from reacgan.config import ConfigError
from reacgan.data import ImageData, open_dataset
from reacgan.metrics import Judge, frechet_distance, prdc, train_judge
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import generate, latents_for
from reacgan.training.checkpoint import list_checkpoints, read_manifest, read_part


def figures(
    judge: Judge, model: TrainedGenerator, real: Tensor, held_out: ImageData, samples: int
) -> dict[str, float]:
    """Label accuracy and neighbours of ``samples`` images, classes in turn."""
    labels = torch.arange(samples) % len(model.class_names)
    images = generate(model.generator, latents_for(range(samples), model.latent_dim), labels)
    spread = torch.linspace(0, len(held_out) - 1, min(samples, len(held_out))).long()  # all classes
    unseen = torch.tensor(held_out.images[spread.numpy()])
    made, kept = judge.features(images), judge.features(unseen)
    fake, true = prdc(real, made), prdc(real, kept)
    return {
        "images_seen": model.images_seen,
        "label_accuracy": judge.label_accuracy(images, labels),
        "frechet": frechet_distance(real, made),
        "frechet_of_real": frechet_distance(real, kept),
        "precision": fake.precision,
        "recall": fake.recall,
        "density": fake.density,
        "coverage": fake.coverage,
        "precision_of_real": true.precision,
        "recall_of_real": true.recall,
        "density_of_real": true.density,
        "coverage_of_real": true.coverage,
    }


COLUMNS = ("label", "Frechet", "prec", "recall", "dens", "cover")
HEADER = f"{'images seen':>12} " + " ".join(f"{name:>7}" for name in COLUMNS)


def line(name: str, found: dict[str, float]) -> str:
    """One row of the table."""
    keys = ("label_accuracy", "frechet", "precision", "recall", "density", "coverage")
    return f"{name:>12} " + " ".join(f"{found[key]:7.3f}" for key in keys)


def of_real(found: dict[str, float], judge: Judge) -> dict[str, float]:
    """What as many held-out real images reach."""
    real = {
        key.removesuffix("_of_real"): value
        for key, value in found.items()
        if key.endswith("_of_real")
    }
    return {**real, "label_accuracy": judge.held_out_accuracy}


def states(model: TrainedGenerator, run: Path, every: bool) -> list[TrainedGenerator]:
    """The run's generator, or that of each kept checkpoint."""
    kept = list_checkpoints(run / "checkpoints")
    if not every or not kept:
        return [model]
    found = []
    for path in kept:
        seen = int(read_manifest(path)["images_seen"])
        other = reacgan.load(run, device="cpu").generator
        other.load_state_dict(read_part(path, "average"))
        found.append(TrainedGenerator(other, model.experiment, model.class_names, seen))
    return found


def main() -> None:
    """Print a table, and append to the run's scores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--data", help="the real images, if not where the run found them")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--epochs", type=float, default=8.0, help="of the classifier")
    parser.add_argument("--cache", type=Path, default=Path("runs/judges"))
    parser.add_argument("--checkpoints", action="store_true", help="judge every kept state")
    given = parser.parse_args()

    model = reacgan.load(given.run, device="cpu")
    config = model.experiment.data
    if given.data:
        config = config.model_copy(update={"path": given.data})
    train, held_out = open_dataset(config, "train"), open_dataset(config, "test")
    judge = train_judge(train, held_out, epochs=given.epochs, cache=given.cache)
    print(f"classifier: {judge.held_out_accuracy:.3f} on {len(held_out):,} held-out real images")

    stride = max(1, len(train) // 10_000)
    real = judge.features(torch.tensor(train.images[::stride]))
    protocol = {
        "judge": f"reacgan Classifier, {given.epochs:g} epochs",
        "judge_held_out_accuracy": judge.held_out_accuracy,
        "samples": given.samples,
        "neighbours": f"k = 5, features of the judge, against {len(real)} training images",
        "data_digest": train.digest,
        "averaged_weights": True,
        "batch_norm": "moving statistics",
        "seeds": "0 upwards",
    }
    print(HEADER)
    for state in states(model, given.run, given.checkpoints):
        found = figures(judge, state, real, held_out, given.samples)
        print(line(f"{found['images_seen']:,}", found), flush=True)
        with (given.run / "scores.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**found, "protocol": protocol}) + "\n")
    print(line("real", of_real(found, judge)))


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
