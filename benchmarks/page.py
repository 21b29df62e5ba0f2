"""Writes the tables of docs/performance.md from benchmarks/results.

    python benchmarks/page.py              # after any benchmark; `make bench` does it

Between ``<!-- table:NAME -->`` and ``<!-- end -->`` stands what was made from ``NAME.json``; the rest of the
page is written by hand. A test fails where page and results differ.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness

PAGE = harness.ROOT / "docs" / "performance.md"
MARKED = re.compile(r"(<!-- table:([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
LABELS = {
    "ours": "ours",
    "plain": "ours, `--speed plain`",
    "textbook": "textbook",
    "theirs": "theirs",
}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def measured(record: dict[str, Any]) -> str:
    """One line: when, and on what."""
    held = record["environment"]
    return (
        f"Measured {held['date']}: {held['processor']}, {held['cpu_threads']} threads, "
        f"{held.get('cpu', '')}, torch {held['torch']}, Python {held['python']}.\n"
    )


def turns(record: dict[str, Any]) -> str:
    """A warning where the medians are of few turns."""
    first = next(iter(record["cases"].values()))["ways"]
    count = len(next(iter(first.values()))["seconds_of_turns"])
    return "" if count >= 5 else f"**Only {count} turn(s): a quick look, to be measured again.** "


def textbook(record: dict[str, Any]) -> str:
    """Ours, ours with all off, and the textbook."""
    rows = []
    for name, case in record["cases"].items():
        for way, held in case["ways"].items():
            target = f" (aim {case['target']})" if way == "ours" and "target" in case else ""
            rows.append(
                [
                    name if way == next(iter(case["ways"])) else "",
                    LABELS[way],
                    f"{held['seconds']:.3f}",
                    f"{case['batch'] / held['seconds']:.1f}",
                    f"{held['times']:.2f} x{target}",
                    f"{held['peak_beyond_imports_mib']:,.0f} MiB ({held['memory']:.2f} x)",
                ]
            )
    heads = ("CIFAR10 ReACGAN", "step", "s", "images/s", "times as fast", "memory")
    return table(heads, rows) + "\n" + turns(record) + measured(record)


def peers(record: dict[str, Any]) -> str:
    """Ours and theirs, then what differs."""
    rows = []
    for name, case in record["cases"].items():
        ours, theirs = case["ways"]["ours"], case["ways"]["theirs"]
        sizes = [f"{ours[key]:,} / {theirs[key]:,}" for key in ("generator", "discriminator")]
        rows.append(
            [
                name,
                *sizes,
                f"{case['batch'] / ours['seconds']:.1f}",
                f"{case['batch'] / theirs['seconds']:.1f}",
                f"{ours['times']:.2f} x (aim {case['target']:g})",
            ]
        )
    heads = (
        "case", "weights of G, ours / theirs", "of D", "images/s, ours", "theirs", "times as fast"
    )  # fmt: skip
    told = "".join(
        f"- **{name}** ({held['package']}): {held['what']}. Widths: {held['widths']}. What differs: "
        f"{held['differs']}.\n"
        for name, held in record["peers"].items()
    )
    return table(heads, rows) + "\n" + told + "\n" + turns(record) + measured(record)


def roofline(record: dict[str, Any]) -> str:
    """The machine's rates, then a table of rooms a case."""
    rates = record["rates"]
    text = (
        f"The machine: {rates['matrix'] / 1e9:.0f} G multiplications/s in a float32 matrix product, "
        f"{rates['convolution'] / 1e9:.0f} G in the best 3x3 convolution; {rates['copy'] / 1e9:.1f} GB/s "
        f"copied, {rates['triad'] / 1e9:.1f} GB/s in a + s b.\n\n"
    )
    heads = ("room", "G mult.", "GB", "operations", "ms", "of mult. rate", "of limit")
    for name, rooms in record["cases"].items():
        rows = [
            [
                f"**{room}**" if room == "whole cycle" else room,
                f"{held['multiplications'] / 1e9:.2f}",
                f"{held['bytes'] / 1e9:.2f}",
                f"{held['operations']:,}",
                f"{1000 * held['seconds']:.1f}",
                f"{held['of_multiplications']:.0%}",
                f"{held['of_limit']:.0%}",
            ]
            for room, held in rooms.items()
        ]
        text += f"{name[0].upper()}{name[1:]}:\n\n{table(heads, rows)}\n"
    return text + measured(record)


def scaling(record: dict[str, Any]) -> str:
    """A row an axis."""
    rows = []
    for axis, points in record["axes"].items():
        by_pixels = axis == "resolution"
        key = "megapixels_per_second" if by_pixels else "images_per_second"
        cells = [f"{p['value']:,}: {p[key]:.{2 if by_pixels else 0}f}" for p in points]
        rows.append([axis, "megapixels/s" if by_pixels else "images/s", ", ".join(cells)])
        if axis == "classes":
            peaks = [f"{p['value']:,}: {p['peak_mib']:,.0f}" for p in points]
            rows.append(["", "peak MiB", ", ".join(peaks)])
    return table(("axis", "", "value: measured"), rows) + "\n" + measured(record)


def heads(record: dict[str, Any]) -> str:
    """A row a head."""
    rows = [
        [
            f"`{held['head']}`" + (" (classifier)" if held["classifier"] else ""),
            f"{held['table_mib']:.1f}",
            f"{held['peak_mib']:.0f}",
            f"{max(held['of_batch_times_classes'], 0.0) + 0.0:.1f}",
        ]
        for held in record["heads"]
    ]
    told = record["heads"][-1]
    names = ("head", "weights, MiB", "peak, MiB", "numbers for each sample and class")
    what = f"{told['classes']:,} classes, {told['batch']:,} real and as many fake samples.\n"
    return table(names, rows) + "\n" + what


def overhead(record: dict[str, Any]) -> str:
    """A row a case."""
    rows = [
        [
            f"`{held['experiment']}`",
            str(held["threads"]),
            f"{held['bare']['images_per_second']:,.1f}",
            f"{held['command']['images_per_second']:,.1f}",
            f"{held['overhead_of_seconds']:+.1%}",
            f"{held['overhead_of_processor_seconds']:+.1%}",
            f"{held['command']['start_up_seconds']:.1f} s",
        ]
        for held in record["cases"]
    ]
    names = (
        "experiment", "threads", "bare, images/s", "command", "overhead", "of processor time", "start-up"
    )  # fmt: skip
    return table(names, rows) + "\n" + measured(record)


def train_step(*records: dict[str, Any]) -> str:
    """A row a case of every train_step-*.json."""
    rows = []
    for record in records:
        for case in record["cases"]:
            rows.append(
                [
                    f"`{case['experiment']}`",
                    f"{case['batch']} x {case['d_steps']}",
                    case["precision"],
                    f"{case['cycle_seconds']:.3f}",
                    f"{case['images_per_second']:,.1f}",
                    f"{case['peak_memory_mib']:,} MiB",
                    parts(case["parts_seconds"]),
                    record["date"],
                ]
            )
    names = (
        "experiment", "batch x D steps", "precision", "s/cycle", "images/s", "peak memory", "where the time goes",
        "date",
    )  # fmt: skip
    return table(names, rows)


def parts(seconds: dict[str, float]) -> str:
    """The largest shares."""
    whole = sum(seconds.values())
    largest = sorted(seconds.items(), key=lambda held: -held[1])[:3]
    return ", ".join(f"{name} {value / whole:.0%}" for name, value in largest)


def data(record: dict[str, Any]) -> str:
    """Ratios, then how sets of many sizes are served."""
    rows = [[name, f"{value:.2f} x"] for name, value in record["ratios"].items()]
    sets = [
        [f"{int(size):,}", f"{held['start_seconds']:.3f}", f"{held['images_per_second']:,}"]
        for size, held in record["sets"].items()
    ]
    return (
        table(("what", "times as fast"), rows)
        + "\n"
        + table(("images in the set, mapped", "s to the first batch", "images/s"), sets)
        + "\n"
        + measured(record)
    )


TABLES: dict[str, tuple[Sequence[str], Callable[..., str]]] = {
    "textbook": (("textbook",), textbook),
    "peers": (("peers",), peers),
    "roofline": (("roofline",), roofline),
    "scaling": (("scaling",), scaling),
    "heads": (("scaling",), heads),
    "overhead": (("overhead",), overhead),
    "data": (("data",), data),
    "train-step": (
        ("train_step-cpu-cifar10-reacgan", "train_step-cpu-cifar10-small-reacgan"),
        train_step,
    ),
}


def content(name: str, folder: Path = harness.RESULTS) -> str:
    """What stands between the markers of a table."""
    files, make = TABLES[name]
    records = [held for held in (harness.read(file, folder) for file in files) if held]
    if not records or (name == "heads" and not records[0]["heads"]):
        return "Not measured yet.\n"
    return make(*records)


def page(text: str, folder: Path = harness.RESULTS) -> str:
    """The page with its tables made anew."""
    return MARKED.sub(lambda found: found[1] + content(found[2], folder) + found[4], text)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
