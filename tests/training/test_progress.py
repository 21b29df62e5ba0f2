"""What a person sees of a run: the time that is left, and streams that go away."""

from __future__ import annotations

import io
import os
import pty

import pytest

from reacgan.progress import listening, stage
from reacgan.training.progress import Progress, ScoreStages


@pytest.fixture
def clock(monkeypatch):
    """Time as a test sets it."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def _line(seen, speed=1.0):
    return {"images_seen": seen, "images_per_second": speed, "d/adversarial": 1.0}


def _eta(stream):
    return stream.getvalue().splitlines()[-1].partition("ETA ")[2].split()[0]


def test_start_up_is_no_measure_of_what_is_left(clock):
    progress = Progress(1000, 0, stream=(stream := io.StringIO()))
    clock[0] = 600  # data, networks and a trial of each way of making steps
    progress.begin()
    clock[0] = 700  # the first steps are recorded, compiled ...
    progress.report(_line(10, speed=0.1))
    clock[0] = 710
    progress.report(_line(110, speed=10))
    assert _eta(stream) == "1m29s"  # 890 images at 10/s
    clock[0] = 760  # a pause for scores counts apart: those to come are known by themselves
    progress.apart = lambda: 40.0
    progress.report(_line(210, speed=10))
    assert _eta(stream) == "1m19s"  # 790 images at 200 in 20 seconds


def test_of_the_first_line_the_speed_of_training_counts(clock):
    progress = Progress(1000, 500, stream=(stream := io.StringIO()))
    clock[0] = 600
    progress.begin()
    clock[0] = 610
    progress.report(_line(600, speed=10))
    assert _eta(stream) == "40s"
    progress.report(_line(600, speed=10))  # the same moment again
    assert _eta(stream) == "40s"


def test_minutes_that_are_left_bound_the_estimate_from_the_start_of_the_call(clock):
    stream = io.StringIO()
    progress = Progress(10**6, 0, left=lambda: 700 - clock[0], stream=stream)
    clock[0] = 600
    progress.begin()
    clock[0] = 630
    progress.report(_line(600, speed=20))
    assert _eta(stream) == "1m10s"
    clock[0] = 700
    progress.report(_line(700, speed=20))
    assert _eta(stream) == "1s"  # something remains until the process has ended


def test_scores_and_the_end_are_part_of_what_is_left(clock):
    progress = Progress(1000, 0, stream=(stream := io.StringIO()))
    progress.ahead = lambda seen: (30.0, seen > 500)
    progress.begin()
    progress.report(_line(500, speed=10))
    assert stream.getvalue().rstrip().endswith("ETA 1m20s + scores  D adversarial 1.000")
    progress.report(_line(1000, speed=10))
    assert _eta(stream) == "30s"  # all is seen, and not all is done
    progress.ahead = lambda seen: (2.0, True)
    progress.report(_line(1000, speed=10))
    assert stream.getvalue().endswith("images 100%  10/s  D adversarial 1.000\n")


def test_a_long_stage_of_scores_is_a_line(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress(1000, 0, stream=(stream := io.StringIO()))
    with listening(ScoreStages(progress)):
        with stage("a short one", 10):
            pass
        with stage("training a classifier", 600, "steps") as outer:
            with stage("within it", 5):
                now[0] = 10.0
            outer.at(100)
            now[0] = 11.0
            outer.at(110)
    assert stream.getvalue() == "  training a classifier: 100 of 600 steps, 50s left\n"


def test_between_lines_of_the_journal_the_line_of_a_terminal_moves(clock, monkeypatch):
    monkeypatch.setattr(Progress, "_columns", lambda self: 100)
    stream = Terminal()
    progress = Progress(1000, 0, stream=stream)
    progress.begin()
    progress.tick(10)
    assert "10 images" in stream.getvalue() and "ETA" not in stream.getvalue()
    clock[0] = 5
    progress.report(_line(100, speed=20))
    clock[0] = 5.5
    progress.tick(110)
    assert "110 images" not in stream.getvalue()  # once a second at most
    clock[0] = 10
    progress.tick(200)
    assert "200 images  20%  20/s  ETA 40s" in stream.getvalue()
    progress.close()
    plain = Progress(1000, 0, stream=(log := io.StringIO()))
    plain.tick(10)
    assert log.getvalue() == ""


def test_a_sheet_is_said_once(tmp_path):
    progress = Progress(10, 0, stream=(stream := io.StringIO()))
    for seen in (5, 10, 10):
        progress.sheet(seen, tmp_path / f"{seen}.png")
    assert stream.getvalue().count("sheet:") == 2


def test_details_are_for_who_asks():
    for verbose in (False, True):
        progress = Progress(10, 0, verbose=verbose, stream=(stream := io.StringIO()))
        progress.detail("speed: all of it")
        assert bool(stream.getvalue()) == verbose


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_that_goes_away_while_lines_move_ends_no_run(monkeypatch):
    stream = Terminal()
    progress = Progress(100, 0, stream=stream)
    progress.report(_line(10))
    monkeypatch.setattr(stream, "write", Gone(OSError(5, "Input/output error")).write)
    progress.report(_line(20))
    progress.say("a line")
    progress.close()
    assert progress.quiet


class Gone(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error"), ValueError("closed")],
)
def test_a_stream_that_goes_away_ends_no_run(error):
    progress = Progress(100, 0, stream=Gone(error))
    progress.say("a line")
    progress.report(_line(10))
    progress.close()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    shown = {}
    for kind in ("dumb", "xterm"):
        monkeypatch.setenv("TERM", kind)
        reader, writer = pty.openpty()
        with os.fdopen(writer, "w") as stream:
            progress = Progress(100, 0, stream=stream)
            progress.report(_line(10))
            progress.report(_line(20))
            progress.close()
            shown[kind] = os.read(reader, 10_000).decode()
            while shown[kind].count("\n") < 2:  # a terminal gives what has come so far
                shown[kind] += os.read(reader, 10_000).decode()
        os.close(reader)
    assert "\x1b" in shown["xterm"]
    assert "\x1b" not in shown["dumb"] and len(shown["dumb"].splitlines()) == 2


def test_what_a_signal_says_stays_below_the_lines():
    """It is written past this class, by the handler itself."""
    stream = Terminal()
    progress = Progress(100, 0, stream=stream)
    progress.report(_line(10))
    progress.stopping = lambda: True
    stream.write("\nstopping: a second signal ends it\n")
    before = stream.getvalue()
    progress.report(_line(20))
    progress.tick(30)
    progress.say("stopped at 20 images")
    progress.close()
    assert stream.getvalue() == before + "stopped at 20 images\n"
