"""Metrics by name, and the functions behind them: features of two sets in, numbers out."""

from reacgan.metrics.base import Classification, Comparison, FeatureSet, Metric, Value
from reacgan.metrics.cas import Cas
from reacgan.metrics.fid import Fid, FidInfinity, IntraFid
from reacgan.metrics.frechet import frechet_distance
from reacgan.metrics.inception_score import InceptionScore
from reacgan.metrics.kid import Kid
from reacgan.metrics.label_accuracy import LabelAccuracy
from reacgan.metrics.memorisation import Memorisation
from reacgan.metrics.moments import Moments
from reacgan.metrics.per_class import PerClass
from reacgan.metrics.prd import Prd
from reacgan.metrics.prdc import PRDC, Prdc, nearest_distances, prdc

METRICS: dict[str, type[Metric]] = {
    "fid": Fid,
    "fid_infinity": FidInfinity,
    "kid": Kid,
    "is": InceptionScore,
    "prdc": Prdc,
    "f_beta": Prd,
    "ifid": IntraFid,
    "per_class": PerClass,
    "accuracy": LabelAccuracy,
    "cas": Cas,
    "memorisation": Memorisation,
}

__all__ = [
    "METRICS",
    "PRDC",
    "Classification",
    "Comparison",
    "FeatureSet",
    "Metric",
    "Moments",
    "Value",
    "frechet_distance",
    "nearest_distances",
    "prdc",
]
