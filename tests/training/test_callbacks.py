"""What callbacks are told of a run, that they change no bit of it, and what becomes of their errors."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from test_resume import assert_same_bits, state_of
from test_run import at_clock
from tiny import experiment, images

import reacgan
from faults import inject
from reacgan.config import ConfigError
from reacgan.history import flat
from reacgan.training.callbacks import EVENTS
from reacgan.training.checkpoint import list_checkpoints
from reacgan.training.loop import Trainer

SHEETS = {"report.samples_every": 64, "report.checkpoint_every": 48}
SHORT = {"training.images": 64, "report.samples_every": 32}
SCORES = {
    "scores.every": 80,
    "scores.extractor": {"name": "domain", "epochs": 0.5, "width": 4},
    "scores.metrics": "fid",
    "scores.num": 20,
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def data():
    return images()


def train(out, data, callbacks=(), **changes):
    settings = experiment(**changes)
    return reacgan.train(settings, out, device="cpu", data=data, quiet=True, callbacks=callbacks)


class Listener(reacgan.Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.calls = []

    def close(self):
        self.calls.append(("close",))


def listen(name):
    return lambda self, *values: self.calls.append((name, *values))


for _name in EVENTS:
    setattr(Listener, _name, listen(_name))


class Meddler(reacgan.Callback):
    """Does what a callback may do without a thought."""

    def on_report(self, record):
        torch.manual_seed(record["images_seen"])
        torch.rand(3)
        np.random.default_rng().random()
        record.clear()

    def on_sheet(self, path, images_seen):
        torch.randn(5)


def test_all_is_told_in_order_and_no_bit_changes(data, tmp_path):
    train(tmp_path / "plain", data, **SHEETS)
    listener = Listener()
    result = train(tmp_path / "told", data, [Meddler(), listener], **SHEETS, **SCORES)
    assert_same_bits(state_of(tmp_path / "plain"), state_of(tmp_path / "told"))
    names = [name for name, *_ in listener.calls]
    assert (names[0], names[-2:]) == ("on_begin", ["on_end", "close"])
    assert listener.calls[0][2:] == (tmp_path / "told", 0)
    told = [values[0] for name, *values in listener.calls if name == "on_report"]
    assert told == result.history == reacgan.journal(tmp_path / "told")
    sheets = [values for name, *values in listener.calls if name == "on_sheet"]
    assert [seen for _, seen in sheets] == [64, 128, 160]
    assert all(Image.open(path).width > 100 for path, _ in sheets)
    scores = [values[0] for name, *values in listener.calls if name == "on_score"]
    assert scores == result.scores and [score.images_seen for score in scores[:2]] == [80, 160]
    assert len(scores) == 3 and scores[2].protocol["selection"]["checkpoint"] == "best"
    assert listener.calls[-2][1] is result


def test_the_result_has_the_model_and_the_history(data, tmp_path):
    result = train(tmp_path, data)
    assert isinstance(result.history, list) and type(result.history[0]) is dict
    assert {32, 64, 96, 128, 160} <= {record["images_seen"] for record in result.history}
    assert result.scores == [] and result.folder == tmp_path
    assert "model" not in vars(result)  # not before it is looked at
    assert result.model is result.model and result.model.images_seen == 160
    assert len(result.model("class 1", num=2)) == 2
    assert len(repr(result)) < 300


def test_any_object_with_a_method_will_do(data, tmp_path):
    class Lone:
        seen = ()

        def on_report(self, record):
            self.seen = (*self.seen, record["images_seen"])

    lone = Lone()
    train(tmp_path, data, lone)
    assert {32, 64, 96, 128, 160} <= set(lone.seen)


class Failing(reacgan.Callback):
    def __init__(self, event, error):
        self.event, self.error, self.closed = event, error, 0
        setattr(self, event, self.fail)

    def fail(self, *values):
        raise self.error

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    ("event", "saved_at"),
    [("on_begin", 16), ("on_report", 32), ("on_sheet", 48), ("on_end", 64), ("on_score", 32)],
)
def test_an_error_ends_the_run_saved_and_names_the_callback(data, tmp_path, event, saved_at):
    scores = {**SCORES, "scores.every": 32} if event == "on_score" else {}
    failing, listener = Failing(event, KeyError("boom")), Listener()
    with pytest.raises(
        reacgan.CallbackError, match=f"Failing failed in {event}: KeyError: 'boom'"
    ) as caught:
        train(tmp_path, data, [failing, listener], **SHORT, **scores)
    assert caught.value.__cause__ is failing.error and "the same call goes on" in str(caught.value)
    last = int(list_checkpoints(tmp_path / "checkpoints")[-1].name)
    assert last <= saved_at and last == listener.calls[-2][1].images_seen
    assert failing.closed == 1 and listener.calls[-1] == ("close",)


def test_the_rest_after_an_error_has_the_same_bits(data, tmp_path):
    train(tmp_path / "whole", data, **SHORT)
    with pytest.raises(reacgan.CallbackError):
        train(tmp_path / "run", data, [Failing("on_report", ValueError("no"))], **SHORT)
    assert train(tmp_path / "run", data, **SHORT).complete
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "run"))


def test_a_callback_may_end_the_run(data, tmp_path):
    class Enough(reacgan.Callback):
        def on_report(self, record):
            if record["images_seen"] >= 64:
                raise reacgan.StopTraining("it is good enough")

    listener = Listener()
    result = train(tmp_path, data, [Enough(), listener])
    assert (result.complete, result.images_seen) == (False, 64)
    assert result.stopped_by == f"the callback {Enough.__qualname__}: it is good enough"
    assert listener.calls[-2] == ("on_end", result)


def test_an_error_of_the_run_closes_callbacks_without_an_end(data, tmp_path, monkeypatch):
    listener = Listener()
    monkeypatch.setattr(Trainer, "cycle", lambda self, journal: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, data, [listener])
    assert [name for name, *_ in listener.calls] == ["on_begin", "close"]


def test_a_resumed_run_says_from_where(data, tmp_path):
    train(tmp_path, data, **{"training.images": 96})
    listener = Listener()
    train(tmp_path, data, [listener])
    assert listener.calls[0][0] == "on_begin" and listener.calls[0][3] == 96
    seen = [values[0]["images_seen"] for name, *values in listener.calls if name == "on_report"]
    assert {128, 160} <= set(seen) and min(seen) > 96


@pytest.mark.parametrize("action", ["warn", "roll_back"])
def test_what_is_told_after_going_back_is_what_the_journal_has(data, tmp_path, monkeypatch, action):
    """Back to the copy of the state, where a gradient is NaN once, or to a checkpoint."""
    changes = {"watch.action": action}

    def poison(trainer):
        if trainer.state.lr_scale == 1:
            with torch.no_grad():
                trainer.state.generator.input.weight.fill_(math.nan)

    if action == "warn":
        inject(monkeypatch)
    else:
        at_clock(monkeypatch, 112, poison)
    listener = Listener()
    result = train(tmp_path, data, [listener], **changes, **SHEETS)
    assert "on_back" in [name for name, *_ in listener.calls]
    reports, sheets = [], []
    for name, *values in listener.calls:
        if name == "on_report":
            reports.append(values[0])
        elif name == "on_sheet":
            sheets.append(values[1])
        elif name == "on_back":
            reports = [record for record in reports if record["images_seen"] <= values[0]]
            sheets = [seen for seen in sheets if seen <= values[0]]
    assert reports == [record for record in result.history if "event" not in record]
    assert sheets == [64, 128, 160]


class Misspelt(reacgan.Callback):
    def on_scores(self, scores):
        pass


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (reacgan.Callback, r"the class Callback; needed: an object, such as Callback\(\)"),
        (
            Misspelt(),
            "Misspelt has a method on_scores, which no run calls; did you mean 'on_score'",
        ),
        (object(), "none of the methods of reacgan.Callback: on_begin, on_report"),
        (print, "none of the methods"),
    ],
    ids=["class", "misspelt", "nothing", "function"],
)
def test_what_is_no_callback_is_refused_before_anything(data, tmp_path, callback, message):
    with pytest.raises(ConfigError, match=message):
        train(tmp_path / "run", data, [callback])
    assert not (tmp_path / "run").exists()


def test_a_journal_as_columns(data, tmp_path, monkeypatch):
    train(tmp_path, data, **{"watch.every": 64, "report.diagnose_every": 64})
    records = reacgan.journal(tmp_path)
    columns = records.to_dict()
    assert columns["images_seen"] == [record["images_seen"] for record in records]
    assert {len(column) for column in columns.values()} == {len(records)}
    inner = next(name for name in columns if name.startswith("watch/"))
    assert None in columns[inner]
    assert [flat(record).get(inner) for record in records] == columns[inner]
    table = records.to_pandas()
    assert list(table.columns) == list(columns) and len(table) == len(records)
    assert table["d/adversarial"].tolist() == columns["d/adversarial"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"needs pandas, .*pip install pandas; to_dict"):
        records.to_pandas()
    with pytest.raises(ConfigError, match="nowhere: no such folder; needed: the folder of a run"):
        reacgan.journal(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="has no journal.jsonl"):
        reacgan.journal(tmp_path / "samples")
