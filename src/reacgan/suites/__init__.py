"""The paper's experiments and ours as suites: run, scored, and reported beside published scores."""

from __future__ import annotations

from reacgan.config import ConfigError, lookup
from reacgan.suites.base import SCALES, Context, Scale, Suite
from reacgan.suites.collapse import ABLATION, COLLAPSE, SENSITIVITY
from reacgan.suites.known import METRICS
from reacgan.suites.losses import LOSSES
from reacgan.suites.mixtures import MIXTURES
from reacgan.suites.ours import OURS
from reacgan.suites.paper_tables import TABLES
from reacgan.suites.studies import STUDIES

_PAPER = sorted(
    (COLLAPSE, ABLATION, SENSITIVITY, METRICS, MIXTURES, *TABLES, *LOSSES, *STUDIES),
    key=lambda suite: suite.numbers,
)
SUITES: dict[str, Suite] = {suite.name: suite for suite in (*_PAPER, *OURS)}
"""Those of the paper in the order of its experiments, then ours."""

__all__ = ["SCALES", "SUITES", "Context", "Scale", "Suite", "suite"]


def suite(name: str) -> Suite:
    """The suite called ``name``, or the one of that number in the paper's list.

    Raises:
        ConfigError: an unknown one; lists the known ones.
    """
    by_number = {str(number): known for known in SUITES.values() for number in known.numbers}
    if name in by_number:
        return by_number[name]
    if name.isdecimal():
        raise ConfigError(
            f"no experiment has the number {name}; there are: {', '.join(sorted(by_number, key=int))}"
        )
    return lookup("suite", SUITES, name)
