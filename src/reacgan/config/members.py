"""The names of the package's own members, known without PyTorch, and what other names mean here.

A misspelt name is refused where it is written, not where training begins. A name that is not here may be
that of a member from outside: then its family's table knows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from reacgan.config.registry import load_plugins, unknown

if TYPE_CHECKING:
    from reacgan.config.schema import Experiment


class OwnMembers(NamedTuple):
    """A family whose members an experiment names."""

    noun: str
    table: str
    """``module:name`` of the table with all members, where the module is loaded."""
    names: frozenset[str]
    """Of the package's own members."""


def _family(noun: str, table: str, names: str) -> OwnMembers:
    return OwnMembers(noun, f"reacgan.{table}", frozenset(names.split()))


OWN_MEMBERS: Mapping[str, OwnMembers] = {
    "head": _family(
        "head",
        "heads:HEADS",
        "unconditional projection mapped_projection auxiliary contrastive d2dce twin discriminative "
        "multihinge multilogit infogan",
    ),
    "generator": _family(
        "generator", "models:GENERATORS", "biggan biggan_deep resnet dcgan stylegan2 r3gan"
    ),
    "backbone": _family(
        "backbone", "models:BACKBONES", "biggan biggan_deep resnet dcgan stylegan2 r3gan"
    ),
    "adversarial": _family(
        "adversarial loss",
        "losses:ADVERSARIAL",
        "hinge non_saturating least_squares wasserstein relativistic none",
    ),
    "penalties": _family(
        "penalties",
        "losses:PENALTIES",
        "r1 r2 gradient_penalty dragan max_gradient lecam weight_clipping path_length",
    ),
    "consistency": _family("consistency", "losses:CONSISTENCY", "cr bcr zcr feature_matching"),
    "augment": _family("augmentation", "augment:AUGMENTS", "identity diffaug ada"),
    "dataset": _family(
        "data set",
        "data:DATASETS",
        "digits glyphs folder csv jsonl archive cifar10 cifar100 tiny_imagenet cub200 imagenet afhq "
        "ffhq hub",
    ),
    "extractor": _family(
        "extractor", "extractors:EXTRACTORS", "inception domain resnet50 swav dino dinov2 clip"
    ),
    "metric": _family(
        "metric",
        "metrics:METRICS",
        "fid fid_infinity kid is prdc f_beta ifid per_class accuracy cas memorisation",
    ),
}


def check_members(experiment: Experiment, before: Experiment) -> None:
    """See that each member is known that an experiment names and the one before it did not.

    Raises:
        ConfigError: a member that nobody has registered.
    """
    trusted = set(_named(before))
    for family, name in _named(experiment):
        if (family, name) not in trusted and not _is_known(OWN_MEMBERS[family], name):
            members = OWN_MEMBERS[family]
            raise unknown(members.noun, name, _table(members) or members.names)


def _named(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Families and names of the members of an experiment."""
    model = experiment.model
    yield "generator", model.generator.name
    yield "backbone", model.backbone.name
    yield "head", model.head.name
    over = model.head.options.get("over")
    inner = over.get("name") if isinstance(over, Mapping) else over
    if isinstance(inner, str):
        yield "head", inner
    yield "adversarial", experiment.loss.adversarial
    yield "augment", experiment.augment.name
    yield "dataset", experiment.data.name
    yield from (("penalties", name) for name in experiment.penalties)
    yield from (("consistency", name) for name in experiment.consistency)
    yield from (("metric", name) for name in experiment.scores.metrics if name != "all")
    if not set(r"/\.") & set(experiment.scores.extractor.name):  # else it is a file
        yield "extractor", experiment.scores.extractor.name


def _is_known(members: OwnMembers, name: str) -> bool:
    if name in members.names or name in _table(members):
        return True
    load_plugins()
    return name in _table(members)


def _table(members: OwnMembers) -> Mapping[str, Any]:
    """All members where their module is loaded, which whoever registers one has done; else nothing."""
    module, _, name = members.table.partition(":")
    table: Mapping[str, Any] = getattr(sys.modules.get(module), name, {})
    return table
