"""What the site's pages need beside their Markdown; named in mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import reacgan

ROOT = Path(__file__).parents[1]
_DOCUMENTED = re.compile(r"<!-- documented: ([\w.]+) -->")
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s#]+)\)")


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Fill in documentation where the page on Python has its marks, and take out links to code."""
    first: dict[str, str] = {}
    markdown = _DOCUMENTED.sub(lambda mark: _directive(mark[1], first), markdown)
    return _OUTSIDE.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    """A link to a file of the repository that is no page, as words; a wrong one stays, and is an error."""
    text, path = link.groups()
    if not (ROOT / path).exists():
        return link[0]
    return text if path in text else f"{text} (`{path}`)"


def _directive(named: str, first: dict[str, str]) -> str:
    """The directive of mkdocstrings for a name, by where it is defined; ``first``: those shown before."""
    package, _, name = named.rpartition(".")
    path = path_of(name) if package == "reacgan" else named
    if path in first:
        return f"### {name} {{#{named}}}\n\nAnother name of `{first[path]}`."
    first[path] = name
    return f"::: {path}"


def path_of(name: str) -> str:
    """The dotted path of a public name: that of its definition, or of the module that holds it."""
    value = getattr(reacgan, name)
    module = getattr(value, "__module__", None)
    if isinstance(module, str) and module.startswith("reacgan") and hasattr(value, "__qualname__"):
        return f"{module}.{value.__qualname__}"
    return f"{reacgan._PUBLIC.get(name, 'reacgan')}.{name}"
