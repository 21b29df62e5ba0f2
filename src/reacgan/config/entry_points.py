"""Members that other installed packages bring: found by entry point, loaded when they are needed."""

from __future__ import annotations

import inspect
import warnings
from importlib.metadata import EntryPoint, entry_points

GROUP = "reacgan.plugins"

_met: set[EntryPoint] = set()


def load_plugins() -> None:
    """Load each entry point of the group ``reacgan.plugins``, once in a process.

    An entry point is a module that registers while it is imported, or a function that is called.
    One that fails is named in a warning, and the others are loaded all the same.
    """
    for found in entry_points(group=GROUP):
        if found in _met:
            continue
        _met.add(found)  # first, since a plugin may look something up itself
        try:
            loaded = found.load()
            if not inspect.ismodule(loaded):
                loaded()
        except Exception as error:
            package = found.dist.name if found.dist is not None else "an unknown package"
            warnings.warn(
                f"the plugin {found.name!r} ({found.value}, of {package}) could not be loaded: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
