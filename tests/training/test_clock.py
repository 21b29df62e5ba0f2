"""The minutes of a call: scores, sheets and saving fit into them, and what cannot fit is said."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from test_periodic_scores import SCORED, lines_of
from test_resume import assert_same_bits, state_of
from test_run import train
from tiny import images

from reacgan.progress import counted, listening
from reacgan.training.clock import WallClock
from reacgan.training.hooks import RunHooks
from reacgan.training.loop import Trainer
from reacgan.training.monitor.periodic_scores import PeriodicScores
from reacgan.training.timetable import ScoringStoppedError, TooLongError, _Watch

pytestmark = pytest.mark.kernels

CYCLE, SCORE, SAVE = 400.0, 1_000.0, 300.0
"""Seconds of a slower machine, beside which those of the test are few."""


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def slow(monkeypatch):
    """A machine on which cycles, scores and saving take long: the real run, and a clock that jumps."""
    real, more = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + more[0])

    def slower(owner, name, seconds):
        method = getattr(owner, name)

        def slowed(*args, **kwargs):
            more[0] += seconds
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, slowed)

    slower(Trainer, "cycle", CYCLE)
    slower(PeriodicScores, "_evaluate", SCORE)
    slower(RunHooks, "_save", SAVE)
    return more


@pytest.fixture(scope="module")
def data():
    return images(60)


PLAN = {**SCORED, "training.images": 3_200, "scores.every": 64, "speed.background": False}


def test_minutes_hold_scores_saving_and_the_last_sheet(slow, data, tmp_path):
    result = train(tmp_path, data, minutes=150, **PLAN)
    assert 6_500 < slow[0] < 9_000
    assert not result.complete and result.images_seen > 64
    assert {seen for _, seen, _ in lines_of(tmp_path, "each")} >= {64, result.images_seen}
    assert lines_of(tmp_path, "best")
    before = slow[0]
    again = train(tmp_path, data, minutes=150, **PLAN)
    assert slow[0] - before < 9_000 and again.images_seen > result.images_seen


def test_too_few_minutes_for_a_score_are_said_before_the_first_step(slow, data, tmp_path, capsys):
    result = train(tmp_path, data, minutes=25, quiet=False, **PLAN)
    said = capsys.readouterr().err
    assert slow[0] < 2_500  # the rehearsal itself was dear
    note = re.search(
        r"note: a first score takes about 17 min here, too much of --minutes 25.*", said
    )
    assert note and "ends before the one due at 64 images" in note[0]
    assert said.index("note: a first score") < said.index(" images  ")
    assert "the last state is not scored" in said and not lines_of(tmp_path, "each")
    assert 0 < result.images_seen < 64


@pytest.mark.slow
def test_when_a_call_ends_changes_no_bit(slow, data, tmp_path):
    plan = {**PLAN, "training.images": 160}
    train(tmp_path / "whole", data, **plan)
    for minutes in itertools.repeat(100, 9):
        if train(tmp_path / "parts", data, minutes=minutes, **plan).complete:
            break
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "parts"))
    due = {line for line in lines_of(tmp_path / "whole", "each") if line[1] == 64}
    assert due and due <= set(lines_of(tmp_path / "parts", "each"))


def test_an_estimate_is_the_longest_of_the_last_three(monkeypatch):
    clock = WallClock(minutes=1, began=time.monotonic() - 50)
    for seconds in (9.0, 1.0, 3.0, 2.0):
        clock.learn("score", seconds)
    assert clock.cost("score") == pytest.approx(3.0 * 1.25)
    assert clock.total("score") == 15.0
    assert 9 < clock.left() < 10.1
    assert clock.cost("never met") == 0 and not clock.knows("never met")
    assert WallClock().left() is None


class Deaf:
    def say(self, text):
        pass

    def changed(self, stage):
        pass


def test_work_that_would_take_too_long_ends_early(monkeypatch):
    """A classifier of 600 steps, a second each, where there are 300 seconds; and after Ctrl-C."""
    now, done = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with pytest.raises(TooLongError) as error, listening(_Watch(Deaf(), lambda: False, 300.0)):
        for step in counted(range(600), "training a classifier", 600, "steps"):
            now[0] += 1.0
            done.append(step)
    assert error.value.seconds == pytest.approx(600) and len(done) < 10
    with pytest.raises(ScoringStoppedError), listening(_Watch(Deaf(), lambda: len(done) > 20)):
        for step in counted(range(600), "training a classifier", 600, "steps"):
            done.append(step)
    assert len(done) < 25
