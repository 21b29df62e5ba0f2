"""``reacgan report``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reacgan.cli import bars
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import DeviceOfPictures, Named

if TYPE_CHECKING:
    from reacgan.pictures.reporting import DrawnPictures


def report(
    *runs: Path,
    out: Path | None = None,
    markdown: bool = False,
    pictures: bool = False,
    reference: Named | None = None,
    extractor: Named | None = None,
    device: DeviceOfPictures = "auto",
    json_: Json = False,
) -> int:
    """Write a page about runs: scores, curves, samples.

    Of runs and evaluations: scores by protocol, classes, settings; several are compared.

    Examples: reacgan report runs/mine | reacgan report runs/* evaluations/* --out all.html |
    reacgan report runs/mine --pictures --extractor domain

    Parameters
    ----------
    runs:
        Folders that `reacgan train` or `reacgan evaluate` wrote.
    out:
        The file to write; by default report.html in the folder, or in the current one for several.
    markdown:
        Only the tables of scores, as Markdown; printed where no --out is given.
    pictures:
        First draw each run's pictures/, also if they exist: a sheet, nearest training images,
        interpolations, t-SNE of the discriminator's features, spectra; numbers in pictures.json. The
        page shows those that exist.
    reference:
        For --pictures: real images, as in evaluate. The run's own test split by default.
    extractor:
        For --pictures: nearest images by its features too, as in evaluate: domain, inception ...
    json_:
        Print JSON instead of text.
    """
    with bars.loading():
        from reacgan.pictures import reporting  # noqa: PLC0415

    with bars.shown():
        written = reporting.report(
            *runs,
            out=out,
            markdown=markdown,
            pictures=pictures,
            reference=reference,
            extractor=extractor,
            device=device,
        )
    facts: dict[str, Any] = {"pictures": written.pictures} if pictures else {}
    drawn = _drawn(written.pictures)
    if not markdown:
        facts["report"] = written.path
        answer(facts, f"{drawn}report: {written.path}", as_json=json_)
        return 0
    facts |= {"markdown": written.tables, "tables": written.path}
    text = written.tables.removesuffix("\n") if out is None else f"tables: {out}"
    answer(facts, drawn + text, as_json=json_)
    return 0


def _drawn(pictures: Mapping[Path, DrawnPictures]) -> str:
    """What a person reads of the pictures."""
    lines = []
    for path, drawn in pictures.items():
        if drawn.folder is None:
            lines.append(f"pictures: {path}: none, it is an evaluation and no run\n")
            continue
        lines.append(f"pictures: {drawn.folder}: {', '.join(drawn.made)}\n")
        lines += [f"  {name}: not made: {reason}\n" for name, reason in drawn.skipped.items()]
    return "".join(lines)
