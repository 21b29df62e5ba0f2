"""Docstrings as the site shows them: roles such as :func:`name` become plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:\w+:)?\w+:`~?([^`]+)`")


class PlainRoles(griffe.Extension):
    """Replaces the roles of reStructuredText, which Markdown does not know, by their names."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of whatever was read."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """Markdown of a docstring; ``name::`` opens an indented block there, ``name:`` here."""
    text = _ROLE.sub(lambda role: f"`{role[1]}`", text).replace("``", "`")
    return re.sub(r"::\n\n(?=    )", ":\n\n", text)
