"""Data sets that the page makes: each in a thread of its own, which gives way to others between passes."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reacgan.app import checks
from reacgan.app.studio import Exhibit, PictureRecipe, Studio
from reacgan.config import ConfigError
from reacgan.generated import FORMS, GeneratedSet, generate_dataset

KEPT = 3
"""Zips that stay until they are fetched; the oldest goes first."""
ZIP = "zip to save"
_REMEMBERED = 100
"""Data sets whose end can still be asked for."""
_END_SECONDS = 30


@dataclass(frozen=True)
class SetOrder:
    """A data set that is asked for: ``count`` images of each class, from the recipe's seed on.

    Raises:
        ConfigError: more images or bytes than the limits of :mod:`reacgan.app.checks`.
    """

    exhibit: Exhibit
    first: PictureRecipe
    """Its class does not matter."""
    labels: Sequence[int]
    count: int
    name: str
    form: str
    """One of :data:`reacgan.generated.FORMS`."""

    def __post_init__(self) -> None:
        channels, height, width = self.exhibit.shape
        most = min(checks.MAX_SET, checks.SET_BYTES // (channels * height * width))
        if self.total > most:
            raise ConfigError(
                f"{self.count:,} images of {len(self.labels):,} classes are {self.total:,}; allowed on "
                f"this page: {most:,} in all. `reacgan generate` has no such limit"
            )

    @property
    def total(self) -> int:
        """Images in all."""
        return self.count * len(self.labels)

    @property
    def file(self) -> str:
        """The name of what is written."""
        return f"{self.name}.zip" if self.form == "zip" else self.name


class SetJob:
    """Makes a data set; what it has begun is removed where it is stopped or fails."""

    def __init__(self, order: SetOrder, path: Path, session: str, turn: threading.Lock) -> None:
        self.order = order
        self.path = path
        self.session = session
        self.done = 0
        """Images made by now."""
        self._turn = turn
        self._stopping = threading.Event()
        self._made: GeneratedSet | Exception | None = None
        # A page that ends waits for it in DataSets.close; nothing else may wait for it.
        self._thread = threading.Thread(target=self._make, name="data set", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """It ends after the pass at hand."""
        self._stopping.set()

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> GeneratedSet:
        """What was made, once it has ended; raises what ended it."""
        if isinstance(self._made, GeneratedSet):
            return self._made
        raise self._made or RuntimeError("the data set is not ready")

    def _make(self) -> None:
        try:
            self._made = generate_dataset(
                self.order.exhibit.model,
                self.path,
                to=self.order.form,
                num=self.order.count,
                classes=self.order.labels,
                settings=self.order.first.settings(),
                progress=self._progress,
                should_stop=self._stopping.is_set,
                keep=False,
                turn=self._turn,
            )
        except Exception as error:  # raised again where somebody asks for the result
            self._made = error

    def _progress(self, done: int, total: int) -> None:
        del total
        self.done = done


class DataSets:
    """Where data sets of the page go, and those that are being made; ends with its block.

    Args:
        studio: its models, and the lock of their passes.
        scratch: where zips lie until they are fetched.
        out: where the other forms are written; None for zips alone.
    """

    def __init__(self, studio: Studio, scratch: Path, out: Path | None) -> None:
        self.studio = studio
        self.scratch = scratch
        self.out = out
        self.kinds = [ZIP, *(form for form in FORMS if out is not None and form != "zip")]
        """The forms as the page names them."""
        self._zips: list[Path] = []
        self._jobs: deque[SetJob] = deque(maxlen=_REMEMBERED)

    def __enter__(self) -> DataSets:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what is being made, and wait until it is removed."""
        for job in self._jobs:
            job.stop()
        for job in self._jobs:
            job.ended(_END_SECONDS)

    def start(self, order: SetOrder, session: str) -> SetJob:
        """Begin to make one for a person's page."""
        path = self._new_zip(order.file) if order.form == "zip" else self._folder() / order.file
        job = SetJob(order, path, session, self.studio.lock)
        self._jobs.append(job)
        return job

    def stop(self, session: str) -> SetJob | None:
        """Stop the last one of a person's page, and wait for its end; None where there was none."""
        job = next((job for job in reversed(self._jobs) if job.session == session), None)
        if job is not None:
            job.stop()
            job.ended(_END_SECONDS)
        return job

    def _folder(self) -> Path:
        if self.out is None:
            raise ConfigError(f"this page makes no folders; allowed: {ZIP}")
        return self.out

    def _new_zip(self, name: str) -> Path:
        """A path that nobody can guess; what was fetched long ago goes."""
        while len(self._zips) >= KEPT:
            shutil.rmtree(self._zips.pop(0).parent, ignore_errors=True)
        path = self.scratch / secrets.token_hex(16) / name
        self._zips.append(path)
        return path
