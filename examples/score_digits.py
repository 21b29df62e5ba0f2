"""Score a run on the embedded digits: labels carried, and real digits covered.

    python examples/score_digits.py runs/digits-reacgan

The classifier is independent of the package: a support vector machine of scikit-learn, fitted on the real
training digits, whose accuracy on held-out digits is printed beside. Coverage (k = 5, pixels, against
the training digits) is printed beside what as many held-out real digits reach, and so is the distance
to the nearest training digit, which would be smaller than theirs if the generator copied.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from sklearn.svm import SVC
from torch import Tensor

import reacgan
from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.metrics import nearest_distances, prdc
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import generate, latents_for

SAMPLES = 1000


def pixels(data: ImageData) -> Tensor:
    """Images as rows of 0 .. 1, [N, 64]."""
    return torch.tensor(data.images).flatten(1) / 255


def make(model: TrainedGenerator, labels: Tensor, *, first_seed: int) -> Tensor:
    """Images for these labels, one seed each, as rows of 0 .. 1."""
    z = latents_for(range(first_seed, first_seed + len(labels)), model.latent_dim)
    return generate(model.generator, z, labels).flatten(1) / 255


def score(model: TrainedGenerator) -> dict[str, float]:
    """All figures, by name."""
    config = DataConfig(name="digits", resolution=8, channels=1)
    train, held_out = open_dataset(config, "train"), open_dataset(config, "test")
    real, unseen = pixels(train), pixels(held_out)
    classifier = SVC(gamma=0.7).fit(real.numpy(), train.labels)

    labels = torch.arange(SAMPLES) % train.num_classes
    right = classifier.predict(make(model, labels, first_seed=0).numpy()) == labels.numpy()
    like_held_out = make(model, torch.tensor(held_out.labels), first_seed=SAMPLES)
    fake, true = prdc(real, like_held_out), prdc(real, unseen)
    return {
        "label_accuracy": float(right.mean()),
        "classifier_held_out_accuracy": float(classifier.score(unseen.numpy(), held_out.labels)),
        "coverage": fake.coverage,
        "coverage_of_held_out_real": true.coverage,
        "coverage_ratio": fake.coverage / true.coverage,
        "precision": fake.precision,
        "precision_of_held_out_real": true.precision,
        "recall": fake.recall,
        "recall_of_held_out_real": true.recall,
        "nearest_train_distance": float(nearest_distances(like_held_out, real).median()),
        "nearest_train_distance_of_held_out_real": float(nearest_distances(unseen, real).median()),
    }


def main() -> None:
    """Print a table, append to the run's scores, and say what to open."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    run: Path = parser.parse_args().run
    model = reacgan.load(run, device="cpu")
    if model.experiment.data.name != "digits":
        parser.error(f"{run} was trained on {model.experiment.data.name}: use reacgan evaluate")
    figures = score(model)
    protocol = {
        "judge": "scikit-learn SVC(gamma=0.7) on pixels, fitted on the training digits",
        "samples": SAMPLES,
        "neighbours": "k = 5, Euclidean, pixels in 0..1, against the training digits",
        "averaged_weights": True,
        "batch_norm": "moving statistics",
        "seeds": "0 upwards",
        "images_seen": model.images_seen,
    }
    with (run / "scores.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**figures, "protocol": protocol}) + "\n")
    print(f"\n{'':30}{'generated':>10}  {'held-out real digits':>20}")
    rows = (
        ("label accuracy", "label_accuracy", "classifier_held_out_accuracy"),
        ("coverage (k = 5, pixels)", "coverage", "coverage_of_held_out_real"),
        ("precision", "precision", "precision_of_held_out_real"),
        ("recall", "recall", "recall_of_held_out_real"),
        (
            "distance to nearest training",
            "nearest_train_distance",
            "nearest_train_distance_of_held_out_real",
        ),
    )
    for name, generated, real in rows:
        print(f"{name:30}{figures[generated]:10.3f}  {figures[real]:20.3f}")
    print(f"\ncoverage is {figures['coverage_ratio']:.0%} of what real digits reach")
    sheets = sorted((run / "samples").glob("0*.png"))
    print(f"open {sheets[-1] if sheets else run}")


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
