"""Test claims against results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from reacgan.suites.base import Claim, Suite
from reacgan.suites.results import Difference, Result, difference, number

Word = Literal["supported", "contradicted", "undecided", "points that way", "points the other way"]


@dataclass(frozen=True)
class Verdict:
    """A claim, and whether the results support it."""

    claim: Claim
    column: str
    word: Word
    evidence: str
    seeds: tuple[int, int]


def verdicts(suite: Suite, results: Sequence[Result]) -> list[Verdict]:
    """Verdicts on all claims, in every column with both rows under the same features and reference."""
    return [verdict for claim in suite.claims for verdict in _of_claim(claim, results)]


def _of_claim(claim: Claim, results: Sequence[Result]) -> Iterator[Verdict]:
    groups: dict[tuple[str, float | None, str], tuple[list[float], list[float]]] = {}
    for result in results:
        trial, value = result.trial, result.value(claim.metric) if result.complete else None
        wanted = trial.row in claim.rows and trial.column in (claim.columns or (trial.column,))
        if wanted and value is not None:
            key = (trial.column, trial.x, _measured_by(result, claim.metric))
            groups.setdefault(key, ([], []))[claim.rows.index(trial.row)].append(value)
    for (column, x, _), (first, second) in groups.items():
        if first and second:
            where = column if x is None else f"{column} {x:g}".strip()
            yield _verdict(claim, where, first, second)


def _measured_by(result: Result, metric: str) -> str:
    """Extractor and reference, which must be equal for a comparison.

    Empty for curves and costs, which are of the run, not of its scoring.
    """
    if ":" in metric or metric.startswith("cost/"):
        return ""
    return json.dumps(
        [result.protocol.get(key) for key in ("extractor", "reference")], sort_keys=True
    )


def _verdict(claim: Claim, where: str, first: list[float], second: list[float]) -> Verdict:
    sign = -1.0 if claim.first == "below" else 1.0
    means = [number(sum(sample) / len(sample)) for sample in (first, second)]
    # Growth is multiplicative, so its logarithm is compared.
    ratios = claim.metric.endswith((":growth", ":max")) and min(*first, *second) > 0
    if ratios:
        gap = difference(list(map(math.log, first)), list(map(math.log, second)))
        interval = _interval(gap, "ratio", math.exp)
    else:
        gap = difference(first, second)
        interval = _interval(gap, "difference", float)
    evidence = f"{means[0]} against {means[1]}, {interval}"
    return Verdict(claim, where, _word(gap, sign), evidence, (len(first), len(second)))


def _interval(gap: Difference, what: str, scale: Callable[[float], float]) -> str:
    """A difference and its interval; ``scale`` is exp for ratios."""
    value = f"{what} {number(scale(gap.value))}"
    if gap.low is None or gap.high is None:
        return f"{value}; one seed or no spread, so no interval"
    how = "Welch" if what == "difference" else "Welch, of logarithms"
    return f"{value} [{number(scale(gap.low))}, {number(scale(gap.high))}] (95 %, {how})"


def _word(gap: Difference, sign: float) -> Word:
    if gap.low is None or gap.high is None:
        if gap.value == 0:
            return "undecided"
        return "points that way" if gap.value * sign > 0 else "points the other way"
    low, high = sorted((gap.low * sign, gap.high * sign))
    if low > 0:
        return "supported"
    return "contradicted" if high < 0 else "undecided"
