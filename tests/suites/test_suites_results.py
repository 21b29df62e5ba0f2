"""Means, differences and verdicts, and that suites claim only what their trials measure."""

from __future__ import annotations

import math

import pytest
from scipy import stats
from small_works import Counted, suite_of

from reacgan.suites import SUITES
from reacgan.suites.base import SCALES, Claim, Trial
from reacgan.suites.claims import verdicts
from reacgan.suites.results import Mean, Result, difference, means, number
from reacgan.suites.tables import in_words, tables_of

ALL = pytest.mark.parametrize("name", SUITES)


def result(row, seed=0, column="", x=None, series=None, protocol=None, **values):
    held = {"status": "complete", "values": values, "series": series or {}}
    trial = Trial(f"{row}-{column}-{x}", row, Counted(), column, x)
    return Result(trial, seed, {**held, "protocol": protocol or {}, "better": {"fid": "lower"}})


# -- numbers


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (0.0, None, "0.000"),
        (0.1234, None, "0.123"),
        (1.0, None, "1.00"),
        (12.345, None, "12.3"),
        (123.4, None, "123"),
        (-12.345, None, "-12.3"),
        (12345.6, None, "12,346"),
        (0.00001234, None, "1.23e-05"),
        (1.5e8, None, "1.50e+08"),
        (0.0456, 12.0, "0.0"),
        (math.inf, None, "inf"),
    ],
)
def test_numbers(value, like, text):
    assert number(value, like=like) == text


def test_means_over_seeds():
    assert Mean.of([3.0]) == Mean(3.0, None, 1)
    assert Mean.of([3.0]).text() == "3.00"
    held = Mean.of([10.0, 14.0])
    assert (held.value, held.count) == (12.0, 2)
    assert held.deviation == pytest.approx(8**0.5)
    assert held.text() == "12.0 ± 2.8"
    found = means([result("a", 0, fid=1.0), result("a", 1, fid=3.0), result("b", fid=5.0)], "fid")
    assert {key: mean.value for key, mean in found.items()} == {
        ("", "a", None): 2.0,
        ("", "b", None): 5.0,
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0, 2.0, 4.0], [3.0, 5.0, 9.0]),
        ([1.0, 2.0], [10.0, 10.5]),
        ([1.0, 2.0], [10.0, 10.5, 40.0, -3.0, 8.0]),
        ([0.1, 0.2, 0.15, 0.3, 0.22, 0.18], [5.0, 9.0, 1.0]),
        ([1.0, 1.0, 1.01], [2.0, 3.0, 4.0]),
    ],
)
def test_interval_is_at_least_as_wide_as_welchs(first, second):
    found = difference(first, second)
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    middle = sum(first) / len(first) - sum(second) / len(second)
    assert found.value == pytest.approx(middle)
    assert (found.low + found.high) / 2 == pytest.approx(middle)
    # The quantile's series is 0.12 % off at three degrees of freedom.
    assert found.high - found.low >= (theirs.high - theirs.low) * (1 - 0.0013)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("count", [2, 3, 4, 6, 12])
def test_interval_equals_welchs_where_the_degrees_of_freedom_are_whole(count):
    first = [float(place % 3) + 0.1 * place for place in range(count)]
    second = [value + 7 for value in first]
    found = difference(second, first)
    theirs = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert found.low == pytest.approx(theirs.low, rel=0.002)
    assert found.high == pytest.approx(theirs.high, rel=0.002)


def test_one_seed_has_no_interval():
    assert difference([1.0], [2.0, 3.0]).low is None
    assert difference([1.0], [2.0, 3.0]).value == -1.5
    for same in ([1.0, 1.0], [2.0, 2.0]), ([0.1] * 3, [0.1 + 1e-17] * 2):
        found = difference(*same)
        assert (found.low, found.high) == (None, None), "no spread says nothing of the error"


# -- curves


def test_summaries_of_curves():
    points = [[place, value] for place, value in enumerate((1, 3, 9, 2, 2, 2, 2, 2, 8, 12))]
    held = result("a", series={"d/x": points})
    assert held.value("d/x:max") == 12
    assert held.value("d/x:last") == 12
    assert held.value("d/x:growth") == (8 + 12) / (1 + 3)
    assert held.value("d/y:max") is None
    assert result("a", series={"d/x": [[0, 0.0], [1, 2.0]]}).value("d/x:growth") is None
    assert result("a", series={"d/x": [[0, 5.0]]}).value("d/x:growth") == 1.0


def test_costs_are_values():
    held = Result(Trial("a", "a", Counted()), 0, {"values": {"fid": 1.0}, "cost": {"seconds": 2.0}})
    assert held.value("cost/seconds") == 2.0


# -- verdicts


def judged(first, second, claim=None, **more):
    claim = claim or Claim("better", "fid", ("a", "b"))
    held = [result("a", seed, fid=value, **more) for seed, value in enumerate(first)]
    held += [result("b", seed, fid=value, **more) for seed, value in enumerate(second)]
    return verdicts(suite_of(claims=(claim,)), held)


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ([1.0, 1.1, 0.9], [5.0, 5.1, 4.9], "supported"),
        ([5.0, 5.1, 4.9], [1.0, 1.1, 0.9], "contradicted"),
        ([1.0, 9.0, 4.0], [5.0, 2.0, 8.0], "undecided"),
        ([1.0], [5.0], "points that way"),
        ([5.0], [1.0], "points the other way"),
        ([2.0, 2.0], [2.0, 2.0], "undecided"),
    ],
)
def test_verdicts(first, second, word):
    (found,) = judged(first, second)
    assert found.word == word
    assert found.seeds == (len(first), len(second))
    (turned,) = judged(first, second, Claim("worse", "fid", ("a", "b"), "above"))
    opposite = {
        "supported": "contradicted",
        "contradicted": "supported",
        "points that way": "points the other way",
        "points the other way": "points that way",
    }
    assert turned.word == opposite.get(word, word)


def test_a_claim_is_judged_in_each_column_and_place():
    claim = Claim("better", "fid", ("a", "b"), columns=("one",))
    assert judged([1.0], [2.0], claim, column="two") == []
    assert [one.column for one in judged([1.0], [2.0], claim, column="one", x=10.0)] == ["one 10"]
    assert judged([1.0], [], claim, column="one") == []


def test_rows_by_other_features_are_not_compared():
    claim = Claim("better", "fid", ("a", "b"))
    held = [
        result("a", protocol={"extractor": {"name": "inception"}}, fid=1.0),
        result("b", protocol={"extractor": {"name": "domain"}}, fid=2.0),
    ]
    suite = suite_of(*(one.trial for one in held), claims=(claim,))
    assert verdicts(suite, held) == []
    blocks = tables_of(suite, held)
    assert [block.head[2] for block in blocks] == ["FID ↓", "FID (domain) ↓"]


# -- what suites claim


@ALL
def test_claims_are_of_rows_that_are_there(name):
    held = SUITES[name]
    for scale in SCALES:
        trials = held.trials(scale)
        rows = {trial.row for trial in trials}
        columns = {trial.column for trial in trials}
        for claim in held.claims if trials else ():
            wanted = set(claim.rows)
            if scale == "cpu":  # where some methods have no size
                assert wanted <= {trial.row for trial in held.trials("full")}
            else:
                assert wanted <= rows, (claim.text, scale)
            assert set(claim.columns) <= columns, (claim.text, scale)


def produced(scoring):
    """Names of the values of these metrics, as a toy is scored by them."""
    return {
        "fid": {"fid"},
        "kid": {"kid"},
        "is": {"is"},
        "prdc": {"precision", "recall", "density", "coverage"},
        "f_beta": {"f_8", "f_1_8"},
        "ifid": {"ifid"},
        "accuracy": {"top1", "top5"},
    }[scoring]


@ALL
def test_what_is_named_is_measured(name, toy):
    """At toy scale, or by the scoring of another one."""
    held = toy(name)
    there = {key for one in held.results for key in one.values}
    curves = {key for one in held.results for key in one.record["series"]}
    for scale in SCALES:
        for trial in held.suite.trials(scale):
            metrics = getattr(trial.work, "metrics", "")
            if isinstance(metrics, str):
                for one in metrics.split(", ") if metrics else ():
                    there |= produced(one) if one != "memorisation" else set()
            experiment = getattr(trial.work, "experiment", None)
            if experiment is not None and experiment.watch.action != "off":
                curves |= {"watch/variety", "watch/contrast"}
    wanted = [*held.suite.metrics, *(claim.metric for claim in held.suite.claims)]
    wanted += [name for figure in held.suite.figures for name in figure.names]
    for metric in wanted:
        name_of, _, summary = metric.partition(":")
        assert summary in ("", "max", "last", "growth")
        curve = bool(summary) or ("/" in metric and metric not in there)
        assert name_of in (curves if curve else there), metric


def test_the_names_of_values_are_those_of_the_metrics(toy):
    """What :func:`produced` says is so."""
    values = next(one.values for one in toy("metrics").results)
    for scoring in ("fid", "kid", "is", "prdc", "f_beta", "ifid", "accuracy"):
        assert produced(scoring) <= values.keys()


@ALL
def test_what_is_named_has_words(name):
    held = SUITES[name]
    wanted = [*held.metrics, *(name for figure in held.figures for name in figure.names)]
    plain = {"memorised_share", "precision", "recall", "density", "coverage"}
    for metric in wanted:
        assert metric in plain or in_words(metric) != metric.replace("_", " "), metric
        assert "_" not in in_words(metric)
        assert len(in_words(metric)) <= 45


def test_words():
    assert in_words("fid") == in_words("fid", "inception") == "FID"
    assert in_words("fid", "domain") == "FID (domain)"
    assert in_words("recall", "domain") == "Recall"
    assert in_words("diagnosis/true_class:last") == "probability of the true class, at the end"
    assert in_words("other/thing_here:max") == "other: thing here, largest"
