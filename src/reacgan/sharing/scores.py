"""Scores in a card: with their protocol, those of real images, and the command to repeat them.

As Markdown, and as ``model-index``, which the Hugging Face hub reads from a card's metadata.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reacgan.config import DataConfig
from reacgan.evaluation.protocols import describe, describe_settings
from reacgan.evaluation.scores import Score, canonical, comparable, protocol_id
from reacgan.files import without_paths
from reacgan.hub.licences import terms_of
from reacgan.metrics.names import title_of
from reacgan.reports.cells import Cell, markdown_rows
from reacgan.reports.record import section
from reacgan.reports.tables import interval, owners_of, shared_protocol
from reacgan.text import code_block, one_line, safe

TASK = "unconditional-image-generation"
_STANDARD = "inception"
_EMBEDDED = ("digits", "glyphs")


def scores_of(scores: Sequence[Score], images_seen: int) -> list[Score]:
    """Scores of a state, and of real images for scale; of each only the newest, paths shortened.

    Scores that chose a state during training are left out: a state is not reported by the score that
    selected it.
    """
    newest: dict[str, Score] = {}
    for score in scores:
        chosen = section(score.protocol, "selection").get("checkpoint") == "each"
        if (score.images_seen == images_seen or is_real(score)) and not chosen:
            seed = section(score.protocol, "fake").get("seed")
            key = canonical([score.metric, is_real(score), seed, comparable(score.protocol)])
            if key not in newest or score.time >= newest[key].time:
                newest[key] = score
    plain = (without_paths(json.loads(score.to_line())) for score in newest.values())
    return [Score.from_line(json.dumps(fields)) for fields in plain]


def is_real(score: Score) -> bool:
    """Whether a score is of real images instead of generated ones."""
    return score.images_seen is None and score.subject.startswith("real images")


def real_beside(score: Score, scores: Sequence[Score]) -> Score | None:
    """The same metric of real images: with the same extractor, reference and count."""

    def facts(measured: Score) -> list[Any]:
        protocol = comparable(measured.protocol)
        images = section(measured.protocol, "fake").get("images")
        return [measured.metric, images, *map(protocol.get, ("extractor", "reference", "metric"))]

    alike = (other for other in scores if is_real(other) and facts(other) == facts(score))
    return next(alike, None)


def number(value: float) -> str:
    """A value with four digits."""
    return f"{value:.4g}"


def _by_protocol(scores: Iterable[Score]) -> list[list[Score]]:
    """Scores of generated images, grouped by protocol."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if not is_real(score):
            groups.setdefault(canonical(shared_protocol(score)), []).append(score)
    return list(groups.values())


def scores_section(scores: Sequence[Score], name: str, data: DataConfig) -> str:
    """Tables by protocol, as Markdown."""
    return "\n\n".join(_table(group, scores, name, data) for group in _by_protocol(scores))


def _table(group: list[Score], scores: Sequence[Score], name: str, data: DataConfig) -> str:
    beside = [real_beside(score, scores) for score in group]
    real = any(beside)
    rows = []
    for score, other in zip(group, beside, strict=True):
        cells = [
            title_of(score.metric, score.better),
            number(score.value),
            interval(score, number),
            *([number(other.value) if other else ""] if real else []),
            describe_settings(section(score.protocol, "metric")),
        ]
        rows.append([*map(Cell, cells)])
    head = ["score", "value", "interval", *(["real images"] if real else []), "settings"]
    first = group[0]
    shared = shared_protocol(first)
    software = section(first.protocol, "software").items()
    facts = [
        *describe(shared),
        f"seed {section(first.protocol, 'fake').get('seed', 'unknown')}",
        "with " + ", ".join(f"{key} {value}" for key, value in software),
    ]
    notes = owners_of((note, title_of(score.metric)) for score in group for note in score.notes)
    lines = [
        f"Protocol `{protocol_id(shared)}`:",
        "",
        *(f"- {safe(fact)}" for fact in facts),
        "",
        *markdown_rows(head, rows, 0),
        "",
        *(f"- {', '.join(metrics)}: {safe(note)}" for note, metrics in notes.items()),
    ]
    command = evaluate_command(first, name, data, real=real)
    return "\n".join([*lines, "", "To measure it again:", "", code_block(one_line(command))])


def evaluate_command(score: Score, name: str, data: DataConfig, *, real: bool) -> str:
    """The command that measures a score again."""
    extractor, fake, reference, generator = (
        section(score.protocol, key) for key in ("extractor", "fake", "reference", "generator")
    )
    chain = generator.get("langevin") or {}
    words = ["reacgan", "evaluate", name]
    if data.name not in _EMBEDDED:
        words += ["--reference", "IMAGES"]
        size = reference.get("size")
        if isinstance(size, list | tuple) and len(size) == 2:  # files may have another size
            words += [
                "--resolution",
                str(size[1]) if size[0] == size[1] else f"{size[0]}x{size[1]}",
            ]
    options = {
        "extractor": (extractor.get("name"), _STANDARD),
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


def model_index(scores: Sequence[Score], name: str, data: DataConfig) -> list[dict[str, Any]]:
    """Scores by protocol; empty where there is none.

    A metric is called by its plain name only where Inception measured it, as published scores are; by
    another extractor it is ``fid-domain``, since the numbers are not comparable.

    Args:
        scores: of the model; those of real images are left out.
        name: of the model.
        data: what it was trained on.
    """
    finite = (score for score in scores if math.isfinite(score.value))
    results = [_result(group, data) for group in _by_protocol(finite)]
    return [{"name": name, "results": results}] if results else []


def _result(group: Sequence[Score], data: DataConfig) -> dict[str, Any]:
    extractor, fake, reference = (
        section(group[0].protocol, key) for key in ("extractor", "fake", "reference")
    )
    network = str(extractor.get("name", "unknown"))
    identifier = protocol_id(shared_protocol(group[0]))
    facts = {
        "extractor": network,
        "generated_images": fake.get("images"),
        "reference_images": reference.get("images"),
        "protocol": identifier,
    }
    metrics = [
        {
            "type": score.metric if network == _STANDARD else f"{score.metric}-{network}",
            "name": f"{score.metric} ({network}, protocol {identifier})",
            "value": float(f"{score.value:.6g}"),
            "verified": False,
        }
        for score in group
    ]
    return {
        "task": {"type": TASK, "name": "class-conditional image generation"},
        "dataset": {
            **_data_set(reference, data),
            "args": {key: value for key, value in facts.items() if value is not None},
        },
        "metrics": metrics,
    }


def _data_set(reference: Mapping[str, Any], data: DataConfig) -> dict[str, str]:
    name = str(reference.get("name") or data.name)
    facts = {"type": name, "name": name}
    if name == data.name:
        terms = terms_of(data)
        facts = {"type": (*terms.identifiers, name)[0], "name": terms.title}
    split = reference.get("split")
    return facts | ({"split": split} if isinstance(split, str) else {})
