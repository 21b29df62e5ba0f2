"""Reading what a run may replace at the same moment: read again, never a mixture of two states.

A model folder is replaced as a whole by two renames, and a run removes the states it no longer keeps.
Whoever reads meanwhile finds a file missing, or weights of one state beside the configuration of another,
which their digests tell. Both are no damage: the folder is read again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from reacgan.config import ConfigError, with_home
from reacgan.hub.folder import CONFIG, candidates

Read = TypeVar("Read")

ATTEMPTS = 20
"""How often a folder is read that is replaced each time."""
_PAUSE = 0.02
"""Seconds before the second attempt; each later one waits as much longer, half a second at most."""
_STATES = "checkpoints"

_LOG = logging.getLogger(__name__)


def steadily(path: str | Path, read: Callable[[], Read]) -> Read:
    """What ``read`` returns, which is called again where the model was replaced while it failed.

    Args:
        path: of a model or its run, or its name, of which nothing is replaced.
        read: reads it all anew each time.

    Raises:
        ConfigError: of ``read``, for something that stays as it is, or is replaced all the time.
    """
    for attempt in range(1, ATTEMPTS + 1):
        before = _marks(path)
        try:
            return read()
        except (ConfigError, OSError) as error:
            if attempt == ATTEMPTS or _marks(path) == before:
                raise
            _LOG.info("%s: replaced while it was read; reading again (%s)", path, error)
        time.sleep(min(0.5, _PAUSE * attempt))
    raise AssertionError("unreachable")


def _marks(path: str | Path) -> list[tuple[int, int] | None]:
    """What tells one model, or one set of states, from that which replaces it."""
    where = Path(with_home(str(path))).absolute()
    files = [folder / CONFIG for folder in candidates(where)]
    return [_mark(file) for file in (*files, where / _STATES, where.parent / _STATES)]


def _mark(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
