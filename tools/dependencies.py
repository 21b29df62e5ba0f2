"""What pyproject.toml asks for, and what is installed because of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ImportError:  # Python 3.10; comes with pip-audit
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
REQUIRED = "always"
"""The group of what every installation brings."""


def groups() -> dict[str, list[Requirement]]:
    """Requirements of the package (``always``) and of each extra, without the extras it includes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    stated = {REQUIRED: project["dependencies"], **project["optional-dependencies"]}
    parsed = {group: [Requirement(text) for text in texts] for group, texts in stated.items()}
    return {
        group: [requirement for requirement in requirements if requirement.name != project["name"]]
        for group, requirements in parsed.items()
    }


def direct() -> dict[str, list[str]]:
    """Normalized name of each direct dependency, with the groups that ask for it."""
    return _by_name(
        {
            name: [canonicalize_name(requirement.name) for requirement in requirements]
            for name, requirements in groups().items()
        }
    )


def installed() -> dict[str, list[str]]:
    """Normalized name of each installed package that a group brings, directly or not, with the groups."""
    return _by_name({name: _closure(requirements) for name, requirements in groups().items()})


def version_of(name: str) -> str:
    """Its version as an index has it: without the build that follows a plus sign."""
    return distribution(name).version.partition("+")[0]


def _by_name(names: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    asking: defaultdict[str, list[str]] = defaultdict(list)
    for group, members in names.items():
        for name in dict.fromkeys(members):
            asking[name].append(group)
    return {
        name: [REQUIRED] if REQUIRED in groups else groups
        for name, groups in sorted(asking.items())
    }


def _closure(requirements: Iterable[Requirement]) -> list[str]:
    """What is installed of the requirements, and of theirs."""
    waiting = [(requirement, "") for requirement in requirements]
    seen: dict[tuple[str, str], None] = {}
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            asked = distribution(name).requires or []
        except PackageNotFoundError:  # an extra that is not installed
            continue
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen[name, wanted] = None
                waiting += [(Requirement(text), wanted) for text in asked]
    return list(dict.fromkeys(name for name, _ in seen))
