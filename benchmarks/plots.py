"""Draws the pictures of docs/performance.md from benchmarks/results.

python benchmarks/plots.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness
from reacgan.reports.palette import ACCENT, SECOND

FOLDER = harness.ROOT / "docs" / "images" / "performance"
OURS, THEIRS = ACCENT, "#b8b8b8"


def figure(columns: int, width: float = 8.0, height: float = 3.0) -> tuple[Any, Any]:
    """A figure without a screen, and its axes in a row."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=100, layout="constrained")
    axes = made.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return made, axes


def ratios(textbook: dict[str, Any], peers: dict[str, Any]) -> Any:
    """How many times as fast as a textbook step and as other packages; each turn a dot."""
    groups = [("textbook", textbook, "textbook"), ("peers", peers, "theirs")]
    names, values, dots, aims, colours = [], [], [], [], []
    for kind, record, base in groups:
        for case, held in record.get("cases", {}).items():
            for way, one in held["ways"].items():
                if way == base:
                    continue
                plain = way == "plain"
                names.append(f"{kind}: {case}" + (", plain" if plain else ""))
                values.append(one["times"])
                dots.append(one["times_of_turns"])
                aims.append(None if plain else held.get("target"))
                colours.append(THEIRS if plain else OURS)
    made, (axes,) = figure(1, height=0.6 + 0.35 * max(len(names), 1))
    places = list(range(len(names)))[::-1]
    axes.barh(places, values, color=colours, height=0.6)
    for place, held, aim in zip(places, dots, aims, strict=True):
        axes.plot(held, [place] * len(held), ".", color="black", markersize=3)
        if aim is not None:
            axes.plot([aim, aim], [place - 0.4, place + 0.4], color=SECOND, linewidth=2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlabel("times as fast (bar: median; dots: turns; orange: aim)", fontsize=8)
    axes.set_xlim(left=0)
    return made


def rooms(record: dict[str, Any]) -> Any:
    """Time of each room and the limit of its operations."""
    cases = record["cases"]
    made, axes = figure(len(cases), width=4.2 * len(cases) + 1, height=3.4)
    for one, (name, held) in zip(axes, cases.items(), strict=True):
        shown = {
            room: part
            for room, part in held.items()
            if room != "whole cycle" and part["seconds"] > 0.01 * held["whole cycle"]["seconds"]
        }
        places = list(range(len(shown)))[::-1]
        one.barh(
            places, [1e3 * p["seconds"] for p in shown.values()], color=THEIRS, label="measured"
        )
        limits = [1e3 * p["limit_seconds"] for p in shown.values()]
        one.barh(places, limits, height=0.4, color=OURS, label="limit of its operations")
        one.set_yticks(places, list(shown), fontsize=8)
        one.set_title(name, fontsize=9)
        one.set_xlabel("ms", fontsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    return made


def growth(record: dict[str, Any]) -> Any:
    """images/s over batch, width, resolution (megapixels/s) and classes (with memory)."""
    held = record["axes"]
    made, axes = figure(len(held), width=2.6 * len(held), height=2.6)
    for one, (axis, points) in zip(axes, held.items(), strict=True):
        by_pixels = axis == "resolution"
        key = "megapixels_per_second" if by_pixels else "images_per_second"
        values = [point["value"] for point in points]
        one.plot(values, [point[key] for point in points], "o-", color=OURS, markersize=3)
        one.set_xscale("log", base=10 if axis == "classes" else 2)
        one.set_xticks(values, [f"{value:,}" for value in values], fontsize=7)
        one.minorticks_off()
        one.set_title(
            "megapixels/s" if by_pixels else "images/s", fontsize=8, color=OURS, loc="left"
        )
        one.set_xlabel(axis, fontsize=8)
        if axis == "width":
            one.set_yscale("log", base=2)
        else:
            one.set_ylim(0, 1.08 * max(point[key] for point in points))
        if axis == "classes" and "peak_mib" in points[0]:
            other = one.twinx()
            peaks = [point["peak_mib"] for point in points]
            other.plot(values, peaks, "s--", color=SECOND, markersize=3)
            other.set_ylim(0, 1.08 * max(peaks))
            other.spines["top"].set_visible(False)
            other.tick_params(labelsize=7, colors=SECOND)
            other.set_title("peak MiB", fontsize=8, color=SECOND, loc="right")
    return made


def main() -> None:
    """Draw what there are results for."""
    drawn = {}
    textbook, peers = harness.read("textbook"), harness.read("peers")
    if textbook or peers:
        drawn["ratios"] = ratios(textbook, peers)
    if held := harness.read("roofline"):
        drawn["rooms"] = rooms(held)
    if held := harness.read("scaling"):
        drawn["growth"] = growth(held)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, made in drawn.items():
        path = FOLDER / f"{name}.png"
        made.savefig(path, metadata={"Software": None})
        print(path)


if __name__ == "__main__":
    main()
