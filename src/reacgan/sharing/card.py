"""The whole card of a shared model: sections from a run's journal, its scores and its samples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reacgan import hub
from reacgan.evaluation.scores import Score
from reacgan.hub.licence_names import LICENCES
from reacgan.models.trained import TrainedGenerator
from reacgan.reports.record import RunRecord
from reacgan.reports.text import safe
from reacgan.sharing import samples
from reacgan.sharing.index import model_index
from reacgan.sharing.limits import intended_use, limits
from reacgan.sharing.record import command_of, cost_of
from reacgan.sharing.scores import is_real, scores_section

HEADINGS = (
    "Use",
    "Data",
    "Scores",
    "Training",
    "Same samples elsewhere",
    "Intended use",
    "Limits",
)
"""What a complete card has."""

_KEYS = ("library_name", "license", "pipeline_tag", "tags")


def full_card(
    model: TrainedGenerator,
    training: str,
    scores: Sequence[Score],
    *,
    name: str,
    dtype: str,
    licence: str | None,
) -> str:
    """The card of a published model; ``training`` is what :func:`training_section` gave."""
    sections = {
        "": "![samples](samples.png)\n\n*Generated: a row a class, a column a seed (0 to 9).*",
        "Scores": _scores(model, scores, name, dtype),
        "Training": training,
        "Same samples elsewhere": _same(name),
        "Intended use": intended_use(model),
        "Limits": limits(model, scores, model.experiment.training.images),
    }
    index = model_index(scores, name, model.experiment.data)
    return hub.card(
        model,
        name=name,
        licence=licence,
        sections=sections,
        metadata={"model-index": index} if index else None,
    )


def missing(card: str) -> list[str]:
    """What a complete card has and this one has not."""
    facts = _metadata(card)
    lacking = [key for key in _KEYS if not facts.get(key)]
    licence = facts.get("license")
    if licence and licence not in LICENCES:
        lacking.append(f"a license of the hub's list (it is {licence!r})")
    if licence == "other" and not facts.get("license_name"):
        lacking.append("license_name")
    return lacking + [heading for heading in HEADINGS if not section_of(card, heading)]


def section_of(card: str, heading: str) -> str:
    """What stands below a heading; empty where there is none."""
    found = re.findall(r"^## (.+?)\n+(.*?)(?=^## |\Z)", card, flags=re.MULTILINE | re.DOTALL)
    return dict(found).get(heading, "").strip()


def _metadata(card: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415

    parts = card.split("---\n")
    front = parts[1] if card.startswith("---\n") and len(parts) > 2 else ""
    try:
        held = yaml.safe_load(front)
    except yaml.YAMLError:
        return {}
    return held if isinstance(held, dict) else {}


def _scores(model: TrainedGenerator, scores: Sequence[Score], name: str, dtype: str) -> str:
    own = [score for score in scores if not is_real(score)]
    if not own:
        return "None: this state was not evaluated. `reacgan evaluate` measures it."
    parts = [scores_section(scores, name, model.experiment.data)]
    if dtype != "float32" and not all(score.subject == name for score in own):
        parts.append(f"They are of the weights before these were stored in {dtype}.")
    return "\n\n".join(parts)


def training_section(record: RunRecord, images_seen: int, *, curve: bool) -> str:
    """How the generator came to be: command, cost, and the curve where there is one."""
    command = command_of(record)
    told = (
        f"The command:\n\n```\n{command}\n```"
        if command
        else "Trained from Python by `reacgan.train`, with the configuration in `config.json`."
    )
    rows = [f"| {key} | {safe(value)} |" for key, value in cost_of(record, images_seen)]
    table = "\n".join(["| cost | |", "|---|---|", *rows])
    parts = [told, table, *(["![losses](curve.png)"] if curve else [])]
    return "\n\n".join(parts)


def _same(name: str) -> str:
    return f"""A class and a seed are one image. `{samples.FILE}` holds {samples.COUNT} of them (seeds 0 to
{samples.COUNT - 1} over the classes), made in float32 on a CPU. Another CPU gives the same pixels to within
{samples.TOLERANCE} of 255; a GPU in lower precision may differ by more.

```
reacgan weights check {name}
```

compares them here, and every file with its digest."""
