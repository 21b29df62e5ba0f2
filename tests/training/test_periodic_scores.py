"""Scores while a run goes on: chosen on some images, reported on others, and never in the way."""

from __future__ import annotations

import json
import os
import signal

import pytest
from test_resume import assert_same_bits, state_of
from test_run import train
from tiny import images

import reacgan
from reacgan.config import ConfigError, Experiment, component
from reacgan.data import ImageData
from reacgan.evaluation import read_scores
from reacgan.evaluation.reference import HALVES, Reference
from reacgan.evaluation.scoring import Request, score
from reacgan.hub import find_states
from reacgan.hub.selection import read_selection
from reacgan.training.checkpoint import list_checkpoints
from reacgan.training.monitor import periodic_scores as periodic_module

pytestmark = pytest.mark.kernels

SCORED = {
    "scores.every": 64,
    "scores.extractor": {"name": "domain", "epochs": 0.5, "width": 4},
    "scores.metrics": {"fid": {}, "kid": {"subsets": 2}},
    "scores.num": 20,
    "training.images": 160,
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def data():
    return images(60)


def lines_of(out, kind):
    return [
        (one.metric, one.images_seen, one.value)
        for one in read_scores(out / "scores.jsonl")
        if one.protocol["selection"]["checkpoint"] == kind
    ]


def test_scores_change_nothing_of_the_training(data, tmp_path):
    train(tmp_path / "plain", data, **{"training.images": 160})
    train(tmp_path / "scored", data, **SCORED)
    assert_same_bits(state_of(tmp_path / "plain"), state_of(tmp_path / "scored"))


def test_states_are_chosen_on_one_half_and_reported_on_the_other(data, tmp_path):
    """Nothing is held out of a set that is given as it is."""
    train(tmp_path / "run", data, **SCORED)
    each = lines_of(tmp_path / "run", "each")
    assert [(metric, seen) for metric, seen, _ in each] == [
        (metric, seen) for seen in (64, 128, 160) for metric in ("fid", "kid")
    ]
    told = read_selection(tmp_path / "run")
    lowest = min((value, seen) for metric, seen, value in each if metric == "fid")
    assert (told["value"], told["images_seen"]) == lowest
    assert (told["rule"], told["states"]) == ("split", 3)
    assert told["selected_on"]["part"] == HALVES[0]
    assert reacgan.load(tmp_path / "run" / "best").images_seen == lowest[1]
    final = [
        one
        for one in read_scores(tmp_path / "run" / "scores.jsonl")
        if one.protocol["selection"]["checkpoint"] == "best"
    ]
    assert [one.metric for one in final] == ["fid", "kid"]
    assert final[0].protocol["reference"]["part"] == HALVES[1]
    assert final[0].protocol["reference"]["digest"] != told["selected_on"]["digest"]
    assert "was chosen of 3 by fid" in final[0].notes[0]


def test_the_published_habit_says_so(data, tmp_path):
    train(tmp_path / "run", data, **SCORED, **{"scores.selection": "published"})
    told = read_selection(tmp_path / "run")
    assert told["rule"].startswith("published")
    assert told["selected_on"] == {
        "split": "train", "part": "whole", "images": 60, "digest": data.digest[:16],
    }  # fmt: skip
    final = read_scores(tmp_path / "run" / "scores.jsonl")[-1]
    assert final.protocol["selection"]["rule"].startswith("published")
    assert final.protocol["reference"]["digest"] == data.digest[:16]


def test_a_run_that_is_taken_up_again_scores_as_if_it_had_not_stopped(data, tmp_path):
    train(tmp_path / "whole", data, **SCORED)
    train(tmp_path / "parts", data, **{**SCORED, "training.images": 96})
    path = tmp_path / "parts" / "scores.jsonl"
    later = path.read_text().splitlines()[0].replace('"images_seen": 64', '"images_seen": 99')
    path.write_text(path.read_text() + later + "\n" + '{"another": "line"}\n')
    train(tmp_path / "parts", data, **SCORED)
    seen = {one for one in lines_of(tmp_path / "parts", "each") if one[1] != 96}
    assert seen == set(lines_of(tmp_path / "whole", "each"))
    assert '{"another": "line"}' in path.read_text()


@pytest.mark.parametrize("before", ["_evaluate", "_keep", "_count_states", "append_scores"])
def test_a_run_that_ends_before_its_last_score_makes_it_later(before, data, tmp_path):
    """Killed at the last state, once it was saved: the same best state as without."""
    settings = {**SCORED, "report.checkpoint_every": 32}
    train(tmp_path / "whole", data, **settings)
    child = os.fork()
    if child == 0:
        owner = periodic_module if before == "append_scores" else periodic_module.PeriodicScores
        whole = getattr(owner, before)

        def dies(*args, **options):
            if list_checkpoints(tmp_path / "killed" / "checkpoints")[-1:] == [last]:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(*args, **options)

        last = tmp_path / "killed" / "checkpoints" / f"{160:012d}"
        setattr(owner, before, dies)
        train(tmp_path / "killed", data, **settings)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    train(tmp_path / "killed", data, **settings)
    for how in ("each", "best"):
        assert lines_of(tmp_path / "killed", how) == lines_of(tmp_path / "whole", how)
    left, right = (read_selection(tmp_path / run) for run in ("killed", "whole"))
    assert left == right


def test_held_out_images_are_reported_on(tmp_path):
    experiment = Experiment(name="digits").replace(
        **{
            "data.name": "digits", "data.resolution": 8, "data.channels": 1,
            "model.generator.width": 4, "model.backbone.width": 4,
            "model.head": component("d2dce", embedding_dim=8).model_dump(),
            "training.batch": 16, "watch.action": "off", **SCORED,
        }
    )  # fmt: skip
    out = tmp_path / "run"
    reacgan.train(experiment, out, device="cpu", quiet=True)
    told = read_selection(out)
    assert told["selected_on"]["split"] == "train"
    assert told["selected_on"]["part"] == "20 evenly spaced images"
    final = read_scores(out / "scores.jsonl")[-1].protocol["reference"]
    assert (final["split"], final["images"], final["part"]) == ("test", 596, "whole")
    request = Request(
        checkpoint="best", extractor="domain", num=20, metrics={"fid": {}}, device="cpu",
        extractor_options={"epochs": 0.5, "width": 4},
    )  # fmt: skip
    ((_, again),) = score(out, request, find_states=find_states)
    recorded = {one.metric: one.value for one in read_scores(out / "scores.jsonl")[-2:]}
    assert again["fid"] == recorded["fid"]
    assert "was chosen of" in again.scores[0].notes[0]


def test_what_is_not_measured_cannot_choose(data, tmp_path):
    with pytest.raises(
        ConfigError, match="scores.by is 'recall', which is not measured; it is: fid"
    ):
        train(tmp_path / "run", data, **SCORED, **{"scores.by": "recall"})


def test_another_choice_begins_anew(data, tmp_path):
    """A recall is never held against an FID."""
    train(tmp_path / "run", data, **SCORED)
    other = {
        **SCORED, "training.images": 224,
        "scores.metrics": {"fid": {}, "prdc": {}}, "scores.by": "recall",
    }  # fmt: skip
    train(tmp_path / "run", data, **other)
    told = read_selection(tmp_path / "run")
    assert (told["metric"], told["better"]) == ("recall", "higher")
    assert told["images_seen"] > 160


def test_a_report_that_was_cut_off_is_made_up_for(data, tmp_path):
    train(tmp_path / "run", data, **SCORED)
    path = tmp_path / "run" / "scores.jsonl"
    whole = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in whole if '"checkpoint": "best"' not in line))
    train(tmp_path / "run", data, **SCORED)
    assert len(path.read_text().splitlines()) == len(whole)
    train(tmp_path / "run", data, **SCORED)
    assert len(path.read_text().splitlines()) == len(whole)


def test_other_latents_report_than_chose(data, tmp_path):
    train(tmp_path / "run", data, **SCORED)
    seeds = {
        one.protocol["selection"]["checkpoint"]: one.protocol["fake"]["seed"]
        for one in read_scores(tmp_path / "run" / "scores.jsonl")
    }
    assert seeds == {"each": 0, "best": 1}


def test_halves_share_no_image_and_have_all_classes(data: ImageData):
    halves = [Reference(data).half(half).data for half in (0, 1)]
    pixels = [{image.tobytes() for image in half.images} for half in halves]
    assert not pixels[0] & pixels[1]
    assert len(pixels[0] | pixels[1]) == len(data)
    assert all(half.counts.tolist() == [10, 10, 10] for half in halves)


def test_a_damaged_selection_is_named(data, tmp_path):
    train(tmp_path / "run", data, **SCORED)
    (tmp_path / "run" / "best" / "selection.json").write_text("{")
    with pytest.raises(ConfigError, match="selection.json: not readable"):
        list(
            score(
                tmp_path / "run",
                Request(checkpoint="best", reference="digits"),
                find_states=find_states,
            )
        )
    assert json.loads((tmp_path / "run" / "experiment.json").read_text())["scores"]["every"] == 64
