"""The complete card of a shared model, with a run's training, its scores and its samples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reacgan import hub
from reacgan.config import size_of
from reacgan.config.resolution import describe
from reacgan.evaluation.scores import Score
from reacgan.hub.licences import LICENCES
from reacgan.metrics.names import title_of
from reacgan.models.trained import TrainedGenerator
from reacgan.plain_yaml import parse_yaml
from reacgan.reports.record import RunRecord, section
from reacgan.sharing import samples
from reacgan.sharing.record import command_of, cost_of
from reacgan.sharing.scores import is_real, model_index, number, real_beside, scores_section
from reacgan.text import code_block, one_line, safe

HEADINGS = ("Use", "Data", "Scores", "Training", "Same samples elsewhere", "Intended use", "Limits")
"""Sections of a complete card."""

_KEYS = ("library_name", "license", "pipeline_tag", "tags")
_FEW_IMAGES = 10_000
_ORDINARY = 1.5


def full_card(
    model: TrainedGenerator,
    training: str,
    scores: Sequence[Score],
    *,
    name: str,
    dtype: str,
    licence: str | None,
) -> str:
    """The card of a published model; ``training`` is the text of :func:`training_section`."""
    sections = {
        "": "![samples](samples.png)\n\n*Generated: a row a class, a column a seed (0 to 9).*",
        "Scores": _scores(model, scores, name, dtype),
        "Training": training,
        "Same samples elsewhere": _same(name),
        "Intended use": _intended_use(model),
        "Limits": limits(model, scores, model.experiment.training.images),
    }
    index = model_index(scores, name, model.experiment.data)
    metadata = {"model-index": index} if index else None
    return hub.card(model, name=name, licence=licence, sections=sections, metadata=metadata)


def missing(card: str) -> list[str]:
    """What this card lacks to be complete."""
    facts = _metadata(card)
    lacking = [key for key in _KEYS if not facts.get(key)]
    licence = facts.get("license")
    if licence and licence not in LICENCES:
        lacking.append(f"a license of the hub's list (it is {licence!r})")
    if licence == "other" and not facts.get("license_name"):
        lacking.append("license_name")
    return lacking + [heading for heading in HEADINGS if not section_of(card, heading)]


def section_of(card: str, heading: str) -> str:
    """The text below a heading; empty where there is none."""
    sections = re.findall(r"^## (.+?)\n+(.*?)(?=^## |\Z)", card, flags=re.MULTILINE | re.DOTALL)
    return dict(sections).get(heading, "").strip()


def _metadata(card: str) -> Mapping[str, Any]:
    parts = card.split("---\n")
    front = parts[1] if card.startswith("---\n") and len(parts) > 2 else ""
    try:
        metadata = parse_yaml(front)
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _scores(model: TrainedGenerator, scores: Sequence[Score], name: str, dtype: str) -> str:
    own = [score for score in scores if not is_real(score)]
    if not own:
        return "None: this state was not evaluated. `reacgan evaluate` measures it."
    parts = [scores_section(scores, name, model.experiment.data)]
    if dtype != "float32" and not all(score.subject == name for score in own):
        parts.append(f"They are of the weights before these were stored in {dtype}.")
    return "\n\n".join(parts)


def training_section(record: RunRecord, images_seen: int, *, curve: bool) -> str:
    """How the generator was trained: command, cost, and the curve where there is one."""
    command = command_of(record)
    parts = [
        f"The command:\n\n{code_block(one_line(command))}"
        if command
        else "Trained from Python by `reacgan.train`, with the configuration in `config.json`."
    ]
    rows = [f"| {key} | {safe(value)} |" for key, value in cost_of(record, images_seen)]
    parts.append("\n".join(["| cost | |", "|---|---|", *rows]))
    return "\n\n".join([*parts, *(["![losses](curve.png)"] if curve else [])])


def _same(name: str) -> str:
    return f"""A class and a seed are one image. `{samples.FILE}` holds {samples.COUNT} of them (seeds 0 to
{samples.COUNT - 1} over the classes), made in float32 on a CPU. Another CPU gives the same pixels to within
{samples.TOLERANCE} of 255; a GPU in lower precision may differ by more.

```
reacgan weights check {name}
```

compares them here, and every file with its digest."""


def _intended_use(model: TrainedGenerator) -> str:
    resolution = model.experiment.data.resolution
    size, small = describe(resolution), min(size_of(resolution)) <= 64
    purpose = (
        "a demonstration and a point of comparison" if small else "research on generative models"
    )
    return f"""For {purpose}: sampling images of the {len(model.class_names)} classes above, comparing
methods under one protocol, teaching, tests of software, and a start for further training
(`training.start_from`). At {size} pixels it is no source of pictures for any decision about people,
health or safety; generated images are not evidence of anything, and are to be called generated."""


def limits(model: TrainedGenerator, scores: Sequence[Score], planned: int | None) -> str:
    """Limits of the model, from its scores and training; a Markdown list."""
    experiment = model.experiment
    size = describe(experiment.data.resolution)
    lines = [
        f"Only its {len(model.class_names)} classes, at {size} pixels; nothing can be described."
    ]
    if planned is not None and model.images_seen + experiment.training.batch < planned:
        share = model.images_seen / planned
        lines.append(f"Training is not complete: {share:.0%} of the planned {planned:,} images.")
    lines.append(
        f"One training run (seed {experiment.training.seed}): how much scores vary between seeds is "
        "not known from it."
    )
    own = {score.metric: score for score in scores if not is_real(score)}
    if own:
        lines += _limits_of_scores(own, scores)
    else:
        lines.append("Not evaluated: nothing is known of its quality, variety or memorisation.")
    lines.append(
        "It repeats what its training images favour and leave out; what is rare there is rarer here."
    )
    return "\n".join(f"- {line}" for line in lines)


def _limits_of_scores(own: Mapping[str, Score], scores: Sequence[Score]) -> list[str]:
    lines = []
    for name, words in {
        "recall": "of real images that lie among its images; it lacks the variety of the rest",
        "coverage": "of real images that have one of its images near",
        "precision": "of its images that lie among real ones",
    }.items():
        if name in own:
            real = real_beside(own[name], scores)
            beside = f", where as many real images have {number(real.value)}" if real else ""
            lines.append(
                f"{title_of(name)} is {number(own[name].value)}{beside}. It is the share {words}."
            )
    if "top1" in own:
        accuracy = section(own["top1"].protocol, "metric").get("judge_held_out_top1")
        known = isinstance(accuracy, float)
        right = f", which is right on {accuracy:.1%} of real ones," if known else ""
        share = f"{own['top1'].value:.1%} of its images"
        lines.append(f"A classifier{right} finds the class that was asked for in {share}.")
    first = next(iter(own.values()))
    if section(first.protocol, "extractor").get("name") == "domain":
        lines.append(
            "Scores are by a classifier of these very images (`domain`), so they cannot be compared "
            "with published ones, which are by Inception."
        )
    count = section(first.protocol, "fake").get("images")
    if isinstance(count, int) and count < _FEW_IMAGES:
        lines.append(f"Scores are of {count:,} images: small differences mean nothing.")
    return [*lines, _memorised(own.get("memorised_share"))]


def _memorised(score: Score | None) -> str:
    if score is None:
        return "Whether it repeats training images was not measured."
    chance = section(score.protocol, "metric").get("chance")
    if not isinstance(chance, int | float) or chance <= 0:
        return f"{title_of(score.metric)} is {number(score.value)}."
    verdict = (
        "some are close to copies. Do not take its images for new ones."
        if score.value > _ORDINARY * chance
        else "no sign of copying."
    )
    return (
        f"{score.value:.1%} of its images lie as near to a training image as {chance:.1%} of unseen "
        f"real images do: {verdict}"
    )
