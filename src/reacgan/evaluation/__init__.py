"""Scores of generators and folders, each with its protocol."""

from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.evaluate import Evaluation, Facts, evaluate
from reacgan.evaluation.scores import Score, append_scores, read_scores

__all__ = [
    "Evaluation",
    "Facts",
    "FeatureCache",
    "Score",
    "append_scores",
    "evaluate",
    "read_scores",
]
