"""Published checkpoints: finding files, and reading their tensors without running code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.unpacking import refuse_bomb, zip_parts

STATE = "state_dict"
PARALLEL = "module."
_STEP = re.compile(r"step=(\d+)")
# torch's messages about a file with more than tensors: the name of a function or class, or its kind.
_OBJECT = re.compile(r"GLOBAL ([\w.]+)")
_OBJECTS = re.compile(r"Can only|unrecognized function|must be imported")
_REASON = re.compile(r"WeightsUnpickler error:\s*(.+)")
_NEEDED = "needed: a published checkpoint, a .pth with names and tensors below 'state_dict'"


@dataclass(frozen=True, eq=False)
class PublishedNetwork:
    """One network's tensors by their published names, and the generator step they are of."""

    path: Path
    tensors: dict[str, Tensor]
    step: int | None


def find_files(path: Path, *, use_average: bool) -> tuple[Path, Path | None]:
    """The file of the generator and that of the discriminator beside it, if there is one.

    Args:
        path: a file, which is the generator's, or a folder of files ``model=G...``, ``model=D...``:
            there the best state is preferred to the current one.
        use_average: in a folder, the averaged generator (``model=G_ema-...``) instead of the other.

    Raises:
        ConfigError: no such file, no such generator in the folder, or several states of it.
    """
    if path.is_file():
        return path, None
    if not path.is_dir():
        raise ConfigError(f"{path}: no such file or folder; {_NEEDED}")
    role, other = ("G_ema", "G") if use_average else ("G", "G_ema")
    for when in ("best", "current"):
        generator = _only(path, role, when)
        if generator is not None:
            return generator, _only(path, "D", when)
    there = any(_only(path, other, when) for when in ("best", "current"))
    instead = f"; it holds model={other}-...pth: use_average={not use_average} takes it"
    raise ConfigError(
        f"{path}: holds no model={role}-best-...pth or model={role}-current-...pth"
        + (instead if there else "; give the generator's file itself")
    )


def _only(folder: Path, role: str, when: str) -> Path | None:
    paths = sorted(folder.glob(f"model={role}-{when}-*.pth"))
    if len(paths) > 1:
        names = ", ".join(file.name for file in paths)
        raise ConfigError(f"{folder}: holds {names}; give one of these files")
    return paths[0] if paths else None


def read_published(path: Path) -> PublishedNetwork:
    """The tensors of a checkpoint, without the prefix that parallel training puts before names.

    Anything else in it (optimisers, scores) is ignored.

    Raises:
        ConfigError: no such file, damaged, code instead of tensors, or without names and tensors.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; {_NEEDED}")
    content = _read(path)
    state = content.get(STATE, content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        kind = f"no names and tensors below {STATE!r}" if state is not content else "something else"
        raise ConfigError(f"{path}: holds {kind} ({type(state).__name__}); {_NEEDED}")
    while all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): value for name, value in state.items()}
    wrong = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise ConfigError(f"{path}: {wrong[0]!r} is no tensor; {_NEEDED}")
    return PublishedNetwork(path, dict(state), _step_of(path, content))


def _step_of(path: Path, content: dict[str, Any]) -> int | None:
    step = content.get("step")
    if type(step) is int and step >= 0:
        return step
    named = _STEP.search(path.name)
    return int(named.group(1)) if named else None


def _read(path: Path) -> Any:
    try:
        if any("/code/" in part.filename for part in zip_parts(path)):
            raise _refused(path, "a TorchScript program")
        refuse_bomb(path)
        with torch.serialization.safe_globals(_plain_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except ConfigError:
        raise
    except Exception as error:  # a damaged or hostile file can raise anything
        text = str(error) or type(error).__name__
    named = _OBJECT.search(text)
    if named or _OBJECTS.search(text):
        raise _refused(path, named.group(1) if named else "other objects")
    reason = _REASON.search(text)
    said = reason.group(1) if reason else text.splitlines()[0]
    raise ConfigError(f"{path}: damaged or no checkpoint ({said}); download it again")


def _refused(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"{path}: holds code ({what}), which reading would run, so it is refused; needed: tensors, "
        f"numbers and text alone. Ask its publisher for its {STATE!r} by itself, or, if you trust it, "
        f"load it in a place without network and files of yours and save its {STATE!r} alone"
    )


def _plain_numbers() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What unpickling NumPy numbers needs: published scores are such numbers."""
    import numpy as np  # noqa: PLC0415

    make: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    homes = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((make, home) for home in homes), np.dtype, *kinds]
