"""Paths as people write them: ``~`` is the home folder, wherever a path may stand."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from reacgan.config.registry import ConfigError

# At the beginning, or after a name: ~/photos, NAME:~/photos, NAME=~/photos, --out=~/runs.
_HOME = re.compile(r"(?P<before>(?:-*[\w.-]+[:=])*)(?P<home>~[\w.-]*)(?P<rest>[/\\].*)?", re.DOTALL)


def with_home(text: str) -> str:
    """The text with a leading ``~`` or ``~user`` written out, also behind ``NAME:`` and ``NAME=``.

    A ``~`` alone is the home folder where it is all there is, or behind an option (``--out=~``):
    behind any other name it stays, since YAML reads ``key=~`` as nothing. A folder that is really
    called ``~`` is ``./~``.
    """
    parts = _HOME.fullmatch(text)
    if parts is None:
        return text
    before, rest = parts["before"], parts["rest"]
    if rest is None and before and not before.startswith("--"):
        return text
    home = os.path.expanduser(parts["home"])  # noqa: PTH111 - Path raises at a user it does not know
    return f"{before}{home}{rest or ''}"


def path_of(text: str | Path) -> Path:
    """A path as a person wrote it, with ``~`` written out.

    Raises:
        ConfigError: neither text nor a path.
    """
    if not isinstance(text, str | os.PathLike):
        raise ConfigError(f"{text!r} is no path; needed: text or a pathlib.Path")
    return Path(with_home(str(text)))


def _written_out(value: Any) -> Any:
    return with_home(value) if isinstance(value, str) else value


PathText = Annotated[str, BeforeValidator(_written_out)]
"""A path in a configuration."""
