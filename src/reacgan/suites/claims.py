"""Whether what was measured supports what is claimed."""

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
    """A claim and what became of it."""

    claim: Claim
    column: str
    word: Word
    evidence: str
    seeds: tuple[int, int]


def verdicts(suite: Suite, results: Sequence[Result]) -> list[Verdict]:
    """Of every claim in every column that has both rows, by the same features and reference."""
    return [found for claim in suite.claims for found in _of_claim(claim, results)]


def _of_claim(claim: Claim, results: Sequence[Result]) -> Iterator[Verdict]:
    complete = [one for one in results if one.complete]
    places = dict.fromkeys(_place(one, claim) for one in complete)
    for place in places:
        column, x, _ = place
        if claim.columns and column not in claim.columns:
            continue
        samples = [
            [
                value
                for one in complete
                if one.trial.row == row
                and _place(one, claim) == place
                and (value := one.value(claim.metric)) is not None
            ]
            for row in claim.rows
        ]
        if all(samples):
            where = column if x is None else f"{column} {x:g}".strip()
            yield _judge(claim, where, samples[0], samples[1])


def _place(one: Result, claim: Claim) -> tuple[str, float | None, str]:
    """Where rows may be compared: column, place on the axis, and by what was measured."""
    protocol = one.held.get("protocol", {})
    by = {} if _of_training(claim.metric) else {key: protocol.get(key) for key in _MEASURED_BY}
    return one.trial.column, one.trial.x, json.dumps(by, sort_keys=True)


_MEASURED_BY = ("extractor", "reference")


def _of_training(metric: str) -> bool:
    """Curves and costs are of the run itself, not of its scoring."""
    return ":" in metric or metric.startswith("cost/")


def _judge(claim: Claim, place: str, first: list[float], second: list[float]) -> Verdict:
    sign = -1.0 if claim.first == "below" else 1.0
    means = [number(sum(held) / len(held)) for held in (first, second)]
    # What multiplies over a training (a gradient, a length) is compared by its logarithm.
    ratios = claim.metric.endswith((":growth", ":max")) and min(*first, *second) > 0
    if ratios:
        gap = difference([math.log(one) for one in first], [math.log(one) for one in second])
        found = _told(gap, "ratio", math.exp)
    else:
        gap = difference(first, second)
        found = _told(gap, "difference", float)
    evidence = f"{means[0]} against {means[1]}, {found}"
    return Verdict(claim, place, _word(gap, sign), evidence, (len(first), len(second)))


def _told(gap: Difference, what: str, scale: Callable[[float], float]) -> str:
    """A difference and its interval, brought back from logarithms where it is a ratio."""
    told = f"{what} {number(scale(gap.value))}"
    if gap.low is None or gap.high is None:
        return f"{told}; one seed or no spread, so no interval"
    how = "Welch" if what == "difference" else "Welch, of logarithms"
    return f"{told} [{number(scale(gap.low))}, {number(scale(gap.high))}] (95 %, {how})"


def _word(gap: Difference, sign: float) -> Word:
    if gap.low is None or gap.high is None:
        if gap.value == 0:
            return "undecided"
        return "points that way" if gap.value * sign > 0 else "points the other way"
    low, high = sorted((gap.low * sign, gap.high * sign))
    if low > 0:
        return "supported"
    return "contradicted" if high < 0 else "undecided"
