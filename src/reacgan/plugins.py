"""Members from outside the package: one call, or an entry point of another installed package."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar, get_type_hints

from reacgan.config import ConfigError, suggest

__all__ = ["FAMILIES", "Family", "register"]

Member = TypeVar("Member")

_SHAPE = ("resolution", "channels")


@dataclass(frozen=True)
class Family:
    """The path of a family's table, and what its members must be."""

    path: str
    """``module:name`` of the table."""
    base: str | None = None
    """``module:name`` of the class that members extend (or, for values, are of)."""
    given: tuple[str, ...] = ()
    """What the constructor is given beside its options, by keyword."""
    defines: tuple[str, ...] = ()
    """Methods of which a member defines at least one itself."""

    @property
    def table(self) -> dict[str, Any]:
        """The family's members by name."""
        table: dict[str, Any] = _named(self.path)
        return table


_TERM = ("d_term", "g_term", "after_d_step")

FAMILIES: dict[str, Family] = {
    "head": Family(
        "reacgan.heads:HEADS",
        "reacgan.heads:Head",
        ("in_features", "num_classes", "layers"),
        ("forward",),
    ),
    "generator": Family(
        "reacgan.models:GENERATORS",
        "reacgan.models:Generator",
        (*_SHAPE, "num_classes"),
        ("forward",),
    ),
    "backbone": Family("reacgan.models:BACKBONES", "reacgan.models:Backbone", _SHAPE, ("forward",)),
    "adversarial": Family("reacgan.losses:ADVERSARIAL", "reacgan.losses:Adversarial"),
    "penalty": Family("reacgan.losses:PENALTIES", "reacgan.losses:Term", (), _TERM),
    "consistency": Family("reacgan.losses:CONSISTENCY", "reacgan.losses:Term", (), _TERM),
    "augment": Family("reacgan.augment:AUGMENTS", "reacgan.augment:Augment", (), ("forward",)),
    "dataset": Family("reacgan.data:DATASETS", None, ("split", *_SHAPE)),
    "extractor": Family(
        "reacgan.extractors:EXTRACTORS", "reacgan.extractors:Extractor", (), ("__call__",)
    ),
    "metric": Family("reacgan.metrics:METRICS", "reacgan.metrics:Metric", (), ("measure",)),
    "experiment": Family("reacgan.experiments:EXPERIMENTS", "reacgan.config:Experiment"),
    "suite": Family("reacgan.suites:SUITES", "reacgan.suites:Suite"),
}


def register(family: str, name: str, member: Member, *, replace: bool = False) -> Member:
    """Add a member to a family, so that a configuration can name it.

    Args:
        family: head, generator, backbone, adversarial, penalty, consistency, augment, dataset,
            extractor, metric, experiment or suite.
        name: what a configuration calls it: lower-case letters, digits and ``_``; an experiment's
            and a suite's may also hold ``/``, ``-`` and ``.``.
        member: a class that extends the family's (see docs/extending.md), whose constructor takes
            everything by annotated keyword; for ``adversarial`` a pair
            :class:`reacgan.losses.Adversarial`, for ``dataset`` a function
            ``open(path, *, split, resolution, channels)`` that returns a
            :class:`reacgan.data.ImageData`, for ``experiment`` an
            :class:`reacgan.config.Experiment` of the same name, and likewise for ``suite``.
        replace: let it take the place of another member of this name.

    Returns:
        The member.

    Raises:
        ConfigError: an unknown family, a name that is taken or unusable, or a member that is not
            what the family needs; the message says what is missing.
    """
    if family not in FAMILIES:
        raise ConfigError(
            f"unknown family {family!r}{suggest(family, FAMILIES)} Known: {', '.join(FAMILIES)}."
        )
    described = FAMILIES[family]
    pattern = r"[a-z0-9_/.\-]+" if family in ("experiment", "suite") else r"[a-z][a-z0-9_]*"
    if not re.fullmatch(pattern, name):
        raise ConfigError(
            f"{family} {name!r}: not usable as a name; use lower-case letters, digits and _"
        )
    missing = list(_missing(described, name, member))
    if missing:
        raise ConfigError(f"{family} {name!r} cannot be registered:\n" + "\n".join(missing))
    table = described.table
    if name in table and table[name] is not member and not replace:
        raise ConfigError(
            f"{family} {name!r} is taken by {_described(table[name])}; choose another name, or say "
            "replace=True"
        )
    table[name] = member
    return member


def _missing(family: Family, name: str, member: Any) -> Iterable[str]:
    """What a member lacks, one line each."""
    base = _named(family.base) if family.base is not None else None
    if base is None:
        yield from _missing_of_function(family, member)
    elif not family.defines:
        if not isinstance(member, base):
            yield f"  it is {_described(member)}; needed: an object of {_described(base)}"
        elif getattr(member, "name", name) != name:
            yield f"  it calls itself {getattr(member, 'name', None)!r}; needed: the same name"
    elif not (inspect.isclass(member) and issubclass(member, base)):
        yield f"  it is {_described(member)}; needed: a class that extends {_described(base)}"
    else:
        if all(getattr(member, method) is getattr(base, method) for method in family.defines):
            yield f"  it defines no {' or '.join(family.defines)}"
        yield from _missing_keywords(family, member.__init__, "the constructor")


def _missing_of_function(family: Family, member: Any) -> Iterable[str]:
    if not callable(member):
        yield f"  it is {_described(member)}; needed: a function"
        return
    positional = [
        parameter
        for parameter in inspect.signature(member).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) != 1:
        yield f"  it takes {len(positional)} positional arguments; needed: one, the path or None"
    yield from _missing_keywords(family, member, "the function", options=False)


def _missing_keywords(
    family: Family, function: Callable[..., Any], called: str, *, options: bool = True
) -> Iterable[str]:
    """Parameters that a configuration could not set, and those that are missing."""
    parameters = [
        parameter
        for key, parameter in inspect.signature(function).parameters.items()
        if key != "self"
    ]
    by_keyword = {
        parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    }
    for name in family.given:
        if name not in by_keyword:
            yield f"  {called} takes no keyword-only parameter {name!r} (after a bare *)"
    if not options:
        return
    for parameter in parameters:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            yield f"  {called} takes {str(parameter)!r}, which is not keyword-only (put it after a bare *)"
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        yield f"  {called}'s annotations cannot be read when it is checked: {error}"
        return
    for name in sorted(by_keyword - set(family.given) - hints.keys()):
        yield f"  {called}'s option {name!r} has no annotation, so its value cannot be checked"


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _described(value: Any) -> str:
    named = value if inspect.isclass(value) or inspect.isfunction(value) else None
    if named is not None:
        return f"{named.__module__}.{named.__qualname__}"
    return f"{type(value).__name__} {value!r}"[:80]
