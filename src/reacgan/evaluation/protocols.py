"""The protocols of published scores as data, and descriptions of protocols.

The protocol of a score is assembled in ``evaluate.py``; ``scores.py`` decides when two are comparable.

What is known of the published ones, and what is not:

``paper``      the tables of Kang et al., NeurIPS 2021, and of the authors' package of that year. That
               generated images are as many as the held-out ones, the bilinear resizing without
               antialiasing, statistics of the batch and averaged weights follow from that package.
               Unsure: the size of those batches, and batch norms at the final ImageNet scores.
               Published values are the best over many checkpoints, chosen on the same reference.
``benchmark``  the tables of Kang, Shin, Park, TPAMI 2023: the training images are the reference.
               Unsure: how many passes made the standing statistics (there the last few decide, see
               :func:`reacgan.sampling.standing_statistics`), and whether networks ran in float16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from reacgan.config import flatten

INCEPTION = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of the published weights of the Inception network of FID."""

AVERAGED = ("average", "averaged", True)
"""Values of ``generator.weights`` that mean the exponential moving average."""

_NOT_PUBLISHED = ("psi", "layers", "langevin", "precision", "moves")
_NEIGHBOURS = ("prdc", "precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class NamedProtocol:
    """The settings of an evaluation, and the facts that identify its scores."""

    name: str
    description: str
    split: str
    """Of the data set: the reference."""
    batch_norm: str
    resizer: str
    bias: bool = True
    """Whether class scores have the bias of the last layer, as in those authors' package."""
    num: int | None = None
    """Generated images; None for as many as the reference holds, ``most`` at most."""
    most: int = 50_000
    extractor: str = "inception"
    weights_digest: str = INCEPTION
    labels: str = "uniform"
    truncation: float | None = None
    metric_options: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: MappingProxyType(
            {"is": {"splits": 1}, **{name: {"k": 5} for name in _NEIGHBOURS}}
        )
    )
    """Options by the name of the metric or of its values."""

    @property
    def extractor_options(self) -> dict[str, Any]:
        """Options of the extractor."""
        return {"resizer": self.resizer, "bias": self.bias}

    def images(self, reference: int) -> int:
        """How many images to generate for a reference of ``reference`` images."""
        return min(reference, self.most) if self.num is None else self.num

    def holds(self, protocol: Mapping[str, Any]) -> bool:
        """Whether a score with this protocol was measured under these settings.

        The choice of the checkpoint and ``software`` do not matter. A generator without batch norm makes
        the same images under any ``batch_norm``, which is then left out. A metric on a subset of the images
        (``num``) does not match, nor do images whose size or channels differ from the reference
        (``fake.size``).
        """
        extractor, fake, reference, generator, metric = (
            _part(protocol, name)
            for name in ("extractor", "fake", "reference", "generator", "metric")
        )
        options = {
            key: value for each in self.metric_options.values() for key, value in each.items()
        }
        count = reference.get("images")
        return (
            extractor.get("name") == self.extractor
            and extractor.get("weights") == self.weights_digest
            and extractor.get("resizer") == self.resizer
            and extractor.get("logits") == ("with bias" if self.bias else "without bias")
            and reference.get("split") == self.split
            and reference.get("part") == "whole"
            and isinstance(count, int)
            and fake.get("images") == self.images(count)
            and fake.get("labels") == self.labels
            and fake.get("size") is None
            and generator.get("weights") in AVERAGED
            and generator.get("batch_norm") in (self.batch_norm, None)
            and generator.get("truncation") == self.truncation
            and all(generator.get(name) is None for name in _NOT_PUBLISHED)
            and metric.get("num") is None
            and all(metric.get(key, value) == value for key, value in options.items())
        )


PROTOCOLS: Mapping[str, NamedProtocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            NamedProtocol(
                name="paper",
                description=(
                    "ReACGAN paper (NeurIPS 2021): as many generated images as the whole held-out "
                    "split has (10,000 for CIFAR-10), batch statistics, averaged weights, bilinear "
                    "resizing without antialiasing, one split for the Inception Score"
                ),
                split="test",
                batch_norm="batch",
                resizer="legacy",
            ),
            NamedProtocol(
                name="benchmark",
                description=(
                    "StudioGAN benchmark (TPAMI 2023): 50,000 generated images (fewer where the "
                    "training split has fewer) against the whole training split, standing statistics, "
                    "averaged weights, antialiased bilinear resizing, k = 5"
                ),
                split="train",
                batch_norm="standing",
                resizer="friendly",
            ),
        )
    }
)


def name_of(protocol: Mapping[str, Any]) -> str | None:
    """The published protocol that a score was measured under, or None."""
    return next((name for name, known in PROTOCOLS.items() if known.holds(protocol)), None)


def describe(protocol: Mapping[str, Any]) -> list[str]:
    """A protocol in short phrases; keys without a phrase are given as ``key: value``."""
    phrases = [
        *_fakes(_part(protocol, "fake"), _part(protocol, "reference")),
        *_extractor(_part(protocol, "extractor")),
        *_generator(_part(protocol, "generator")),
        *_selection(protocol.get("selection")),
    ]
    known = {"extractor", "fake", "reference", "generator", "selection", "software"}
    rest = {key: value for key, value in protocol.items() if key not in known}
    return phrases + [f"{key}: {value}" for key, value in flatten(rest).items()]


def describe_settings(settings: Mapping[str, Any]) -> str:
    """The settings of a metric in a short phrase; nested facts by their main number."""
    phrases = []
    with_accuracy = _part(settings, "judge").get("held_out_top1") is not None
    for key, value in settings.items():
        name = key.replace("judge", "classifier").replace("_", " ")
        if with_accuracy and key.startswith("judge_held_out_"):
            continue  # the phrase of ``judge`` says it
        if not isinstance(value, Mapping):
            phrases.append(f"{name} {word(value)}")
        elif isinstance(value.get("held_out_top1"), int | float):
            phrases.append(f"{name} {value['held_out_top1']:.1%} right on held-out images")
        elif "images" in value:
            phrases.append(f"{_count(value['images'])} {name} images")
        else:
            phrases += _rest(name, value)
    return ", ".join(phrases)


_IMPLIED = frozenset(
    {
        *("classes", "data", "epochs", "width", "seed", "flip", "held_out_top5"),
        *("features", "filter", "model", "revision"),
    }
)
"""Facts that follow from the name, the digest of the weights and the resizer."""

_USUAL: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "size": (299, 224),
        "shape": ("stretched to a square", "stretched to a square, no crop"),
        "scale": ("2 x / 255 - 1", "(x - 128) / 128"),
        "channels": (1, 3, "grey repeated three times, RGBA on white"),
        "logits": ("without bias",),
    }
)


def _is_usual(key: str, value: Any) -> bool:
    """Whether a fact of an extractor with known weights is implied by them, or usual."""
    published_scale = key == "scale" and str(value).startswith("(x / 255 - [")
    classifier_input = key == "size" and isinstance(value, list | tuple)
    return key in _IMPLIED or published_scale or classifier_input or value in _USUAL.get(key, ())


def _statistics_kind(kind: str, rule: Mapping[str, Any]) -> str:
    """A kind of statistics of batch norms as protocols say it."""
    bound = rule.get("bound")
    apart = " do not" if bound is None else f" are more than {word(bound)} apart"
    known = {
        "auto": (
            "statistics of batch norm that fit the generator (its own where the averages of training"
            f"{apart})"
        ),
        "own": "the generator's own statistics",
    }
    return known.get(kind, f"{kind} statistics")


def _part(protocol: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = protocol.get(name)
    return dict(part) if isinstance(part, Mapping) else {}


def _fakes(fake: dict[str, Any], reference: dict[str, Any]) -> Iterator[str]:
    split, part = reference.pop("split", None), reference.pop("part", None)
    source = reference.pop("source", None) or reference.pop("name", None)
    whole = part in ("whole", None)
    named = "reference" if split in (None, "all", "as given", "statistics") else f"{split} split"
    against = f"the whole {named}" if whole else f"{part} of the {named}"
    size = reference.pop("size", None)
    sides = [*size] if isinstance(size, list | tuple) else [] if size is None else [size]
    if sides and reference.get("channels") is not None:
        sides.append(reference.pop("channels"))
    known = [
        f"{_count(reference.pop('images', None))} images",
        *([" x ".join(map(word, sides))] if sides else []),
        *([f"of {source}"] if source else []),
        *([f"{reference.pop('classes'):,} classes"] if reference.get("classes") else []),
        *([f"digest {str(reference.pop('digest'))[:8]}"] if reference.get("digest") else []),
    ]
    same_count = fake.get("images") == reference.get("images")
    yield f"{_count(fake.pop('images', None))} fakes against {against} ({', '.join(known)})"
    labels, seed = fake.pop("labels", None), fake.pop("seed", None)
    if labels is not None:
        yield {
            "uniform": "classes drawn uniformly",
            "balanced": "equally many of each class",
            "reference": "classes as often as in the reference"
            if same_count
            else "classes in the same shares as in the reference",
        }.get(str(labels), f"classes: {labels}")
    if seed is not None:
        yield f"seed {seed}"
    yield from _rest("fakes", fake)
    yield from _rest("reference", reference)


def _extractor(extractor: dict[str, Any]) -> Iterator[str]:
    if not extractor:
        return
    name, digest = extractor.pop("name", "extractor"), str(extractor.pop("weights", "") or "")
    official = name == "inception" and digest == INCEPTION
    weights = "published weights" if official else f"weights {digest[:8]}" if digest else ""
    known = [weights] if weights else []
    accuracy, held_out = (extractor.pop(key, None) for key in ("held_out_top1", "held_out"))
    if isinstance(accuracy, int | float):
        count = held_out.get("images") if isinstance(held_out, Mapping) else None
        known.append(f"{accuracy:.1%} right on {_count(count)} held-out images")
    resizer, kind = extractor.pop("resizer", None), extractor.pop("type", None)
    known += [f"{resizer} resizing"] if resizer and resizer != "none" else []
    known += [str(kind)] if kind else []
    if digest:
        extractor = {key: value for key, value in extractor.items() if not _is_usual(key, value)}
    known += list(_rest("", extractor))
    yield f"{name} extractor" + (f" ({', '.join(known)})" if known else "")


def _generator(generator: dict[str, Any]) -> Iterator[str]:
    if "weights" in generator:
        weights = generator.pop("weights")
        yield "averaged weights" if weights in AVERAGED else f"weights: {word(weights)}"
    if kind := generator.pop("batch_norm", None):
        yield _statistics_kind(kind, _part(generator, "auto"))
        generator.pop("auto", None)
    if generator.get("precision"):
        yield f"generator in {generator.pop('precision')}"
    if isinstance(chain := generator.pop("langevin", None), Mapping):
        options = ", ".join(_rest("", {key: chain[key] for key in chain if key != "steps"}))
        yield f"{chain.get('steps')} steps of Langevin dynamics ({options})"
    yield from _rest("", generator)


def _selection(selection: Any) -> Iterator[str]:
    if isinstance(selection, Mapping):
        yield from _chosen(dict(selection))
    elif selection is not None:
        yield "the last checkpoint" if selection == "last" else f"checkpoint: {selection}"


def _chosen(selection: dict[str, Any]) -> Iterator[str]:
    """How the scored checkpoint was chosen."""
    which, on = selection.pop("checkpoint", "unknown"), selection.pop("selected_on", None)
    rule, metric = selection.pop("rule", None), selection.pop("metric", None)
    during = which == "each" and selection.pop("during", None) is not None
    if isinstance(on, Mapping):
        where = f"{_count(on.get('images'))} {on.get('split')} images ({on.get('part')})"
        by = f" by {metric}" if metric else ""
        rest = f", {rule}" if rule else ""
        chosen = "states during training, of which one is" if during else f"the {which} state,"
        yield f"{chosen} chosen{by} on {where}{rest}"
    else:
        known = {
            "as it is": "the state as it is, not chosen by a score",
            "last": "the last state",
            "by number": "a state by its number",
            "each": "states during training" if during else "checkpoint: each",
        }
        yield known.get(str(which), f"checkpoint: {which}")
    yield from _rest("checkpoint", selection)


def _rest(prefix: str, facts: Mapping[str, Any]) -> Iterator[str]:
    for key, value in flatten(facts).items():
        if value is not None:
            yield f"{prefix} {key.replace('_', ' ')} {word(value)}".strip()


def word(value: Any) -> str:
    """A value of a protocol as text; a digest by its first 8 digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        sides = len(value) in (2, 3) and all(type(number) is int for number in value)
        return (" x " if sides else ", ").join(map(word, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    long = len(text) >= 40 and set(text) <= set("0123456789abcdef")
    return text[:8] if long else text


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "an unknown number of"
