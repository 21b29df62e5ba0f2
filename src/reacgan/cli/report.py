"""``reacgan report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reacgan.cli import bars
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import DeviceOfPictures, Named


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
    from reacgan.config import ConfigError, refuse_unwritable  # noqa: PLC0415
    from reacgan.files import write_text  # noqa: PLC0415
    from reacgan.progress import stage  # noqa: PLC0415

    with bars.loading():
        from reacgan.reports import report as reports  # noqa: PLC0415
    from reacgan.reports.record import read_run  # noqa: PLC0415

    if not runs:
        raise ConfigError("no run is named; needed: one or several folders of runs or evaluations")
    if out is not None:
        refuse_unwritable(out, "file")
    facts: dict[str, Any] = {}
    if pictures:
        options = {"reference": reference, "extractor": extractor, "device": device}
        with bars.shown():
            facts["pictures"] = {str(path): _draw(path, options) for path in dict.fromkeys(runs)}
    elif reference or extractor:
        raise ConfigError("--reference and --extractor go with --pictures, which is not given")
    if not markdown:
        with bars.shown(), stage("writing the page"):
            facts["report"] = reports.write_report(runs, out)
        answer(facts, f"{_drawn(facts)}report: {facts['report']}", as_json=json_)
        return 0
    table = reports.table_of([read_run(path) for path in dict.fromkeys(runs)])
    text = table.markdown() if table.blocks else "No scores yet.\n"
    facts |= {"markdown": text, "tables": out}
    if out is not None:
        write_text(out, text)
        text = f"tables: {out}\n"
    answer(facts, _drawn(facts) + text.removesuffix("\n"), as_json=json_)
    return 0


def _draw(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What was drawn of a run, and what was not."""
    from reacgan.pictures import pictures  # noqa: PLC0415
    from reacgan.reports.record import read_run  # noqa: PLC0415

    if not read_run(path).experiment:
        return {"folder": None, "made": [], "skipped": {}}
    made = pictures(path, path / "pictures", **options)
    return {
        "folder": path / "pictures",
        "made": list(made["pictures"]),
        "skipped": made["skipped"],
    }


def _drawn(facts: dict[str, Any]) -> str:
    """What a person reads of the pictures."""
    lines = []
    for path, drawn in facts.get("pictures", {}).items():
        if drawn["folder"] is None:
            lines.append(f"pictures: {path}: none, it is an evaluation and no run\n")
            continue
        lines.append(f"pictures: {drawn['folder']}: {', '.join(drawn['made'])}\n")
        lines += [f"  {name}: not made: {reason}\n" for name, reason in drawn["skipped"].items()]
    return "".join(lines)
