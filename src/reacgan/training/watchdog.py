"""Ends a run in which nothing moves any more: a stopped or lost process, a hung kernel, disk or thread.

Progress is a heartbeat (:func:`reacgan.progress.heartbeat`): a step, a stage that moves. On a CPU, and
anywhere until the first step, a process that computes is alive for :data:`PATIENT` times as long, since a
long operation says nothing. Several processes share one count of signs, so a process that waits for one
that packs images or trains a classifier has not stalled. A process that was stopped and goes on (Ctrl-Z
and ``fg``) begins to count anew.
"""

from __future__ import annotations

import faulthandler
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any

from reacgan import distributed
from reacgan.progress import PULSE, duration

STALLED = 4
"""The exit code."""
PATIENT = 12
"""A process that computes without a word may do so for so many times the time-out."""
_BUSY = 0.05
"""Share of one core from which on a process computes: many may share a machine, and a wait takes none."""
_ANSWERS = 5.0
"""Seconds that the stacks of other processes are waited for."""
_OWN = ("watchdog", "watchdog-peers", "watchdog-report", "signals")
"""Threads that wait for what this is about."""
_NUMBERS = count()
"""Of the watchdogs of this process: the n-th of each process belong together."""


class Watchdog:
    """Context: ends the process where no process of the job makes progress for ``minutes``.

    Args:
        minutes: None for never.
        cpu: whether the run computes on a CPU, where computing counts as a sign.
        where: the moment of the run, in words.
    """

    def __init__(
        self, minutes: float | None, *, cpu: bool, where: Callable[[], str] = lambda: "the start"
    ) -> None:
        self.seconds = None if minutes is None else 60 * minutes
        self.where = where
        """May be set once more is known."""
        self._cpu = cpu
        self._over = threading.Event()
        self._reporting = threading.Lock()
        self._peers: _Peers | None = None
        self._steps = 0

    def __enter__(self) -> Watchdog:
        if self.seconds is not None:
            PULSE.doing, self._steps = "", PULSE.steps
            if distributed.world_size() > 1:
                self._peers = _Peers(self._period, self._asked)
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
            distributed.meet = None if self._peers is None else self._peers.meet
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        distributed.meet = None
        if self._peers is not None:
            self._peers.end()

    @property
    def _period(self) -> float:
        return min((self.seconds or 0.0) / 20, 5.0)

    def _watch(self) -> None:
        limit, period = self.seconds or 0.0, self._period
        peers = self._peers
        sign = beat = before = time.monotonic()
        beats, cpu, others = PULSE.beats, time.process_time(), 0
        while not self._over.wait(period):
            now, spent = time.monotonic(), time.process_time()
            busy = spent - cpu > _BUSY * (now - before) and (
                self._cpu or PULSE.steps == self._steps
            )
            stopped = now - before > period + limit / 4  # it was stopped itself, and goes on
            if PULSE.beats != beats or stopped:
                sign = beat = now
            elif busy and now - beat < PATIENT * limit:
                sign = now
            if peers is not None:
                peers.alive = peers.alive or sign == now
                if peers.seen != others:
                    sign, others = now, peers.seen
            beats, cpu, before = PULSE.beats, spent, now
            if now - sign > limit:
                self._end(f"nothing has moved for {duration(now - sign)} (training.timeout)")

    def _asked(self) -> None:
        """Another process has found that nothing moves."""
        self._end("another process found that nothing moves (training.timeout)")

    def _end(self, why: str) -> None:
        """Print the stacks, let the other processes do so, and end."""
        if self._over.is_set() or not self._reporting.acquire(blocking=False):
            return
        rank, world = distributed.rank(), distributed.world_size()
        doing = f", {PULSE.doing}" if PULSE.doing else ""
        head = f"process {rank} of {world} ({socket.gethostname()}, pid {os.getpid()})"
        moment = f"at {self.where()}{doing}"
        _write(f"\nreacgan: {why}; {head}, {moment}; its threads:\n{stacks()}")
        silent = [] if self._peers is None else self._peers.report(rank, world)
        if silent:
            named = ", ".join(map(str, silent))
            _write(f"reacgan: no answer from process {named}: stopped, or its machine is gone\n")
        if rank == 0 or 0 in silent:
            _write("reacgan: what was saved before is whole; the same command resumes\n")
        os._exit(STALLED)


class _Peers:
    """What the processes of a job know of one another beside the training: by the group's store.

    Args:
        period: seconds between two looks.
        asked: is called once another process has found that nothing moves.
    """

    def __init__(self, period: float, asked: Callable[[], None]) -> None:
        self.alive = False
        """Set by the watchdog: there was a sign since the last look."""
        self.seen = 0
        """Signs of all processes so far."""
        self.over = threading.Event()
        self._period = period
        self._asked = asked
        self._meetings = 0
        self._number = next(_NUMBERS)
        self._signs, self._meeting = self._store(), self._store()
        # Apart from the watch itself: where the machine of the store is gone, a look hangs.
        self._thread = threading.Thread(target=self._look, name="watchdog-peers", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more. An interpreter that ends while a thread is in the store's code is aborted."""
        self.over.set()
        self._thread.join(_ANSWERS)

    def _look(self) -> None:
        while not self.over.wait(self._period):
            mine, self.alive = self.alive, False
            try:
                self.seen = self._signs.add("count", int(mine))
                stalled = self._signs.add("stalled", 0)
            except RuntimeError:  # the store is gone: there are no signs of others any more
                return
            if stalled:
                self._asked()

    def meet(self) -> None:
        """Wait until every process is here, however long the others work: the watchdog ends it."""
        self._meetings += 1
        number, world = self._meetings, distributed.world_size()
        if self._meeting.add(f"came/{number}", 1) == world:
            self._meeting.set(f"all/{number}", "")
        pause = 0.001
        while not self._meeting.check([f"all/{number}"]):
            time.sleep(pause)
            pause = min(2 * pause, 0.1)

    def report(self, rank: int, world: int) -> list[int]:
        """Ask all processes for their stacks; those that have not answered after some seconds."""
        done = threading.Event()
        silent: list[int] = []

        def ask() -> None:
            try:
                store = self._store()  # others may be in a call that hangs
                store.add(f"answered/{rank}", 1)
                store.add("stalled", 1)
                until = time.monotonic() + _ANSWERS
                while time.monotonic() < until:
                    silent[:] = [
                        other for other in range(world) if not store.add(f"answered/{other}", 0)
                    ]
                    if not silent:
                        break
                    time.sleep(0.1)
            except RuntimeError:
                pass
            done.set()

        threading.Thread(target=ask, name="watchdog-report", daemon=True).start()
        done.wait(_ANSWERS + 1)
        return list(silent)

    def _store(self) -> Any:
        return distributed.store(f"watchdog/{self._number}")


def stacks() -> str:
    """The stacks of all threads by name, the main one first; reads no file: a disk may be what hangs."""
    with tempfile.TemporaryFile() if not hasattr(os, "memfd_create") else _in_memory() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        text: str = file.read().decode(errors="replace")
    names = {f"0x{thread.ident or 0:016x}": thread.name for thread in threading.enumerate()}
    threads = []
    for block in re.split(r"^(?:Current thread|Thread) ", text, flags=re.MULTILINE)[1:]:
        number, _, stack = block.partition(" ")
        name = names.get(number, number)
        if name not in _OWN:
            threads.append(f'thread "{name}" {stack.rstrip()}\n')
    return "".join(reversed(threads))  # the one that was begun first is the last


def _in_memory() -> Any:
    return os.fdopen(os.memfd_create("stacks"), "w+b")


def _write(text: str) -> None:
    """At once, so that lines of several processes do not mix; the terminal may have gone."""
    data = text.encode(errors="replace")
    with suppress(OSError):
        while data:
            data = data[os.write(2, data) :]
