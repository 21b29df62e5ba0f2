"""Mixtures of Gaussians in one and two dimensions: what a conditioning loss does where classes overlap."""

from reacgan.suites.mixtures.study import METHODS, MIXTURES, run_trial

__all__ = ["METHODS", "MIXTURES", "run_trial"]
