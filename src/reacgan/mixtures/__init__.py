"""Mixtures of Gaussians in one and two dimensions: what a conditioning loss does where classes overlap."""

from reacgan.mixtures.study import METHODS, Method, run_study, run_trial, write_report
from reacgan.mixtures.targets import TARGETS, Mixture, grid, ring

__all__ = [
    "METHODS",
    "TARGETS",
    "Method",
    "Mixture",
    "grid",
    "ring",
    "run_study",
    "run_trial",
    "write_report",
]
