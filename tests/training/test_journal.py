"""Journal, progress and signals: what a person reads of a run, and how it is stopped."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from reacgan.history import read_records
from reacgan.progress import duration
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.progress import Progress
from reacgan.training.signals import Interrupted, StopRequest


class Clock:
    """Seconds that only a test moves."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def part(value):
    return torch.tensor(value)


def test_means_are_over_the_steps_that_had_the_part():
    journal = Journal(None, 0)
    journal.add({"d/adversarial": part(1.0), "d/conditioning": part(4.0)})
    journal.add({"d/adversarial": part(2.0)})
    assert journal.read(16) == {"d/adversarial": 1.5, "d/conditioning": 4.0}
    journal.add({"d/adversarial": part(7.0)})
    assert journal.read(32) == {"d/adversarial": 7.0}


def test_sums_keep_their_type_and_a_position_its_sums():
    journal = Journal(None, 0)
    journal.add({"a": part(1.0), "b": torch.tensor(2.0, dtype=torch.float64)})
    position = journal.position()
    journal.add({"b": part(0.5), "c": part(1.0), "a": torch.tensor(1e-3, dtype=torch.float64)})
    assert journal.read(8) == {"a": pytest.approx(0.5005), "b": 1.25, "c": 1.0}
    journal.return_to(position, 0)
    assert journal.read(8) == {"a": 1.0, "b": 2.0}


def test_a_part_that_changes_in_place_afterwards_is_kept_as_it_was():
    journal, value = Journal(None, 0), part(1.0)
    journal.add({"g/adversarial": value})
    value.fill_(9.0)
    assert journal.read(8) == {"g/adversarial": 1.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_named_with_its_moment(bad):
    journal = Journal(None, 1_000)
    journal.add({"d/adversarial": part(1.0), "d/conditioning": part(bad)})
    journal.add({"d/adversarial": part(1.0), "d/conditioning": part(1.0)})
    with pytest.raises(NonFiniteError, match=r"^d/conditioning became .* 1,000 and 2,000 images"):
        journal.read(2_000)


def test_speed_is_that_of_training_alone(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    journal = Journal(tmp_path / "journal.jsonl", 0)
    clock.now += 50  # networks and data are got ready
    journal.start_clock()
    clock.now += 4
    with journal.paused():
        clock.now += 30  # a state is saved
    clock.now += 1
    assert journal.write(100, {"d/adversarial": 0.12345678})["images_per_second"] == 20
    clock.now += 2
    line = journal.write(300, {}, memory_bytes=5)
    assert line == {"images_seen": 300, "images_per_second": 100, "memory_bytes": 5}
    first, second = read_records(tmp_path / "journal.jsonl")
    assert first["d/adversarial"] == 0.123457
    assert second == line


def test_an_earlier_process_lines_stay_up_to_the_state_and_rubbish_goes(tmp_path):
    path = tmp_path / "journal.jsonl"
    rubbish = b'null\n1\n[1]\n{}\n{"images_seen": "x"}\n\xff\xfe\0\n\n{"images_se'
    lines = b"".join(b'{"images_seen": %d, "a": 1}\n' % seen for seen in (8, 16, 24))
    path.write_bytes(lines + rubbish)
    journal = Journal(path, 16)
    journal.write(24, {"a": 2.0})
    held = [json.loads(text) for text in path.read_text().splitlines()]
    assert [(line["images_seen"], line["a"]) for line in held] == [(8, 1), (16, 1), (24, 2.0)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


LINE = {
    "images_seen": 500,
    "images_per_second": 1234.4,
    "d/adversarial": 1.23456,
    "d/score_real": 3.0,
    "g/adversarial": 0.5,
    "memory_bytes": 7,
}


def test_a_log_file_gets_whole_lines():
    stream = io.StringIO()
    progress = Progress(1_000, 400, stream=stream)
    progress.report(LINE)
    progress.say("stopped")
    progress.close()
    assert stream.getvalue() == (
        "        500 images  50%  1,234/s  ETA 1s  D adversarial 1.235  G adversarial 0.500\n"
        "stopped\n"
    )


def screen(text):
    """The lines that a terminal shows after this output, by the escapes that are used here."""
    lines, row, column = [""], 0, 0
    for mark in re.finditer(r"(\x1b\[([0-9;?]*)([A-Za-z])|[\r\n])|[^\x1b\r\n]+", text):
        control, number, code = mark.groups()
        if control is None:
            lines[row] = lines[row][:column] + mark[0]
            column += len(mark[0])
        elif control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif code == "A":
            row -= int(number)
        elif code == "K":
            lines[row] = ""
    return lines


@pytest.mark.parametrize(
    ("columns", "first", "second"),
    [
        (200, "500 images  50%  1,234/s  ETA 1s", "D adversarial 1.235  G adversarial 0.500"),
        (40, "500 images  50%  1,234/s  ETA 1s", "D adversarial 1.235"),
        (25, "500 images  50%  1,234/s", "D adversarial 1.235"),
    ],
)
def test_a_terminal_has_moving_lines_that_never_wrap(columns, first, second, monkeypatch):
    monkeypatch.setattr(Progress, "_columns", lambda self: columns)
    stream = Terminal()
    progress = Progress(1_000, 400, stream=stream)
    progress.report(LINE)
    progress.report(LINE)
    progress.say("done")
    progress.scored(500, "fid 3.5")
    progress.sheet(500, Path("x") / "500.png")
    progress.report(LINE)
    progress.close()
    lines = [line.strip() for line in screen(stream.getvalue())]
    path = Path("x") / "500.png"
    assert lines[:3] == ["done", "500 images scored: fid 3.5", f"500 images sheet: {path}"]
    assert lines[3].endswith(first) and lines[4] == second
    assert all(len(line) < columns for line in lines[3:])
    assert lines[5].startswith("score fid 3.5 at 500") and (str(path) in lines[5]) == (columns > 25)


def test_a_moving_line_is_ended_once():
    stream = Terminal()
    progress = Progress(1_000, 400, stream=stream)
    progress.close()
    assert stream.getvalue() == ""
    progress.report(LINE)
    assert stream.getvalue().rpartition("\x1b[?25")[2].startswith("h")  # the cursor is there
    progress.close()
    ended = stream.getvalue()
    progress.close()
    assert stream.getvalue() == ended and screen(ended)[-1] == ""


def test_a_stream_without_a_size_has_80_columns():
    assert Progress(10, 0, stream=io.StringIO())._columns() == 80


def test_quiet_is_quiet():
    stream = Terminal()
    progress = Progress(1_000, 400, quiet=True, stream=stream)
    progress.report(LINE)
    progress.say("x")
    progress.close()
    assert stream.getvalue() == ""


def test_durations():
    times = {0: "0s", 59.4: "59s", 59.6: "1m00s", 200: "3m20s", 3_720: "1h02m", -5: "0s"}
    assert {seconds: duration(seconds) for seconds in times} == times
    assert duration(90_000) == "25h00m"


def wait_for(condition):
    """A thread does it within a moment."""
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("nothing came")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopRequest() as request:
        assert not request.set
        signal.raise_signal(number)
        assert request.set
        assert request.number == number
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_the_process_at_once(monkeypatch):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with StopRequest() as request:
        signal.raise_signal(signal.SIGINT)
        assert codes == []
        signal.raise_signal(signal.SIGTERM)
        wait_for(lambda: codes == [143])
        assert request.number == signal.SIGINT


def test_a_launchers_copy_of_a_signal_is_no_second_one(monkeypatch):
    codes, now = [], [10.0]
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with StopRequest(grace=2.0):
        signal.raise_signal(signal.SIGINT)
        now[0] += 1.9
        signal.raise_signal(signal.SIGINT)
        threading.Event().wait(0.1)  # it is counted by a thread
        assert codes == []
        now[0] += 0.1
        signal.raise_signal(signal.SIGINT)
        wait_for(lambda: codes == [130])


def test_where_nothing_is_to_be_saved_a_signal_interrupts():
    with StopRequest() as request:
        with pytest.raises(Interrupted), request.interrupting():
            signal.raise_signal(signal.SIGTERM)
        assert request.number == signal.SIGTERM
    with StopRequest() as request:
        with request.interrupting():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert request.set


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system lacks the signal")
def test_a_state_is_asked_for_once_and_never_after_the_end(capfd):
    with StopRequest() as request:
        assert not request.take_save()
        signal.raise_signal(signal.SIGUSR1)
        assert request.take_save() and not request.take_save()
        assert not request.set
        request.saved()
        signal.raise_signal(signal.SIGUSR1)
        assert not request.take_save()
    assert "SIGUSR1: saves with this step and goes on" in capfd.readouterr().err
