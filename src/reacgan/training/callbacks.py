"""Code of others that is told what a run does: reports, sheets, scores, its end."""

from __future__ import annotations

import copy
import inspect
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reacgan.config import ConfigError, Experiment, suggest
from reacgan.evaluation import Score

if TYPE_CHECKING:
    from reacgan.training.run import RunResult


class StopTraining(Exception):  # noqa: N818 - not an error
    """Raised in a callback: the run saves its state and ends; its text says why."""


class CallbackError(RuntimeError):
    """A callback raised an exception. The state was saved before this is raised."""


class Callback:
    """Is told what a run does; each method may be left out, and any class with one of them will do.

    Methods are called on the main process, in the training's thread, between two steps, in the order
    of what happened; their time does not count as training. They change no bit of it: a record is a
    copy. An exception ends the run after its state is saved, and names the callback; raise
    :class:`StopTraining` to end it without an error.
    """

    def on_begin(self, experiment: Experiment, folder: Path, images_seen: int) -> None:
        """Training begins, or goes on, in a folder after so many images."""

    def on_report(self, record: dict[str, Any]) -> None:
        """A report was written to the journal: ``images_seen``, losses, speed, memory."""

    def on_sheet(self, path: Path, images_seen: int) -> None:
        """A sheet of generated images was written, of the state after so many images."""

    def on_score(self, score: Score) -> None:
        """A score was measured during the run, or of its best state at the end."""

    def on_back(self, images_seen: int) -> None:
        """The run went back: all that was told of later moments will be made again, or be different."""

    def on_end(self, result: RunResult) -> None:
        """The run has ended, complete or stopped, and all is written; not after an error."""

    def close(self) -> None:
        """Always last, also after an error."""


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class Callbacks:
    """The callbacks of a run; what one raises is kept until the run has saved its state.

    Args:
        callbacks: objects with some of the methods of :class:`Callback`.

    Raises:
        ConfigError: an object without any of them, a class instead of its instance, or a method that no
            run calls.
    """

    def __init__(self, callbacks: Iterable[Any] = ()) -> None:
        self._all = list(callbacks)
        for callback in self._all:
            _check(callback)
        self._active = list(self._all)
        self._waiting: deque[tuple[Path, int]] = deque()
        self._shown: int | None = None
        self.error: CallbackError | None = None
        self.stopped_by: str | None = None

    @property
    def stops(self) -> bool:
        """Whether the run should save its state and end."""
        return self.error is not None or self.stopped_by is not None

    def tell(self, event: str, *values: Any) -> None:
        """Call a method of all; one that fails is called no more, but for ``close``."""
        for callback in list(self._active):
            try:
                own = [copy.deepcopy(value) if type(value) is dict else value for value in values]
                getattr(callback, event, _nothing)(*own)
            except StopTraining as stop:
                why = f": {stop}" if str(stop) else ""
                self.stopped_by = f"the callback {_name(callback)}{why}"
            except Exception as error:
                self._active.remove(callback)
                self._keep(callback, event, error)

    def drawn(self, path: Path, images_seen: int) -> None:
        """A sheet is written; told by :meth:`deliver`. From any thread."""
        if self._active:
            self._waiting.append((path, images_seen))

    def deliver(self, now: int) -> None:
        """Tell of the sheets that were written meanwhile, but for those of moments after ``now``.

        The last sheet of a run may be written twice; it is told once.
        """
        while self._waiting:
            path, images_seen = self._waiting.popleft()
            if images_seen <= now and images_seen != self._shown:
                self._shown = images_seen
                self.tell("on_sheet", path, images_seen)

    def back(self, images_seen: int) -> None:
        """The run went back; sheets of later moments that are not told yet will not be."""
        self.deliver(images_seen)
        self._shown = None
        self.tell("on_back", images_seen)

    def check(self) -> None:
        """Raise what a callback raised."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Let all end what they have open; nothing is told after that."""
        for callback in self._all:
            try:
                getattr(callback, "close", _nothing)()
            except Exception as error:
                self._keep(callback, "close", error)
        self._all, self._active = [], []

    def _keep(self, callback: Any, event: str, error: Exception) -> None:
        if self.error is not None:
            return
        self.error = CallbackError(
            f"the callback {_name(callback)} failed in {event}: {type(error).__name__}: {error}. The state "
            "is saved; the same call goes on from it"
        )
        self.error.__cause__ = error


def _nothing(*values: Any) -> None:
    pass


def _name(callback: Any) -> str:
    return type(callback).__qualname__


def _check(callback: Any) -> None:
    known = ", ".join(EVENTS)
    if inspect.isclass(callback):
        raise ConfigError(
            f"callbacks has the class {callback.__qualname__}; needed: an object, such as "
            f"{callback.__qualname__}()"
        )
    named = [name for name in dir(callback) if name.startswith("on_")]
    for name in named:
        if name not in EVENTS:
            raise ConfigError(
                f"the callback {_name(callback)} has a method {name}, which no run calls"
                f"{suggest(name, EVENTS)} Known: {known}."
            )
    if not any(callable(getattr(callback, name)) for name in named):
        raise ConfigError(
            f"callbacks has {callback!r}, which has none of the methods of reacgan.Callback: {known}"
        )
