"""The study: trials that are kept, tables and figures of them."""

from __future__ import annotations

import json
import statistics

import pytest

from reacgan.config import ConfigError
from reacgan.mixtures.results import summarise, table
from reacgan.mixtures.study import METHODS, run_study, run_trial

TOY = {"steps": 4, "batch": 16, "judged": 200}


def test_a_trial_is_run_once(tmp_path):
    first = run_trial(tmp_path, "ac", "line", seed=1, **TOY)
    path = tmp_path / "line-ac-1.json"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    held = json.loads(path.read_text("utf-8"))
    assert held == first and held["settings"]["head"]["name"] == "auxiliary"
    assert held["measures"]["bayes_accuracy"] == pytest.approx(0.7267, abs=1e-4)
    assert len(held["points"]) == 3 and len(held["points"][0]) == 200
    path.write_text(json.dumps({**held, "seconds": -1.0}), "utf-8")
    assert run_trial(tmp_path, "ac", "line", seed=1, **TOY)["seconds"] == -1.0
    again = run_trial(tmp_path, "ac", "line", seed=1, **{**TOY, "steps": 5})
    assert again["seconds"] >= 0 and json.loads(path.read_text("utf-8")) == again
    assert run_trial(tmp_path, "ac", "line", seed=1, **{**TOY, "judged": 100}) != again


def test_a_trial_is_the_same_when_run_again(tmp_path):
    first = run_trial(tmp_path / "a", "tac", "ring8", seed=1, **TOY)
    second = run_trial(tmp_path / "b", "tac", "ring8", seed=1, **TOY)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_a_file_that_is_no_result_is_named(tmp_path):
    path = tmp_path / "line-ac-0.json"
    for text in ("{", "[]", '{"method": "ac"}'):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"line-ac-0\.json is not a result of a trial"):
            run_trial(tmp_path, "ac", "line", seed=0, **TOY)


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown method 'tax'; did you mean 'tac'"):
        run_trial(tmp_path, "tax", "line", seed=0, **TOY)
    with pytest.raises(ConfigError, match="unknown mixture 'lime'; did you mean 'line'"):
        run_trial(tmp_path, "tac", "lime", seed=0, **TOY)
    assert list(tmp_path.iterdir()) == []


def test_a_study_leaves_trials_a_table_and_figures(tmp_path):
    given = {"targets": ("line", "ring8"), "methods": ("projection", "d2dce"), "seeds": (0, 1)}
    results = run_study(tmp_path, **given, **TOY)
    assert len(results) == 8 == len(list((tmp_path / "trials").iterdir()))
    for name in ("line.png", "ring8.png", "comparison.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "table.md").read_text("utf-8")
    assert text == table(results)
    assert [line.split("|")[1].strip() for line in text.splitlines() if line[:1] == "|"] == 2 * [
        *("method", "---", "real points", "projection", "d2dce")
    ]
    assert "line: 3 classes, 1-D; Bayes accuracy 0.727; 4 steps of 16; seeds: 2" in text
    lines = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert [line["by_class"] for line in lines] == [one["measures"]["by_class"] for one in results]
    assert [line["seed"] for line in lines] == 4 * [0] + 4 * [1] and "points" not in lines[0]
    assert run_study(tmp_path, **given, **TOY) == results


def test_means_and_deviations_are_over_seeds(tmp_path):
    results = [run_trial(tmp_path, "ac", "line", seed=seed, **TOY) for seed in (0, 1, 2)]
    found = summarise(results)["line"]["ac"]["deviation"]
    values = [result["measures"]["by_class"]["deviation"] for result in results]
    assert found == pytest.approx((statistics.mean(values), statistics.stdev(values)))
    assert summarise(results[:1])["line"]["ac"]["deviation"][1] == 0
    other = run_trial(tmp_path, "ac", "line", seed=3, **{**TOY, "steps": 5})
    with pytest.raises(ConfigError, match="ac on line differ in more than their seed"):
        summarise([*results, other])


def test_methods_are_compared_at_equal_weight():
    assert {method.conditioning_weight for name, method in METHODS.items()} == {0.0, 1.0}
    assert METHODS["projection"].conditioning_weight == 0.0
