"""The progress of a run: a few moving lines on a terminal, plain lines in a log file."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from reacgan.files import PATIENCE
from reacgan.progress import Task, can_redraw, duration, in_words, time_left
from reacgan.text import one_line, plain_lines

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_TICK = 1.0
"""Seconds between two moves of the line."""
_BETWEEN_LINES = 15.0
"""Seconds between two lines on the same stage, where lines do not move."""
_SOON = 10.0
"""Seconds: where all images are seen, a shorter rest is no news."""
_BAR = (12, 30)
"""Narrowest and widest bar, in columns."""
_LOSSES = {
    "adversarial": "adversarial",
    "conditioning": "class",
    "augment_probability": "augmentation",
    "apa_probability": "fakes as real",
    "latent_cost": "move of z",
}
"""Words for parts of the losses; other terms go by their own names."""
LEGEND = (
    "losses: D tells real from generated (adversarial) and classes (class), G learns\n"
    "  to pass as real; none falls to zero, so judge by the sheets"
)


class Progress:
    """Prints the progress of a run.

    Args:
        total: images the run will see.
        start: images seen when this process begins.
        left: seconds until the minutes of this call are over, or None without a limit.
        quiet: print nothing.
        verbose: print details too, of memory, speed and statistics.
        stream: where to; standard error by default, so that results can be piped.
    """

    def __init__(
        self,
        total: int,
        start: int,
        *,
        left: Callable[[], float | None] = lambda: None,
        quiet: bool = False,
        verbose: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.total = total
        self.start = start
        self.left = left
        self.ahead: Callable[[int], tuple[float, bool]] = lambda seen: (0.0, True)
        """Seconds of scores and of the end that are ahead at a moment, and whether all are known."""
        self.apart: Callable[[], float] = lambda: 0.0
        """Seconds that scores have taken so far: they do not count towards the speed."""
        self.quiet = quiet
        self.verbose = verbose
        self.stream = stream or sys.stderr
        self.moving = can_redraw(self.stream)
        self._first: tuple[float, int] | None = None
        self._busy = self._eta = ""
        self._shown = start
        self._line: dict[str, Any] = {}
        self.stopping: Callable[[], bool] = lambda: False
        """Whether a signal has come, which says so itself, below lines that then move no more."""
        self._score = self._sheet = ""
        self._live: Live | None = None
        self._moved = -_TICK

    def begin(self) -> None:
        """Training begins now; the time before it does not count towards the speed."""
        self._first = None

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        self._leave_lines()
        # Another thread may say that it wrote a file while this one ends the lines.
        live = self._live
        if live is None:
            self.write(plain_lines(text) + "\n")
            return
        from rich.text import Text  # noqa: PLC0415

        live.console.print(Text(plain_lines(text)), soft_wrap=True)

    def detail(self, text: str) -> None:
        """A line for who asked for details."""
        if self.verbose:
            self.say(text)

    def scored(self, images_seen: int, text: str) -> None:
        """A score was measured."""
        self._score = f"score {text} at {images_seen:,}"
        self.say(f"{images_seen:>11,} images scored: {text}")

    def sheet(self, images_seen: int, path: Path) -> None:
        """A sheet was written; the last one may be the one of that moment."""
        if str(path) == self._sheet:
            return
        self._sheet = str(path)
        self.say(f"{images_seen:>11,} images sheet: {path}")

    def report(self, line: Mapping[str, Any]) -> None:
        """Print a line of the journal."""
        if self.quiet:
            return
        self._line = dict(line)
        seen = int(line["images_seen"])
        left = self._left(seen, self._speed(seen, line["images_per_second"]))
        if self.moving:
            self._show(seen, left)
        else:
            share, *facts = self._facts(seen, left)
            parts = [f"{seen:>11,} images {share:>4}", *facts, *losses_in_words(line)]
            self.write("  ".join(parts) + "\n")

    def tick(self, images_seen: int) -> None:
        """A cycle was made: moves the line of a terminal, once a second at most."""
        if not self.moving or self.quiet:
            return
        now = time.perf_counter()
        if now - self._moved < _TICK:
            return
        speed = self._measured(images_seen, self._now())
        self._show(images_seen, self._left(images_seen, speed))

    def busy(self, text: str) -> None:
        """Something beside the steps takes long; empty where it has ended.

        In a terminal the text is part of the moving lines.
        """
        if self.quiet:
            return
        self._busy = text
        if self.moving:
            self._show(self._shown, self._eta)
        elif text:
            self.write(f"  {plain_lines(text)}\n")

    def close(self) -> None:
        """End the moving lines."""
        self._leave_lines()
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _leave_lines(self) -> None:
        """Leave the lines where they are once a signal has written below them."""
        if self._live is not None and self.stopping():
            self._live = None

    def write(self, text: str) -> None:
        """Where the reader or the terminal is gone, printing ends and the run goes on."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            self.quiet = True

    def _show(self, seen: int, left: str) -> None:
        from rich.console import Group  # noqa: PLC0415

        self._leave_lines()
        if self.stopping():
            return
        columns = self._columns() - 1
        if self._live is None:
            self._live = _live_lines(self)
        self._live.console.width = columns + 1
        self._moved = time.perf_counter()
        self._shown, self._eta = seen, left
        lines = [self._first_line(seen, left, columns)]
        doing = [self._busy] if self._busy else []
        for parts in (losses_in_words(self._line), self._latest(columns), doing):
            if text := "  ".join(_fitting(parts, columns)):
                lines.append(_text(text, "dim"))
        self._live.update(Group(*lines), refresh=True)

    def _first_line(self, seen: int, left: str, columns: int) -> RenderableType:
        """A bar where there is room for it, and as many whole numbers as fit."""
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        texts = _fitting([f"{seen:,} images", *self._facts(seen, left)], columns)
        text = "  ".join(texts)
        room = columns - len(text) - 2
        if room < _BAR[0]:
            return _text(text)
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self.total, completed=seen, width=min(room, _BAR[1]))
        row.add_row(bar, _text(text))
        return row

    def _facts(self, seen: int, left: str) -> list[str]:
        speed = self._line.get("images_per_second")
        return [
            f"{seen / self.total:.0%}",
            *([f"{speed:,.0f}/s"] if speed is not None else []),
            *([f"ETA {left}"] if left else []),
        ]

    def _latest(self, columns: int) -> list[str]:
        """The last score and the last sheet, of which the name alone where its path has no room."""
        parts = [self._score] if self._score else []
        if self._sheet:
            room = columns - sum(len(part) + 2 for part in parts) - len("sheet ")
            name = self._sheet if len(self._sheet) <= room else Path(self._sheet).name
            parts.append(f"sheet {name}")
        return parts

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _left(self, seen: int, speed: float | None) -> str:
        """The time that is left until the very end; empty before a speed is known."""
        if speed is None:
            return ""
        more, known = self.ahead(seen)
        seconds = (self.total - seen) / speed + more
        if known and seconds < _SOON and round(100 * seen / self.total) == 100:
            return ""
        limit = self.left()
        if limit is not None and limit < seconds:
            return duration(max(limit, 1))
        return duration(max(seconds, 1)) + ("" if known else " + scores")

    def _speed(self, seen: int, training: float) -> float:
        """Images a second since the first line, but for scores; the steps before it are slower.

        For the first line itself: ``training``, the speed in the journal.
        """
        now = self._now()
        if self._first is None or seen <= self._first[1]:
            self._first = now, seen
        return self._measured(seen, now) or max(training, 1e-9)

    def _now(self) -> float:
        return time.perf_counter() - self.apart()

    def _measured(self, seen: int, now: float) -> float | None:
        if self._first is None:
            return None
        began, before = self._first
        if seen > before and now > began:
            return (seen - before) / (now - began)
        return self._line.get("images_per_second") or None


class _Patient:
    """A stream for rich whose failures end the printing, not the run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> int:
        if not self._progress.quiet:
            self._progress.write(text)
        return len(text)

    def flush(self) -> None:
        """:meth:`Progress.write` has done it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._progress.stream, name)


def _live_lines(progress: Progress) -> Live:
    """Lines of rich that are drawn again in place, by this thread alone."""
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console(
        file=cast(TextIO, _Patient(progress)), force_terminal=True, highlight=False, markup=False
    )
    live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    live.start()
    console.show_cursor(True)  # a process that is killed would leave it hidden
    return live


def _text(text: str, style: str = "") -> RenderableType:
    from rich.text import Text  # noqa: PLC0415

    return Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")


def _fitting(parts: Sequence[str], columns: int) -> list[str]:
    """As many parts as fit beside each other: no number is cut in two."""
    kept: list[str] = []
    for part in parts:
        if len("  ".join([*kept, part])) > columns:
            break
        kept.append(part)
    return kept


def losses_in_words(line: Mapping[str, Any]) -> list[str]:
    """The parts of the losses in a line of the journal: ``D adversarial 1.235``."""
    parts = []
    for key, value in line.items():
        network, separator, name = key.partition("/")
        unused = name == "conditioning" and value == 0  # a head without classes
        if separator and "score" not in name and not unused:
            words = _LOSSES.get(name, name.replace("_", " "))
            parts.append(f"{network.upper()} {words} {value:.3f}")
    return parts


class ScoreStages:
    """Shows the outermost stage of what goes on, such as the training of a classifier.

    Args:
        progress: of the run.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: dict[Task, tuple[float, float]] = {}

    def say(self, text: str) -> None:
        """A line that stays."""
        self._progress.say(text)

    def changed(self, stage: Task) -> None:
        """A stage has begun, advanced or ended."""
        now = time.monotonic()
        if stage.ended:
            self._open.pop(stage, None)
            if not self._open:
                self._progress.busy("")
            return
        outer = next(iter(self._open), stage)
        began, shown = self._open.setdefault(stage, (now, now))
        if outer is not stage or now - began < PATIENCE:
            return
        first = shown == began
        if now - shown >= (_TICK if self._progress.moving else _BETWEEN_LINES) or first:
            self._open[stage] = began, now
            self._progress.busy(f"{in_words(stage)}{time_left(stage, now - began)}")


@contextmanager
def told_if_long(what: str, *, quiet: bool) -> Iterator[None]:
    """Say what is going on where the block takes longer than :data:`reacgan.files.PATIENCE` seconds."""

    def tell() -> None:
        Progress(0, 0, quiet=quiet).say(f"{what}: {PATIENCE:.0f} s so far ...")

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
