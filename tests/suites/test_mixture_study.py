"""Trials of mixtures: their files, what they give the suite, and figures of them."""

from __future__ import annotations

import json

import pytest

from reacgan.config import ConfigError
from reacgan.suites import Context
from reacgan.suites.mixtures import METHODS, MIXTURES, run_trial
from reacgan.suites.mixtures.study import OfMixture

TOY = {"steps": 4, "points": 200}


def test_a_trial_is_a_file_and_the_same_when_run_again(tmp_path):
    first = run_trial(tmp_path, "tac", "ring8", seed=1, **TOY)
    (path,) = tmp_path.iterdir()
    assert path.name == "ring8-tac-1.json"
    assert json.loads(path.read_text("utf-8")) == json.loads(json.dumps(first))
    second = run_trial(tmp_path, "tac", "ring8", seed=1, **TOY)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["settings"]["head"]["name"] == "twin"
    assert len(first["points"]) == 8 and len(first["points"][0]) == 200


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown method 'tax'; did you mean 'tac'"):
        run_trial(tmp_path, "tax", "line", seed=0, **TOY)
    with pytest.raises(ConfigError, match="unknown mixture 'lime'; did you mean 'line'"):
        run_trial(tmp_path, "tac", "lime", seed=0, **TOY)
    assert list(tmp_path.iterdir()) == []


def test_values_are_means_over_classes_and_of_all_classes_together(tmp_path):
    values = OfMixture("ac", "line", 4, 200).run(tmp_path, 0, Context()).values
    result = json.loads((tmp_path / "line-ac-0.json").read_text("utf-8"))
    classes = result["measures"]["classes"]
    assert values["mmd"] == pytest.approx(sum(one["mmd"] for one in classes) / 3)
    assert values["overall"] == result["measures"]["overall"]["variation"]
    assert values["bayes"] == pytest.approx(0.7267, abs=1e-4)


def test_a_figure_a_target_of_the_lowest_seed(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need it")
    runs = []
    for trial in MIXTURES.trials("toy"):
        if trial.name in ("mixture-line/ac", "mixture-ring8/ac", "mixture-ring8/tac"):
            for seed in (2, 3):
                folder = tmp_path / trial.name / str(seed)
                run_trial(folder, trial.work.method, trial.work.target, seed=seed, **TOY)
                runs.append((trial, seed, folder))
    figures = MIXTURES.drawn(runs)
    assert [name.split(":")[0] for name in figures] == ["line", "ring8"]
    assert all(name.endswith("seed 2") for name in figures)
    assert all(png.startswith(b"\x89PNG") for png in figures.values())
    assert figures == MIXTURES.drawn([run for run in runs if run[1] == 2])


def test_methods_are_compared_at_equal_weight():
    assert {method.conditioning_weight for method in METHODS.values()} == {0.0, 1.0}
    assert METHODS["projection"].conditioning_weight == 0.0
