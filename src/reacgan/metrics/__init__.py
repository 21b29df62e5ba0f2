"""Judging images: neighbours (precision, recall, density, coverage) and label agreement."""

from reacgan.metrics.prdc import PRDC, nearest_distances, prdc

__all__ = ["PRDC", "nearest_distances", "prdc"]
