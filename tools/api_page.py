"""Write docs/api.md: every public name with its signature and one sentence, by what it is for.

    python tools/api_page.py

The site shows the whole documentation below each table; a code host hides it, as a comment.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from site_docstrings import plain

import reacgan

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"

_HEAD = """# Python

`import reacgan` gives every name below and loads torch only when one is used. `help(reacgan.train)` says
all about one; so does the site (`make site`), on this page. What stands after `*` is given by its name.
This page is made from the code (`make docs`).

```python
import reacgan

model = reacgan.load("digits-reacgan")
for sample in reacgan.sample(model, "3,7", num=2):
    print(sample.class_name, sample.seed, sample.image.shape)  # uint8 [channels, side, side]
```
"""
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Train": ("experiment", "EXPERIMENTS", "train", "journal", "Callback"),
    "Your own images": ("propose", "derive_experiment", "inspect_data", "prepare_data"),
    "Load and sample": ("load", "Model", "sample", "pretrained", "from_pretrained"),
    "Score and report": ("evaluate", "report", "Report", "augment_study"),
    "Data sets and files for other tools": ("generate_dataset", "GeneratedImages", "export"),
    "Share": ("save", "save_pretrained", "publish", "push_to_hub"),
    "Configure": ("Experiment", "load_experiment", "open_dataset", "register"),
    "Errors and the version": ("ConfigError", "StopTraining", "CallbackError", "__version__"),
}
"""By what they are for; other public names come last."""
FURTHER: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Sampling": (
        "In `reacgan.sampling`; [Sampling](sampling.md) shows them at work.",
        (
            "reacgan.sampling.SamplingSettings",
            "reacgan.sampling.walk",
            "reacgan.sampling.interpolate",
            "reacgan.sampling.semantic_directions",
            "reacgan.sampling.with_statistics",
        ),
    ),
    "What members extend": (
        "[Extending](extending.md) shows each of them at work.",
        (
            "reacgan.heads.Head",
            "reacgan.heads.HeadOutput",
            "reacgan.models.Generator",
            "reacgan.models.Backbone",
            "reacgan.losses.Term",
            "reacgan.losses.Step",
            "reacgan.losses.Adversarial",
            "reacgan.augment.Augment",
            "reacgan.data.ImageData",
            "reacgan.extractors.Extractor",
            "reacgan.extractors.Extracted",
            "reacgan.metrics.Metric",
            "reacgan.metrics.Comparison",
            "reacgan.metrics.Value",
            "reacgan.suites.Suite",
        ),
    ),
}
_LONGEST = 24
"""Letters of a default that is shown."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as text."""
    parts = [_HEAD]
    listed = {name for names in SECTIONS.values() for name in names}
    others = tuple(name for name in sorted(reacgan.__all__, key=str.lower) if name not in listed)
    for title, names in {**SECTIONS, **({"Others": others} if others else {})}.items():
        parts.append(_section(title, "", tuple(f"reacgan.{name}" for name in names)))
    for title, (about, paths) in FURTHER.items():
        parts.append(_section(title, about, paths))
    return "\n".join(parts)


def _section(title: str, about: str, paths: tuple[str, ...]) -> str:
    rows = [f"| {_call(path)} | {_meaning(path)} |" for path in paths]
    marks = [f"<!-- documented: {path} -->" for path in paths if path != "reacgan.__version__"]
    said = [about, ""] if about else []
    table = ["| name | what it is |", "|---|---|", *rows]
    return "\n".join([f"## {title}", "", *said, *table, "", "\n\n".join(marks), ""])


def value_of(path: str) -> Any:
    """What a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _call(path: str) -> str:
    """The name, with what it is called with."""
    value, name = value_of(path), path.rpartition(".")[2]
    if isinstance(value, Mapping):
        return f"`{name}[name]`"
    if not callable(value) or (inspect.isclass(value) and issubclass(value, Exception)):
        return f"`{name}`"
    called = ", ".join(_parameters(value))
    return f"`{name}({'…' if called == '*args, **kwargs' else called})`"


def _parameters(value: Callable[..., Any]) -> list[str]:
    shown, marked = [], False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            shown += [] if shown and shown[-1].startswith("*") else ["*"]
            marked = True
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        shown.append(f"{stars.get(parameter.kind, '')}{parameter.name}{default}")
    return shown


def _default(value: Any) -> str:
    text = repr(value).replace("'", '"')
    return "…" if len(text) > _LONGEST or "<" in text else text


def _meaning(path: str) -> str:
    """The first sentence of its documentation, and what a class offers."""
    value = value_of(path)
    if path == "reacgan.__version__":
        return "Text such as `0.1.0`."
    first = " ".join(plain(inspect.getdoc(value) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?])\s", first)[0].rstrip(":")
    text = sentence if sentence.endswith(".") else f"{sentence}."
    offers = ", ".join(f"`.{name}`" for name in _members(value))
    return (f"{text} Has {offers}." if offers else text).replace("|", "\\|")


def _members(value: Any) -> list[str]:
    """Methods and properties of a class that are its own; none of an exception."""
    if not inspect.isclass(value) or issubclass(value, Exception):
        return []
    names = []
    for name, member in vars(value).items():
        owned = inspect.isfunction(member) or isinstance(member, property | classmethod)
        if (owned or type(member).__name__ == "cached_property") and not name.startswith("_"):
            documented = member.__func__ if isinstance(member, classmethod) else member
            names += [name] if (inspect.getdoc(documented) or "").strip() else []
    return [] if hasattr(value, "model_fields") and len(names) > 12 else names


if __name__ == "__main__":
    main()
