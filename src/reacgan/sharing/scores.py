"""Scores in a card: with their whole protocol, beside those of real images, and how to repeat them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from reacgan.config import DataConfig
from reacgan.evaluation.protocols import describe, describe_settings
from reacgan.evaluation.scores import Score, canonical, comparable, protocol_id
from reacgan.reports.text import Cell, markdown_rows, safe
from reacgan.sharing.record import without_paths

_ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
_EMBEDDED = ("digits", "glyphs")


def scores_of(scores: Sequence[Score], images_seen: int) -> list[Score]:
    """Those of a state, and those of real images for scale; of each only the newest, paths shortened.

    Scores that chose a state during training are left out: a state is not reported on what chose it.
    """
    newest: dict[str, Score] = {}
    for score in scores:
        if score.images_seen == images_seen or is_real(score):
            if _part(score, "selection").get("checkpoint") != "each":
                told = [score.metric, is_real(score), _part(score, "fake").get("seed")]
                key = canonical([*told, comparable(score.protocol)])
                if key not in newest or score.time >= newest[key].time:
                    newest[key] = score
    kept = (without_paths(json.loads(score.to_line())) for score in newest.values())
    return [Score.from_line(json.dumps(held)) for held in kept]


def is_real(score: Score) -> bool:
    """Whether it is of real images in the place of generated ones."""
    return score.images_seen is None and score.subject.startswith("real images")


def real_beside(score: Score, scores: Sequence[Score]) -> Score | None:
    """The same metric of real images: with the same extractor, reference and count."""
    for other in scores:
        if is_real(other) and other.metric == score.metric:
            same = all(
                _plain(other, key) == _plain(score, key)
                for key in ("extractor", "reference", "metric")
            )
            if same and _part(other, "fake").get("images") == _part(score, "fake").get("images"):
                return other
    return None


def scores_section(scores: Sequence[Score], name: str, data: DataConfig) -> str:
    """Tables by protocol, as Markdown."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if not is_real(score):
            groups.setdefault(canonical(shared_protocol(score)), []).append(score)
    return "\n\n".join(_block(group, scores, name, data) for group in groups.values())


def evaluate_command(score: Score, name: str, data: DataConfig, *, real: bool) -> str:
    """The one command that measures it again."""
    fake, reference, generator = (_part(score, key) for key in ("fake", "reference", "generator"))
    chain = generator.get("langevin") or {}
    words = ["reacgan", "evaluate", name]
    if data.name not in _EMBEDDED:
        words += ["--reference", "IMAGES", *_resolution(reference)]
    options = {
        "extractor": (_part(score, "extractor").get("name"), "inception"),
        "num": (fake.get("images"), reference.get("images")),
        "labels": (fake.get("labels"), "reference"),
        "seed": (fake.get("seed"), 0),
        "statistics": (generator.get("batch_norm"), "auto"),
        "truncation": (generator.get("truncation"), None),
        "psi": (generator.get("psi"), None),
        "psi-layers": (generator.get("layers"), None),
        "langevin": (chain.get("steps"), None),
        "langevin-rate": (chain.get("rate"), 0.01),
        "langevin-noise": (chain.get("noise"), 1.0),
        "split": ("train" if reference.get("split") == "train" else None, None),
    }
    for option, (value, usual) in options.items():
        if value not in (None, usual):
            words += [f"--{option}", str(value)]
    return shlex.join([*words, *(["--real"] if real else [])])


def _resolution(reference: Mapping[str, Any]) -> list[str]:
    """The size that the reference had, which may lie there in another one."""
    size = reference.get("size")
    if not isinstance(size, list | tuple) or len(size) != 2:
        return []
    height, width = size
    return ["--resolution", str(width) if height == width else f"{height}x{width}"]


def _block(group: list[Score], scores: Sequence[Score], name: str, data: DataConfig) -> str:
    beside = [real_beside(score, scores) for score in group]
    real = any(one is not None for one in beside)
    head = ["score", "value", "interval", *(["real images"] if real else []), "settings"]
    rows = []
    for score, other in zip(group, beside, strict=True):
        scale = [Cell(number(other.value) if other else "")] if real else []
        interval = (
            f"{number(score.low)} to {number(score.high)}"
            if score.low is not None and score.high is not None
            else ""
        )
        rows.append(
            [
                Cell(f"{score.metric} {_ARROWS[score.better]}".strip()),
                Cell(number(score.value)),
                Cell(interval),
                *scale,
                Cell(describe_settings(_part(score, "metric"))),
            ]
        )
    first = group[0]
    software = _part(first, "software")
    notes: dict[str, list[str]] = {}
    for score in group:
        for note in score.notes:
            notes.setdefault(note, []).append(score.metric)
    facts = [
        *describe(shared_protocol(first)),
        f"seed {_part(first, 'fake').get('seed', 'unknown')}",
    ]
    facts.append("with " + ", ".join(f"{key} {value}" for key, value in software.items()))
    lines = [f"Protocol `{protocol_id(shared_protocol(first))}`:", ""]
    lines += [f"- {safe(fact)}" for fact in facts] + ["", *markdown_rows(head, rows, 0), ""]
    lines += [f"- {', '.join(metrics)}: {safe(note)}" for note, metrics in notes.items()]
    command = evaluate_command(first, name, data, real=real)
    return "\n".join([*lines, "", "To measure it again:", "", "```", command, "```"])


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}"


def shared_protocol(score: Score) -> dict[str, Any]:
    """What all metrics of one pass have in common."""
    return {key: held for key, held in comparable(score.protocol).items() if key != "metric"}


def _part(score: Score, name: str) -> Mapping[str, Any]:
    held = score.protocol.get(name)
    return held if isinstance(held, Mapping) else {}


def _plain(score: Score, name: str) -> Any:
    return comparable(score.protocol).get(name)
