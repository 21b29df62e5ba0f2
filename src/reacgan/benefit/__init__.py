"""Whether generated images help a classifier of one's own: real, generated and mixed ones compared."""

from reacgan.benefit.result import ArmResult, Interval, Study
from reacgan.benefit.study import augment_study

__all__ = ["ArmResult", "Interval", "Study", "augment_study"]
