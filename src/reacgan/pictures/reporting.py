"""``reacgan.report``: the page about runs, drawn pictures included."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from reacgan.config import ConfigError, DataConfig, Device, refuse_unwritable
from reacgan.data import ImageData
from reacgan.evaluation.reference import Reference
from reacgan.extractors import Extractor
from reacgan.files import write_text
from reacgan.pictures.writing import pictures as draw_pictures
from reacgan.progress import stage
from reacgan.reports import page
from reacgan.reports.record import read_run
from reacgan.reports.report import table_of, write_report
from reacgan.reports.words import sentences
from reacgan.text import escape


class HasFolder(Protocol):
    """What :func:`reacgan.train` returns."""

    @property
    def folder(self) -> Path:
        """Of the run."""


@dataclass(frozen=True)
class DrawnPictures:
    """What was drawn of a run into its ``pictures/``."""

    folder: Path | None
    """None for an evaluation, which has no generator to draw."""
    made: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why, by name."""


@dataclass(frozen=True)
class Report:
    """A written report; where a path is taken it stands for its file, and a notebook shows a link."""

    runs: tuple[Path, ...]
    path: Path | None
    """The page, or the file of the tables; None where tables were asked for and no file."""
    pictures: Mapping[Path, DrawnPictures] = field(default_factory=dict)
    """By run, where they were asked for."""

    @cached_property
    def tables(self) -> str:
        """All scores as Markdown, a table for each protocol; read at the first look."""
        table = table_of([read_run(run) for run in self.runs])
        return table.markdown() if table.blocks else "No scores yet.\n"

    def __fspath__(self) -> str:
        if self.path is None:
            raise ConfigError("this report has no file; report(..., out=FILE) writes one")
        return str(self.path)

    def __str__(self) -> str:
        return self.tables if self.path is None else str(self.path)

    def _repr_html_(self) -> str:
        """For notebooks: a link to the page, and of a single run what it says first."""
        if self.path is None:
            return f"<pre>{escape(self.tables)}</pre>"
        relative = Path(os.path.relpath(self.path)).as_posix()
        link = f'<p><a href="{escape(relative)}" target="_blank">{escape(relative)}</a></p>'
        return link + (page.lead(sentences(read_run(self.runs[0]))) if len(self.runs) == 1 else "")


def report(
    *runs: str | Path | HasFolder,
    out: str | Path | None = None,
    markdown: bool = False,
    pictures: bool = False,
    reference: str | Path | ImageData | DataConfig | Reference | None = None,
    extractor: Extractor | str | None = None,
    device: Device = "auto",
) -> Report:
    """Write one self-contained page about runs: plain words, sheets, scores, curves, settings.

    ``reacgan report`` is this. Several runs are compared: sheets side by side, curves in one figure, and
    what cannot be compared is said.

    Args:
        runs: folders that :func:`reacgan.train` or :func:`reacgan.evaluate` wrote, or what the former
            returned.
        out: the file to write; by default ``report.html`` in the folder, or in the current one for several.
        markdown: only the tables of scores, as Markdown: to ``out``, or only in ``tables`` of what is
            returned.
        pictures: first draw each run's ``pictures/``, also if they exist (nearest training images,
            walks, t-SNE, spectra); the page shows those that exist.
        reference: for pictures: real images, as :func:`reacgan.evaluate` takes them; the run's own test
            split by default.
        extractor: for pictures: nearest images by its features too (``domain``, ``inception``, ...).
        device: for pictures: as in :func:`reacgan.load`.

    Returns:
        Where the page is (``path``), what was drawn (``pictures``), the scores (``tables``).

    Raises:
        ConfigError: no run is named, a folder that is none of a run, or an option of pictures without them.
    """
    if not runs:
        raise ConfigError("no run is named; needed: one or several folders of runs or evaluations")
    if not pictures and (reference is not None or extractor is not None):
        raise ConfigError(
            "reference and extractor go with pictures, which are not asked for: pictures=True, "
            "on the command line --pictures"
        )
    if out is not None:
        refuse_unwritable(out, "file")
    folders = tuple(dict.fromkeys(Path(getattr(run, "folder", run)) for run in runs))  # type: ignore[arg-type]
    trained = {folder: bool(read_run(folder).experiment) for folder in folders}
    drawn = {}
    for folder in folders if pictures else ():
        drawn[folder] = DrawnPictures(None)
        if trained[folder]:
            target = folder / "pictures"
            options = {"reference": reference, "extractor": extractor, "device": device}
            made = draw_pictures(folder, target, **options)  # type: ignore[arg-type]
            drawn[folder] = DrawnPictures(target, tuple(made["pictures"]), made["skipped"])
    target_file = None if out is None else Path(out)
    if markdown:
        written = Report(folders, target_file, drawn)
        if target_file is not None:
            write_text(target_file, written.tables)
        return written
    with stage("writing the page"):
        return Report(folders, write_report(folders, target_file), drawn)
