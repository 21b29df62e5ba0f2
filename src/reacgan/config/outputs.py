"""Where output goes: told at once, before minutes of work, where it cannot be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from reacgan.config.home import path_of
from reacgan.config.registry import ConfigError

_ADVICE = "choose another place (--out)"


def reason_of(error: OSError) -> str:
    """What the system says of a failure, in words without its number: ``permission denied``."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def refuse_unwritable(
    out: str | Path, kind: Literal["file", "folder"], *, endings: Iterable[str] = ()
) -> Path:
    """See that a file or folder can be written, and leave nothing behind.

    Folders that are missing are not: whoever writes makes them.

    Args:
        out: where it is to be written.
        kind: of what is to be written.
        endings: those of which the name has to have one (``.zip``), in small letters; none for any.

    Returns:
        The path, with ``~`` written out.

    Raises:
        ConfigError: a folder where a file is to be, or a file where a folder is to be or on the way to
            it; a place where nothing can be written (permissions, a full disk, a read-only or missing
            device); another ending.
    """
    path, allowed = path_of(out), tuple(endings)
    if allowed and path.suffix.lower() not in allowed:
        stem = path.stem if path.suffix[1:].isalpha() else path.name  # v1.2 has no ending
        has = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise ConfigError(
            f"{out}: its name {has}; allowed: {', '.join(allowed)}. "
            f"Give --out {path.with_name(stem + allowed[0])}"
        )
    nearest = path if kind == "folder" else path.parent
    try:
        if kind == "file" and path.is_dir():
            raise ConfigError(
                f"{out}: cannot be written, since it is a folder; give the name of a file (--out)"
            )
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        if not nearest.is_dir():
            what = "it" if nearest == path else str(nearest)
            raise ConfigError(f"{out}: cannot be written, since {what} is a file; {_ADVICE}")
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        where = "" if nearest == path else f" in {nearest}"
        raise ConfigError(
            f"{out}: cannot be written{where}: {reason_of(error)}; {_ADVICE}"
        ) from None
    return path
