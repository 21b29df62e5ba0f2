"""Mixtures of Gaussians in one and two dimensions: conditioning losses with overlapping classes."""

from reacgan.suites.mixtures.study import METHODS, MIXTURES, run_trial

__all__ = ["METHODS", "MIXTURES", "run_trial"]
