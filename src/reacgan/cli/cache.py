"""``reacgan cache``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

_OTHERS = {
    "packs": "packed folders of images",
    "downloads": "downloaded data sets and weights",
    "extractors": "trained classifiers and converted weights",
}


def app() -> cyclopts.App:
    """The commands below ``cache``."""
    group = cyclopts.App(
        name="cache", help="Show what is cached between evaluations, or delete features of images."
    )
    group.default(show)
    group.command(clear)
    return group


def show() -> int:
    """Show what is cached between evaluations, its size and its last use."""
    from reacgan.evaluation.cache import FeatureCache  # noqa: PLC0415
    from reacgan.files import cache_root  # noqa: PLC0415
    from reacgan.reports.tables import Cell, aligned  # noqa: PLC0415

    cache = FeatureCache()
    rows = []
    for entry in cache.entries():
        extractor = entry.key.get("extractor")
        facts = extractor if isinstance(extractor, dict) else {}
        named = (str(facts.get("name") or ""), str(facts.get("weights") or "")[:8])
        name = " ".join(filter(None, named))
        used = datetime.fromtimestamp(entry.used).astimezone().strftime("%Y-%m-%d %H:%M")
        three = (str(entry.key.get("result", "")), name, entry.source)
        rows.append([*map(Cell, three), Cell(_megabytes(entry.size)), Cell(used)])
    if rows:
        head = ["what", "extractor", "of", "MB", "last used"]
        print("\n".join(aligned(head, rows)) + "\n")
    kept = {"features": ("of images", cache.root, cache.total_bytes)}
    for name, description in _OTHERS.items():
        kept[name] = description, cache_root() / name, _bytes_below(cache_root() / name)
    cells = [
        [Cell(name), Cell(description), Cell(_megabytes(size)), Cell(str(where))]
        for name, (description, where, size) in kept.items()
    ]
    print("\n".join(aligned(["kept", "what", "MB", "where"], cells)))
    print(f"features are kept up to {_megabytes(cache.limit_bytes)} MB (REACGAN_CACHE_GB)")
    return 0


def clear(
    *,
    older_than: Annotated[
        float | None, Parameter(validator=cyclopts.validators.Number(gte=0))
    ] = None,
) -> int:
    """Delete features of images, which are computed again when needed.

    Packed folders, downloads and classifiers stay; you may delete their folders.

    Parameters
    ----------
    older_than:
        Only what was not used for this many days.
    """
    from reacgan.evaluation.cache import FeatureCache  # noqa: PLC0415

    cache = FeatureCache()
    freed = cache.clear(older_than)
    print(f"freed {_megabytes(freed)} MB in {cache.root}")
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _bytes_below(folder: Path) -> int:
    """Size of the files in a folder and below; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
