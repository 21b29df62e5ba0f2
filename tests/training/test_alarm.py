"""What a slow run does by the clock."""

from __future__ import annotations

import json

import pytest
from tiny import experiment, images

import reacgan
from reacgan.config import ConfigError, load_experiment
from reacgan.training import alarm as alarm_module
from reacgan.training import loop


def test_an_alarm_rings_once_a_period(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(alarm_module.time, "monotonic", lambda: now[0])
    alarm, heard = loop.Alarm(5, 30), []
    for moment in (104.9, 105.0, 105.1, 134.9, 135.0, 200.0, 229.0, 230.0):
        now[0] = moment
        heard.append(alarm.rings())
    assert heard == [False, True, False, False, True, True, False, True]


def test_a_slow_run_reports_and_saves_by_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_FIRST_LINE", 0.0)
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_LINES", 0.0)
    rare = {"report.journal_every": 10_000, "report.checkpoint_minutes": 1e-6}
    reacgan.train(experiment(**rare), tmp_path, device="cpu", data=images(), quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == list(range(16, 161, 16))
    states = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert states == ["000000000144", "000000000160"]


@pytest.mark.parametrize("beside", ["out", "num_classes", "parameters"])
def test_a_printed_configuration_can_be_read_back(beside, tmp_path):
    held = experiment()
    file = tmp_path / "printed.json"
    file.write_text(json.dumps({beside: 1, **held.model_dump()}))
    assert load_experiment(file) == held
    file.write_text(json.dumps({f"{beside}x": 1, **held.model_dump()}))
    with pytest.raises(ConfigError, match=f"{beside}x"):
        load_experiment(file)
