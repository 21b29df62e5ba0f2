"""``reacgan report``."""

from __future__ import annotations

from pathlib import Path


def report(*runs: Path, out: Path | None = None, markdown: bool = False) -> int:
    """Write a page about runs or evaluations: scores by protocol, curves, classes, samples.

    Examples: reacgan report runs/mine | reacgan report runs/* evaluations/* --out all.html

    Parameters
    ----------
    runs:
        Folders that `reacgan train` or `reacgan evaluate` wrote.
    out:
        The file to write; by default report.html in the folder, or here for several folders.
    markdown:
        Only the tables of scores, as Markdown; printed where no --out is given.
    """
    from reacgan.config import ConfigError  # noqa: PLC0415
    from reacgan.files import write_text  # noqa: PLC0415
    from reacgan.reports import report as reports  # noqa: PLC0415
    from reacgan.reports.record import read_run  # noqa: PLC0415

    if not runs:
        raise ConfigError("no run is named; needed: one or several folders of runs or evaluations")
    if not markdown:
        print(f"report: {reports.write_report(runs, out)}")
        return 0
    table = reports.table_of([read_run(path) for path in dict.fromkeys(runs)])
    text = table.markdown() if table.blocks else "No scores yet.\n"
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"tables: {out}")
    return 0
