"""How far work is: what is told to a listener, and what a terminal and a pipe show of it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import reacgan as package
from reacgan.cli import bars
from reacgan.data import ImageData
from reacgan.progress import counted, heard, listening, say, stage, time_left


class Ear:
    def __init__(self):
        self.stages = []
        self.seen = {}
        self.said = []

    def changed(self, task):
        if task not in self.stages:
            self.stages.append(task)
        self.seen.setdefault(task, []).append(task.done)

    def say(self, text):
        self.said.append(text)

    def of(self, what):
        return next(task for task in self.stages if task.what.startswith(what))


def test_stages_of_a_block_are_heard():
    ear = Ear()
    with listening(ear):
        assert heard() and say("a choice")
        assert list(counted("abc", "letters", 3, "letters")) == ["a", "b", "c"]
        with pytest.raises(KeyError), stage("fails"):
            raise KeyError
    letters, fails = ear.stages
    assert (letters.total, letters.done, letters.ended) == (3, 3, True)
    assert ear.seen[letters] == [0, 1, 2, 3, 3]
    assert fails.ended and ear.said == ["a choice"]


def test_what_was_done_before_and_what_breaks_off():
    ear = Ear()
    with listening(ear):
        with stage("resumed", 10, start=6) as task:
            task.at(8)
        with pytest.raises(KeyboardInterrupt), stage("stopped", 10):
            raise KeyboardInterrupt
    resumed, stopped = ear.stages
    assert (resumed.start, ear.seen[resumed][0], resumed.broken) == (6, 6, False)
    assert stopped.ended and stopped.broken
    assert time_left(resumed, 5) == ", 5s left"  # two of four in five seconds
    assert not bars._worth_a_line(stopped, 60) and bars._worth_a_line(resumed, 60)


def test_nobody_listens():
    with stage("quiet", 3) as task:
        task.at(2)
    assert not heard() and not say("a word")


def test_other_threads_are_not_heard():
    ear = Ear()
    with listening(ear):
        worker = threading.Thread(target=lambda: list(counted(range(3), "elsewhere")))
        worker.start()
        worker.join()
    assert ear.stages == []


def test_every_long_step_of_an_evaluation_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 1, 8, 8), dtype=np.uint8)
    train, real, fake = (
        ImageData(pixels[part], np.arange(100) % 2, ("a", "b"), "noise")
        for part in (slice(100), slice(100, 200), slice(200, 300))
    )
    ear = Ear()
    with listening(ear):
        package.evaluate(
            fake, real, training=train, held_out=real, extractor="domain", device="cpu",
            extractor_options={"epochs": 8, "width": 8},
            metrics="fid,kid,prdc,ifid,per_class,f_beta,memorisation,fid_infinity",
        )  # fmt: skip
    for what in (
        "training a classifier of 100 images", "class scores", "features of the reference",
        "features of the training images", "features of the images to score", "nearest neighbours",
        "hyperspheres", "kernel distances", "clustering features", "distance of each class",
        "neighbours within classes", "radii within classes", "distances of", "measuring fid",
    ):  # fmt: skip
        task = ear.of(what)
        assert task.ended and task.total in (None, task.done), what
    assert all(task.ended for task in ear.stages)


def test_packing_and_reading_are_told(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), number).save(tmp_path / "photos" / name / f"{number}.png")
    ear = Ear()
    with listening(ear):
        package.prepare_data(tmp_path / "photos", tmp_path / "out.safetensors", resolution=8)
    for what in ("reading headers", "packing photos"):
        assert (ear.of(what).total, ear.of(what).done) == (24, 24)


ANSWER = "for programs\nthe answer\n"
SHOW = """
import time
from reacgan.cli import bars
from reacgan.progress import counted, say, stage
bars.WORTH_A_LINE, bars._WORTH_A_BAR, bars._BETWEEN_LINES = {limits}
with bars.loading(quiet={quiet}):
    pass
with bars.shown(quiet={quiet}, announce={announce}):
    print("for programs")
    say("extractor domain: [few] images")
    for step in counted(range(10), "long work", 10):
        with stage("inner work", 40, "steps") as inner:
            for _ in range(4):
                time.sleep(0.02)
                inner.advance(10)
    for _ in range(3):
        with stage("short work"):
            pass
    with stage("a file", 90_000_000, "bytes") as file:
        file.at(45_000_000)
        time.sleep(0.2)
print("the answer")
"""


def shown(*, terminal, quiet=False, announce=False, columns=100):
    """Standard output, and what standard error shows."""
    code = SHOW.format(limits=(0.1, 0.0, 0.25), quiet=quiet, announce=announce)
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    reader, writer = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, env=environment
    ) as process:
        os.close(writer)
        parts = []
        try:
            while part := os.read(reader, 4096):
                parts.append(part)
        except OSError:  # how a terminal ends
            pass
        out = process.stdout.read().decode()
    os.close(reader)
    assert process.returncode == 0
    text = b"".join(parts).decode()
    return out, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "\n")


def test_bars_with_the_time_left_on_a_terminal():
    out, err = shown(terminal=True)
    assert out == ANSWER
    assert "extractor domain: [few] images" in err
    assert re.search(r"long work +[━╸╺ ]+ \d of 10 images +(-:--:--|--:--|\d\d:\d\d)", err)
    assert re.search(r"  inner work +[━╸╺ ]+ \d\d of 40 steps", err)
    assert "45 of 90 MB" in err
    assert re.search(r"^long work: 10 images, \ds\s*$", err, re.MULTILINE)
    assert not re.search(r"^short work, ", err, re.MULTILINE)
    drawn = [line.rstrip() for line in err.splitlines() if "━" in line]
    assert max(map(len, drawn)) <= 97  # the terminal's own ^C has room behind
    assert err.index("loading PyTorch ...") < err.index("extractor domain")


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_terminal(columns):
    out, err = shown(terminal=True, columns=columns)
    assert out == ANSWER and "long" in err


def test_plain_lines_in_a_pipe():
    out, err = shown(terminal=False, announce=True)
    assert out == ANSWER and "━" not in err
    lines = err.splitlines()
    assert lines[:2] == ["extractor domain: [few] images", "long work: 10 images"]
    further = [line for line in lines if line.startswith("  ")]
    assert further and all(
        re.fullmatch(r"  long work: \d of 10 images, \ds left", line) for line in further
    )
    assert lines[-2:] == ["short work", "a file: 90 MB"]
    assert lines.count("short work") == 1  # done three times


def test_only_what_took_long_in_a_pipe():
    err = shown(terminal=False)[1].splitlines()
    assert "short work" not in "".join(err)
    assert re.fullmatch(r"long work: 10 images, \ds", err[-2])
    assert err[-1].startswith("a file: 90 MB, ")


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_where_it_is_quiet(terminal):
    assert shown(terminal=terminal, quiet=True) == (ANSWER, "")


def test_counts_in_words():
    with stage("x", None, "files") as task:
        assert (bars.named(task), bars.counts(task)) == ("x", "")
        task.at(1234)
        assert bars.counts(task) == "1,234 files"
        task.at(1234, 5678)
        assert (bars.named(task), bars.counts(task)) == ("x: 5,678 files", "1,234 of 5,678 files")
