"""The model card of a shared generator.

Sections on scores and training come from ``reacgan.sharing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reacgan.config.resolution import describe
from reacgan.hub.licences import Terms, licence_of, terms_of
from reacgan.models import count_parameters
from reacgan.models.norm_statistics import statistics_in_words
from reacgan.models.trained import TrainedGenerator
from reacgan.text import code, one_line, safe

_MOST_CLASSES = 20


def card(
    model: TrainedGenerator,
    *,
    name: str | None = None,
    licence: str | None = None,
    sections: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """The model card: what it is, how to use it, what it was trained on, and further sections.

    Args:
        model: the generator.
        name: the title, and the name to load it by; by default the title is the experiment's name.
        licence: of the weights: an identifier of the Hugging Face hub, or ``other:NAME``; by
            default what the terms of the data allow.
        sections: Markdown by heading; one whose heading is empty comes right below the title.
        metadata: further keys of the YAML at the top, such as ``model-index``.

    Raises:
        ConfigError: a licence that is neither.
    """
    texts = dict(sections or {})
    terms = terms_of(model.experiment.data)
    top = texts.pop("", "")
    parts = [
        _front_matter(model, terms, licence, metadata or {}),
        f"# {safe(name or model.experiment.name)}",
        _summary(model),
        *([top] if top else []),
        f"## Use\n\n{_use(model, name)}",
        f"## Data\n\n{_data(model, terms, licence)}",
        *(f"## {heading}\n\n{text}" for heading, text in texts.items()),
    ]
    if "Scores" not in texts:
        parts.append("No score is given here: a score without its protocol says nothing.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _front_matter(
    model: TrainedGenerator, terms: Terms, licence: str | None, metadata: Mapping[str, Any]
) -> str:
    import yaml  # noqa: PLC0415

    weights, own_name = licence_of(terms.named if licence is None else licence)
    facts: dict[str, Any] = {
        "library_name": "reacgan",
        "license": weights,
        **({"license_name": own_name} if own_name else {}),
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "class-conditional", "image-generation", model.experiment.model.head.name],
        # Only repositories of the hub: another name would link to nothing, or to other data.
        **({"datasets": list(terms.identifiers)} if terms.identifiers else {}),
        **metadata,
    }
    text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=100)
    if one_line(text.replace("\n", "")) != text.replace(
        "\n", ""
    ):  # what turns or hides text is no word
        text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=False, width=100)
    return f"---\n{text}---"


def _summary(model: TrainedGenerator) -> str:
    data, count = model.experiment.data, len(model.class_names)
    names = ", ".join(map(safe, model.class_names[:_MOST_CLASSES]))
    names += " ..." if count > _MOST_CLASSES else ""
    channels = "1 channel" if data.channels == 1 else f"{data.channels} channels"
    classes = "1 class" if count == 1 else f"{count} classes"
    return f"""A class-conditional generator: {describe(data.resolution)} pixels,
{channels}, {classes}, {count_parameters(model.generator):,} parameters,
trained by {code(model.experiment.name)} until {model.images_seen:,} real images had been seen (repeats
counted). These weights are the exponential moving average of the generator's; batch norms hold
{statistics_in_words(model)}.

Classes: {names}"""


def _use(model: TrainedGenerator, name: str | None) -> str:
    called = (
        f"\n# or by its name: reacgan.load({_quoted(name)}); from the hub: " if name else "  # "
    )
    other = f'{called}reacgan.from_pretrained("OWNER/NAME")'
    return f"""```python
import reacgan

model = reacgan.load("."){other}
for sample in reacgan.sample(model, {_quoted(model.class_names[0])}, num=4, seed=0):
    print(sample.class_name, sample.seed, sample.image.shape)  # uint8 [channels, height, width]
```

`config.json` holds the whole training configuration and the digests of the weights, which are checked
on loading. All is safetensors, JSON and pictures: nothing is ever unpickled or run."""


def _quoted(text: str) -> str:
    """As a Python string, in double quotes where possible."""
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else repr(text)


def _data(model: TrainedGenerator, terms: Terms, licence: str | None) -> str:
    weights, own_name = licence_of(terms.named if licence is None else licence)
    said = f"{weights} ({own_name})" if own_name else weights
    values = f"\n| values | {model.values_in_words} |" if model.values_in_words else ""
    return f"""| | |
|---|---|
| data set | {code(model.experiment.data.name)}: {safe(terms.title)} |
| its licence | {terms.licence} |
| these weights | {said} |{values}"""
