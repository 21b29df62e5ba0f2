"""A run in which nothing moves any more ends with a code of its own; one that works long does not."""

from __future__ import annotations

import os
import re
import signal
import time
import traceback

import pytest

from jobs import Job
from reacgan.progress import counted, stepped
from reacgan.training.watchdog import PATIENT, STALLED, Watchdog

LIMIT = 0.4
"""Seconds without progress, of a process that does nothing but what a test says."""
JOB = {"training.timeout": 2 / 60, "training.images": 10**6}
SHORT = 30
"""Well above the time-out and the few seconds that stacks are waited for."""


def begin(work, log, *, cpu=True):
    """A process that does the work under a watchdog; its number."""
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
            with Watchdog(LIMIT / 60, cpu=cpu, where=lambda: "64 images seen"):
                work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_forever():
    time.sleep(3600)


def compute(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def pack(times, pause):
    for _ in counted(range(times), "packing", times):
        time.sleep(pause)


def waits_in_a_step(said):
    """Whether a stack ends in a step: which of its messages is waited for is a matter of moments."""
    return re.search(r"in (?:discriminator|generator)_step\n", said)


def test_a_process_that_waits_for_ever_is_ended(tmp_path):
    assert code_of(begin(wait_forever, tmp_path / "log")) == STALLED
    said = (tmp_path / "log").read_text()
    assert "nothing has moved for 0s (training.timeout); process 0 of 1 (" in said
    assert "at 64 images seen; its threads:" in said
    assert 'thread "MainThread"' in said and "in wait_forever" in said
    assert "the same command resumes" in said


def test_what_was_done_is_named(tmp_path):
    assert code_of(begin(lambda: pack(2, 3600), tmp_path / "log")) == STALLED
    assert (
        "at 64 images seen, packing: 0 of 2 images; its threads" in (tmp_path / "log").read_text()
    )


def test_stages_and_steps_are_progress(tmp_path):
    def work():
        pack(8, LIMIT / 2)
        for _ in range(8):
            time.sleep(LIMIT / 2)
            stepped()

    assert code_of(begin(work, tmp_path / "log", cpu=False)) == 0


def test_a_long_operation_is_progress_for_a_while(tmp_path):
    """On a CPU always, elsewhere until the first step: a host that waits for a device spins."""
    assert code_of(begin(lambda: compute(3 * LIMIT), tmp_path / "log")) == 0
    assert code_of(begin(lambda: compute(3 * LIMIT), tmp_path / "log", cpu=False)) == 0

    def later():
        stepped()
        compute(6 * LIMIT)

    assert code_of(begin(later, tmp_path / "log", cpu=False)) == STALLED


@pytest.mark.slow
def test_computing_for_ever_is_ended(tmp_path):
    assert code_of(begin(lambda: compute(3 * PATIENT * LIMIT), tmp_path / "log")) == STALLED


def test_a_process_that_was_stopped_goes_on(tmp_path):
    """Ctrl-Z, and fg after longer than the time-out."""

    def work():
        for _ in counted(range(10), "packing"):
            for _ in range(10):  # all of them are ahead, or some, once it goes on
                time.sleep(LIMIT / 40)

    child = begin(work, tmp_path / "log")
    time.sleep(LIMIT)
    os.kill(child, signal.SIGSTOP)
    time.sleep(4 * LIMIT)
    os.kill(child, signal.SIGCONT)
    assert code_of(child) == 0, (tmp_path / "log").read_text()


@pytest.mark.slow  # under load the stacks of both did not always come
def test_a_stopped_process_ends_the_job(tmp_path):
    with Job(tmp_path / "run", 2, **JOB) as job:
        job.until(" 64 images ")
        os.kill(job.ranks()[1], signal.SIGSTOP)
        job.until("no answer from process 1: stopped, or its machine is gone", SHORT)
        assert "process 0 of 2 (" in job.said and waits_in_a_step(job.said)
        os.kill(job.ranks()[1], signal.SIGCONT)  # torchrun itself waits 30 s before it kills
        assert job.ends(SHORT) == 1
    assert "exitcode  : 4 " in job.said


@pytest.mark.slow
def test_every_process_prints_its_stacks(tmp_path):
    with Job(tmp_path / "run", 2, fault="wait", rank=1, **JOB) as job:
        assert job.ends(SHORT) == 1
    for rank in (0, 1):
        assert f"process {rank} of 2 (" in job.said
    assert "_wait_forever" in job.said and waits_in_a_step(job.said)


@pytest.mark.slow
def test_the_others_wait_while_the_main_process_is_at_work(tmp_path):
    with Job(tmp_path / "run", 2, fault="work", **{**JOB, "training.images": 320}) as job:
        assert job.ends(60) == 0, job.said


@pytest.mark.slow
def test_a_run_may_wait_for_ever_if_told_so(tmp_path):
    with Job(tmp_path / "run", fault="wait", **{**JOB, "training.timeout": None}) as job:
        job.until(" 64 images ")
        with pytest.raises(AssertionError, match="still there"):
            job.ends(6)
