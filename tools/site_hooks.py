"""What the site's pages need beside their Markdown; named in mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import reacgan

ROOT = Path(__file__).parents[1]
PUBLIC = "<!-- public names -->"
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s#]+)\)")


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Fill in the public names where the page on Python has its mark, and take out links to code."""
    if PUBLIC in markdown:
        markdown = markdown.replace(PUBLIC, directives())
    return _OUTSIDE.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    """A link to a file of the repository that is no page, as words; a wrong one stays, and is an error."""
    text, path = link.groups()
    if not (ROOT / path).exists():
        return link[0]
    return text if path in text else f"{text} (`{path}`)"


def directives() -> str:
    """Directives of mkdocstrings for everything in ``reacgan.__all__``, by where it is defined."""
    names = sorted({*reacgan.__all__} - {"__version__"}, key=str.lower)
    paths = {name: path_of(name) for name in names}
    first = {path: name for name, path in reversed(paths.items())}
    return "\n\n".join(
        f"::: {path}"
        if first[path] == name
        else f"### {name} {{#reacgan.{name}}}\n\nAnother name of `{first[path]}`."
        for name, path in paths.items()
    )


def path_of(name: str) -> str:
    """The dotted path of a public name: that of its definition, or of the module that holds it."""
    value = getattr(reacgan, name)
    module = getattr(value, "__module__", None)
    if isinstance(module, str) and module.startswith("reacgan") and hasattr(value, "__qualname__"):
        return f"{module}.{value.__qualname__}"
    return f"{reacgan._PUBLIC.get(name, 'reacgan')}.{name}"
