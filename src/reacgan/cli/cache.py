"""``reacgan cache``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from reacgan.cli.answers import Json, answer

if TYPE_CHECKING:
    from reacgan.evaluation.cache import CacheEntry

_OTHERS = {
    "packs": "packed folders of images",
    "shards": "shards of elsewhere, up to REACGAN_SHARDS_GB",
    "downloads": "downloaded data sets and weights",
    "extractors": "trained classifiers and converted weights",
}


def app() -> cyclopts.App:
    """The commands below ``cache``."""
    group = cyclopts.App(name="cache", help="Show what is cached, or delete features of images.")
    group.default(show)
    group.command(clear)
    return group


def show(*, json_: Json = False) -> int:
    """Show what is cached between evaluations, its size and its last use.

    Parameters
    ----------
    json_:
        Print JSON instead of text.
    """
    from reacgan.evaluation.cache import FeatureCache  # noqa: PLC0415
    from reacgan.files import cache_root  # noqa: PLC0415

    cache = FeatureCache()
    entries = [_entry(entry) for entry in cache.entries()]
    kept: list[dict[str, Any]] = [
        {"name": "features", "what": "of images", "bytes": cache.total_bytes, "folder": cache.root}
    ]
    for name, what in _OTHERS.items():
        folder = cache_root() / name
        kept.append({"name": name, "what": what, "bytes": _bytes_below(folder), "folder": folder})
    facts: dict[str, Any] = {"entries": entries, "kept": kept, "limit_bytes": cache.limit_bytes}
    answer(facts, lambda: _text(**facts), as_json=json_)
    return 0


def _entry(entry: CacheEntry) -> dict[str, Any]:
    extractor = entry.key.get("extractor")
    facts = extractor if isinstance(extractor, dict) else {}
    named = (str(facts.get("name") or ""), str(facts.get("weights") or "")[:8])
    return {
        "what": str(entry.key.get("result", "")),
        "extractor": " ".join(filter(None, named)),
        "of": entry.source,
        "bytes": entry.size,
        "last_used": datetime.fromtimestamp(entry.used).astimezone().isoformat(timespec="seconds"),
    }


def _text(entries: list[dict[str, Any]], kept: list[dict[str, Any]], limit_bytes: int) -> str:
    from reacgan.reports.cells import Cell, aligned  # noqa: PLC0415

    lines = []
    if entries:
        rows = [
            [*(Cell(entry[key]) for key in ("what", "extractor", "of")),
             Cell(_megabytes(entry["bytes"])), Cell(entry["last_used"][:16].replace("T", " "))]
            for entry in entries
        ]  # fmt: skip
        lines = [*aligned(["what", "extractor", "of", "MB", "last used"], rows), ""]
    cells = [
        [Cell(part["name"]), Cell(part["what"]), Cell(_megabytes(part["bytes"])),
         Cell(str(part["folder"]))]
        for part in kept
    ]  # fmt: skip
    lines += aligned(["kept", "what", "MB", "where"], cells)
    limit = _megabytes(limit_bytes)
    return "\n".join([*lines, f"features are kept up to {limit} MB (REACGAN_CACHE_GB)"])


def clear(
    *,
    older_than: Annotated[
        float | None, Parameter(validator=cyclopts.validators.Number(gte=0))
    ] = None,
    json_: Json = False,
) -> int:
    """Delete features of images, which are computed again when needed.

    What killed processes have left in the cache goes too, and downloads that were broken off a day ago.
    Packed folders, downloads and classifiers stay; you may delete their folders.

    Parameters
    ----------
    older_than:
        Only what was not used for this many days.
    json_:
        Print JSON instead of text.
    """
    from reacgan.evaluation.cache import FeatureCache  # noqa: PLC0415
    from reacgan.files import cache_root  # noqa: PLC0415
    from reacgan.leftovers import sweep_below  # noqa: PLC0415

    cache = FeatureCache()
    freed, left = cache.clear(older_than), sweep_below(cache_root(), partial=".part")
    facts = {"freed_bytes": freed + left, "left_by_killed": left, "folder": cache.root}
    lines = [f"freed {_megabytes(freed)} MB in {cache.root}"]
    if left:
        lines.append(
            f"freed {_megabytes(left)} MB in {cache_root()}, left by processes that were killed"
        )
    answer(facts, "\n".join(lines), as_json=json_)
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _bytes_below(folder: Path) -> int:
    """Size of the files in a folder and below; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
