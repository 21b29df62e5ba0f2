"""Judging images: Fréchet distance, neighbours (precision, recall, density, coverage), labels."""

from reacgan.metrics.accuracy import Classifier, Judge, train_judge
from reacgan.metrics.frechet import frechet_distance
from reacgan.metrics.prdc import PRDC, nearest_distances, prdc

__all__ = [
    "PRDC",
    "Classifier",
    "Judge",
    "frechet_distance",
    "nearest_distances",
    "prdc",
    "train_judge",
]
