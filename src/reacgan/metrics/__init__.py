"""Judging images: neighbours (precision, recall, density, coverage) and label agreement."""

from reacgan.metrics.accuracy import Classifier, Judge, train_judge
from reacgan.metrics.prdc import PRDC, nearest_distances, prdc

__all__ = ["PRDC", "Classifier", "Judge", "nearest_distances", "prdc", "train_judge"]
