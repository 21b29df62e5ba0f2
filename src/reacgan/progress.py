"""How far long work is, for whoever listens: a terminal, a page, nobody.

Work names its stages and counts (:func:`stage`, :func:`counted`), and knows nothing of terminals. A
caller listens to all that happens within a block (:func:`listening`); without a listener a stage does
nothing. Other threads than the listener's are not heard. What all who show it have in common, such as
durations in words, is here too.

Every stage that moves, and every step of a training, is also a heartbeat (:func:`heartbeat`), by which
a watchdog knows that a process has not stalled; nobody has to listen for that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TextIO, TypeVar

_DAY = 86_400
Item = TypeVar("Item")


class Listener(Protocol):
    """What is called; neither call may fail or take long."""

    def changed(self, stage: Task) -> None:
        """A stage has begun, advanced or ended."""
        ...

    def say(self, text: str) -> None:
        """A line that matters by itself, such as a choice and its reason."""
        ...


_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@dataclass
class Pulse:
    """What a process has shown of itself so far."""

    beats: int = 0
    """Counts signs of progress."""
    steps: int = 0
    """Counts cycles of trainings, which are signs, too."""
    doing: str = ""
    """The stage that moved last, in words; empty where it has ended."""


PULSE = Pulse()


def heartbeat(doing: str | None = None) -> None:
    """Work goes on: something was done that will end. From any thread.

    Args:
        doing: what is done from now on, in words; None where that has not changed.
    """
    PULSE.beats += 1
    if doing is not None:
        PULSE.doing = doing


def stepped() -> None:
    """A cycle of a training was made."""
    PULSE.steps += 1
    heartbeat()


@dataclass(eq=False)
class Task:
    """A piece of work that may take long."""

    what: str
    """What is done, such as ``features of the reference``."""
    total: int | None = None
    """How much there is to do; None where that is unknown."""
    unit: str = "images"
    done: int = 0
    start: int = 0
    """Of these done before the stage began: what is left is estimated by the others."""
    ended: bool = False
    broken: bool = False
    """Whether an error or Ctrl-C ended it."""

    def advance(self, by: int = 1) -> None:
        """So much more is done."""
        self.at(self.done + by)

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done by now; ``total`` where it was unknown before."""
        self.done, self.total = done, total or self.total
        _tell(self)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within the block, stages of this thread are told to this listener alone."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def heard() -> bool:
    """Whether somebody listens."""
    return _LISTENER.get() is not None


def say(text: str) -> bool:
    """Tell a line to the listener; returns whether there is one."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.say(text)
    return listener is not None


@contextmanager
def stage(
    what: str, total: int | None = None, unit: str = "images", *, start: int = 0
) -> Iterator[Task]:
    """A stage that ends with the block; within it, :meth:`Task.advance` tells how far it is.

    Args:
        what: is done.
        total: how much there is to do; None where that is unknown.
        unit: what is counted.
        start: how much of it was done earlier.
    """
    current = Task(what, total, unit, start, start)
    _tell(current)
    try:
        yield current
    except BaseException:
        current.broken = True
        raise
    finally:
        current.ended = True
        _tell(current)


def counted(
    items: Iterable[Item], what: str, total: int | None = None, unit: str = "images"
) -> Iterator[Item]:
    """The items, each counted as done when the next is asked for.

    Args:
        items: to go through.
        what: is done with them.
        total: how many; None where that is unknown.
        unit: what they are.
    """
    with stage(what, total, unit) as current:
        for item in items:
            yield item
            current.advance()


def _tell(stage: Task) -> None:
    heartbeat("" if stage.ended else in_words(stage))
    listener = _LISTENER.get()
    if listener is not None:
        listener.changed(stage)


def named(task: Task) -> str:
    """``features of the reference: 10,000 images``; without a number where there is none."""
    return task.what if task.total is None else f"{task.what}: {_amount(task.total, task)}"


def counts(task: Task) -> str:
    """``3,200 of 10,000 images``; empty where nothing is counted."""
    if task.total is None:
        return _amount(task.done, task) if task.done else ""
    if task.unit == "bytes":
        return f"{task.done / 1e6:,.0f} of {_amount(task.total, task)}"
    return f"{task.done:,} of {_amount(task.total, task)}"


def in_words(task: Task) -> str:
    """``features of the reference: 3,200 of 10,000 images``."""
    return f"{task.what}: {counts(task)}" if counts(task) else task.what


def _amount(number: int, task: Task) -> str:
    return f"{number / 1e6:,.0f} MB" if task.unit == "bytes" else f"{number:,} {task.unit}"


def time_left(task: Task, spent: float) -> str:
    """``, 12s left`` by what is done after so many seconds; what has passed where that is unknown."""
    done = task.done - task.start
    if not task.total or done <= 0:
        return f", {duration(spent)} so far"
    return f", {duration(spent * (task.total - task.done) / done)} left"


def can_redraw(stream: TextIO) -> bool:
    """Whether a line that was written can be overwritten: on a terminal that is not dumb."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """``1h02m``, ``3m20s`` or ``12s``."""
    whole = max(round(seconds), 0)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def rough_duration(seconds: float) -> str:
    """Of an estimate: ``40 s``, ``12 min``, ``3.5 h`` or ``4 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
