"""Command lines that give what the page shows, ready to paste into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from reacgan.app.sets import SetOrder
from reacgan.app.studio import Exhibit, PictureRecipe
from reacgan.config import ConfigError


def sample_command(
    exhibit: Exhibit, recipes: Sequence[PictureRecipe], count: int = 1, *, device: str = "auto"
) -> str:
    """``reacgan sample``: of each recipe, which differ in their classes alone, ``count`` seeds.

    Raises:
        ConfigError: a class that no word on a command line names.
    """
    first = recipes[0]
    options = {
        "classes": class_words(exhibit, [recipe.label for recipe in recipes]),
        "num": str(count),
        "seed": str(first.seed),
        **_truncations(first),
        **first.moves.options(),
    }
    sheet = ["--grid"] if len(recipes) * count > 1 else []
    return _line("sample", exhibit, options, sheet, device, "images/")


def walk_command(
    exhibit: Exhibit, ends: tuple[PictureRecipe, PictureRecipe], steps: int, *, device: str = "auto"
) -> str:
    """``reacgan walk``: the strip from one recipe to the other.

    Raises:
        ConfigError: as :func:`sample_command`.
    """
    first, last = ends
    options = {}
    if first.label == last.label:
        options["classes"] = class_words(exhibit, [first.label])
    else:
        options["between"] = class_words(exhibit, [first.label, last.label])
    options |= {
        "seeds": f"{first.seed},{last.seed}",
        "steps": str(steps),
        **_truncations(first),
    }
    return _line("walk", exhibit, options, [], device, "walk/")


def generate_command(order: SetOrder, *, device: str = "auto") -> str:
    """``reacgan generate``: the data set, byte for byte.

    Raises:
        ConfigError: as :func:`sample_command`.
    """
    exhibit, first = order.exhibit, order.first
    options = {}
    if len(order.labels) < len(exhibit.model.class_names):
        options["classes"] = class_words(exhibit, order.labels)
    options |= {
        "num": str(order.count),
        "seed": str(first.seed),
        **_truncations(first),
        **first.moves.options(),
        "to": order.form,
    }
    return _line("generate", exhibit, options, [], device, order.file)


def class_words(exhibit: Exhibit, labels: Sequence[int]) -> str:
    """Names or indices separated by commas that mean these classes, and no others.

    Raises:
        ConfigError: there are none, since names of classes look like other classes' indices.
    """
    model = exhibit.model
    names = [model.class_names[label] for label in labels]
    plain = all(
        name.isprintable() and not name.startswith("-") and "~" not in name for name in names
    )
    for words in (",".join(names) if plain else "", ",".join(map(str, labels))):
        try:
            if words and model.class_indices(words) == list(labels):
                return words
        except ConfigError:
            continue
    raise ConfigError(f"no word on a command line means the class {names[0]!r} of {exhibit.name}")


def _truncations(recipe: PictureRecipe) -> dict[str, str]:
    values = {"truncation": recipe.truncation, "psi": recipe.psi}
    return {name: repr(value) for name, value in values.items() if value is not None}


def _line(
    command: str,
    exhibit: Exhibit,
    options: dict[str, str],
    further: Sequence[str],
    device: str,
    out: str,
) -> str:
    if device != "auto":
        options = {**options, "device": device}
    words = ["reacgan", command, exhibit.word]
    for name, value in options.items():
        words += [f"--{name}", value]
    return shlex.join([*words, *further, "--out", out])
