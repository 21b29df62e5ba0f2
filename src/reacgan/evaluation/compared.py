"""A comparison that is ready to be measured, and what its scores' protocols say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from reacgan.metrics import Comparison, Metric
from reacgan.metrics.base import Need


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison and what its scores' protocols say of it."""

    comparison: Comparison
    metrics: Mapping[str, Metric]
    extractor: Mapping[str, Any]
    reference: Mapping[str, Any]
    beside: Mapping[Need, Mapping[str, Any]]
    """What else a metric depends on that has such a need: training and held-out images, the judge."""
    notes: tuple[str, ...]
    device: torch.device

    def settings_for(self, metric: Metric) -> dict[str, Any]:
        """What a metric depends on beside its own options."""
        return {
            need.replace(" ", "_"): dict(self.beside[need])
            for need in sorted(metric.needs | metric.wants)
            if need in self.beside
        }
