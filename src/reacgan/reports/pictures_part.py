"""The part of a report that ``--pictures`` adds: what lies in a run's ``pictures`` folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reacgan.evaluation.protocols import flatten, word
from reacgan.pictures import NUMBERS
from reacgan.reports import page
from reacgan.reports.record import read_json

_PROTOCOL = ("images_seen", "weights", "seed", "num", "discriminator_images_seen")
_SETS = ("reference.name", "reference.split", "reference.images", "training.images")


def picture_parts(folder: Path) -> list[str]:
    """Every picture with its caption, what could not be made, and how they were made; HTML."""
    held = read_json(folder / NUMBERS)
    if held is None:
        return []
    made, skipped = (_mapping(held.get(key)) for key in ("pictures", "skipped"))
    wide: list[str] = []
    narrow: list[str] = []
    for name, told in made.items():
        drawn = _drawn(folder, name, _mapping(told))
        (narrow if name.startswith("interpolations") else wide).append(drawn)
    parts = [page.heading("Pictures", 3), page.facts(_facts(held)), *wide[:1]]
    parts += [*page.figures(narrow), *wide[1:]]
    parts += [page.note(f"{name}: not made: {reason}") for name, reason in skipped.items()]
    return parts


def _drawn(folder: Path, name: str, told: Mapping[str, Any]) -> str:
    path = folder / f"{name}.png"
    if path.parent != folder or not path.is_file():
        return page.paragraph(f"The picture {name} is not there any more.")
    caption = str(told.get("caption", name))
    return page.picture_file(path, folder.parent, caption, pixels=told.get("pixels") is True)


def _facts(held: Mapping[str, Any]) -> dict[str, str]:
    flat = flatten(dict(held))
    said = {key: flat[key] for key in (*_PROTOCOL, *_SETS) if flat.get(key) is not None}
    network = _mapping(held.get("extractor"))
    if network:
        said["extractor"] = f"{network.get('name')} {str(network.get('weights'))[:16]}"
    return {key.replace("_", " ").replace(".", ", "): word(value) for key, value in said.items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
