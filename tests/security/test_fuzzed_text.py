"""Damaged and hostile texts of every kind that is read: a plain error, soon, in little memory.

The default suite tries some 800 in all, ``slow`` 20,000 of each kind. One case again::

    python tests/security/test_fuzzed_text.py KIND NUMBER
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from text_mutations import aliased, mutated

from reacgan.config import (
    ConfigError,
    check_changes,
    load_experiment,
    parse_assignments,
    with_overrides,
)
from reacgan.data.tables import TABLE_LISTERS
from reacgan.evaluation.scores import Score, read_scores
from reacgan.experiments import EXPERIMENTS
from reacgan.history import read_records
from reacgan.hub.folder import read_config
from reacgan.hub.places import line_of
from reacgan.reports.record import read_run
from reacgan.reports.report import table_of
from reacgan.reports.words import sentences
from reacgan.sharing.card import missing, section_of
from reacgan.suites.results import read_result

SECONDS = 1.0
KIBIBYTES = 256 * 1024


class Kind(NamedTuple):
    """A kind of text: whole ones, and what reads the file of one."""

    name: str
    whole: list[bytes]
    read: Callable[[Path], object]
    names_file: bool = True


EXPERIMENT = EXPERIMENTS["digits/reacgan"].to_json()
YAML = b"""
# mine.yaml
name: mine
data: &data {name: folder, path: photos/, resolution: 64, options: {white: null}}
model:
  generator: {name: biggan, width: 16, attention_after: [3]}
  backbone: {name: biggan, width: 16, attention_after: [1]}
  head: {name: d2dce, embedding_dim: 512, temperature: 0.5, margin: 0.98}
loss: {adversarial: hinge, conditioning_weight: 0.5}
augment: {name: diffaug}
penalties: {r1: {weight: 10, every: 16}}
consistency: [cr, bcr]
training:
  images: 2_000_000
  batch: 64
  generator: {lr: 2e-4, betas: [0.0, 0.999]}
scores: {every: 1e4, metrics: [fid, kid]}
"""
SETTINGS = [
    b"training.batch=32", b"model.head.name=projection", b"data.path=~/photos", b"data.resolution=[32, 48]",
    b"penalties={r1: {weight: 10}}", b"augment={name: ada, target: 0.6}", b"penalties.r1.weight=1e1",
    b"model.head.over.name=d2dce", b"model.generator.attention_after=[1, 2]", b"scores.metrics=fid,kid",
]  # fmt: skip
SCORE = Score(
    "fid",
    12.5,
    "lower",
    {
        "extractor": {"name": "inception", "weights": "0123456789abcdef", "type": "uint8"},
        "fake": {"images": 5000, "labels": "uniform", "seed": 0},
        "reference": {"images": 1000, "name": "digits", "split": "test", "digest": "ab" * 16},
        "metric": {"k": 5},
        "selection": {"checkpoint": "each", "during": "training"},
    },
    low=12.0,
    high=13.0,
    details={"classes": {"cat": 1.5, "dog": 2.5}},
    notes=("a note",),
    subject="run",
    images_seen=1000,
    time="2026-01-01T00:00:00+00:00",
)
SCORES = "".join(
    f"{line}\n"
    for line in (SCORE.to_line(), Score("top1", 0.5, "higher", SCORE.protocol).to_line())
).encode()
JOURNAL = (
    b"".join(
        json.dumps(
            {
                "images_seen": seen,
                "images_per_second": 100.0,
                "d/adversarial": 1.0,
                "g/conditioning": 0.5,
                "watch": {"fake_variety": 0.5},
            }
        ).encode()
        + b"\n"
        for seen in (100, 200)
    )
    + b'{"images_seen": 200, "event": "alarm", "kind": "collapse"}\n'
)
CONFIG = json.dumps(
    {
        "format": 1,
        "experiment": json.loads(EXPERIMENT),
        "class_names": ["cat", "dog"],
        "images_seen": 1000,
        "sha256": "ab" * 32,
        "statistics": {"kind": "own", "distance": 0.5},
        "white": None,
    }
).encode()
CARD = b"""---
library_name: reacgan
license: mit
tags: [gan, class-conditional]
model-index:
- name: x
  results: []
---

# x

## Use

text
"""


def _as_assignment(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    changes = parse_assignments([text])
    with suppress(ConfigError):
        check_changes(changes)
    with_overrides(EXPERIMENTS["digits/reacgan"], changes).to_json()


def _as_experiment(path: Path) -> None:
    load_experiment(path).to_json()


def _as_table(path: Path) -> None:
    TABLE_LISTERS[path.suffix](str(path), split="train")


def _as_journal(path: Path) -> None:
    read_records(path).to_dict()
    sentences(read_run(path.parent))


def _as_scores(path: Path) -> None:
    read_scores(path)
    run = read_run(path.parent)
    sentences(run)
    table_of([run]).markdown()


def _as_run(path: Path) -> None:
    run = read_run(path.parent)
    sentences(run)
    load_experiment(path)


def _as_config(path: Path) -> None:
    line_of(path)
    read_config(path.parent)


def _as_card(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    missing(text)
    section_of(text, "Training")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("mine.yaml", [YAML, aliased().encode()], _as_experiment),
        Kind("mine.json", [EXPERIMENT.encode()], _as_experiment),
        Kind("assignment", SETTINGS, _as_assignment, names_file=False),
        Kind("table.csv", [b"path,label,split\n1.png,cat,train\n2.png,dog,train\n3.png,cat,test\n"],
             _as_table),
        Kind("table.tsv", [b'path\tlabel\n1.png\tcat\n"2.png"\tdog\n'], _as_table),
        Kind("table.jsonl", [b'{"path": "1.png", "label": "cat"}\n{"path": "2.png", "label": 7}\n'],
             _as_table),
        Kind("dataset.json", [b'{"labels": [["1.png", 0], ["2.png", [0, 1]], ["3.png", "cat"]]}'],
             _as_table),
        Kind("journal.jsonl", [JOURNAL], _as_journal),
        Kind("scores.jsonl", [SCORES], _as_scores),
        Kind("experiment.json", [EXPERIMENT.encode()], _as_run),
        Kind("config.json", [CONFIG], _as_config),
        Kind("README.md", [CARD, b"---\n" + aliased().encode() + b"---\n\n# x\n"], _as_card),
        Kind("result.json", [b'{"format": 1, "command": "x", "status": "done", "metrics": {"a": 1}}'],
             lambda path: read_result(path.parent)),
    )
}  # fmt: skip


def prepared(kind: Kind, folder: Path) -> Path:
    """The file of a kind in a folder with what its reader looks for beside it."""
    for number in (1, 2, 3):
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(picture, format="PNG")
        (folder / f"{number}.png").write_bytes(picture.getvalue())
    (folder / "experiment.json").write_text(EXPERIMENT)
    return folder / kind.name


def fault_of(kind: Kind, file: Path, number: int) -> str | None:
    """What is wrong with how a mutated text is read, or None."""
    file.write_bytes(mutated(kind.whole, number))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    try:
        kind.read(file)
    except ConfigError as error:
        if kind.names_file and file.name not in str(error):
            return f"does not name the file: {str(error)[:300]}"
    except Exception:
        return "".join(traceback.format_exc()[-1500:])
    took = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if took > SECONDS:
        return f"took {took:.1f} s"
    return f"took {grown:,} KiB" if grown > KIBIBYTES else None


def faults(kind: Kind, folder: Path, numbers: range) -> dict[int, str]:
    """The faults by number."""
    file = prepared(kind, folder)
    reached = {number: fault_of(kind, file, number) for number in numbers}
    return {number: fault for number, fault in reached.items() if fault}


@pytest.mark.parametrize("name", KINDS)
def test_some_damaged_texts(name: str, tmp_path: Path) -> None:
    assert faults(KINDS[name], tmp_path, range(60)) == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", KINDS)
def test_many_damaged_texts(name: str, tmp_path: Path) -> None:
    assert faults(KINDS[name], tmp_path, range(20_000)) == {}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        wanted = KINDS[sys.argv[1]]
        first, last = (
            int(sys.argv[2]),
            int(sys.argv[3]) if len(sys.argv) > 3 else int(sys.argv[2]) + 1,
        )
        seen = faults(wanted, Path(where), range(first, last))
        short = {
            fault.strip().rpartition("\n")[2][:200]: (number, fault)
            for number, fault in seen.items()
        }
        for number, fault in short.values():
            print(f"== {wanted.name} {number}\n{fault[-900:]}")
        print(f"{wanted.name}: {len(seen)} faults of {last - first}")
