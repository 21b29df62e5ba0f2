"""Resumable states on disk: whole or not there, verified, and never unpickled.

A checkpoint is a folder ``checkpoints/<images seen>`` with one safetensors file for each part of the
state and ``state.json``, which holds the clock and the digest of each file. It is written beside its
final name, flushed to the disk, and renamed; older ones go only after the new one has been read back.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from reacgan.config import ConfigError
from reacgan.files import digest_of, flush_folder, flush_to_disk, naming
from reacgan.training.background import Saveable
from reacgan.training.state import TrainState

FORMAT = 2
_MANIFEST = "state.json"


class CheckpointError(ConfigError):
    """A checkpoint that cannot be used; names the file and what is wrong with it."""


class OtherFactsError(CheckpointError):
    """A whole checkpoint of another data set or model."""


class FormatError(CheckpointError):
    """A whole checkpoint of another version of this package."""


def save_checkpoint(
    state: Saveable, folder: Path, *, keep: int, facts: dict[str, Any], good: int | None = None
) -> Path:
    """Write the state below ``folder``, then remove all before it but the latest ``keep``.

    Args:
        state: what to save: the state itself, or a copy of it.
        folder: the run's ``checkpoints``.
        keep: how many of the latest stay, this one included.
        facts: plain values that must be equal when the state is loaded again.
        good: the newest of at most this many images seen stays as well.

    Returns:
        The new checkpoint's folder.

    Raises:
        OSError: the disk is full or read-only; nothing is left of the attempt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{state.images_seen:012d}"
    for torn in folder.glob(".writing-*"):  # left by a process that was killed while it saved
        shutil.rmtree(torn)
    writing = folder / f".writing-{final.name}"
    try:
        _write(state, writing, facts)
    except BaseException:  # a full disk needs the room
        shutil.rmtree(writing, ignore_errors=True)
        raise
    if final.exists():  # the same clock again: only a damaged one can differ
        shutil.rmtree(final)
    writing.rename(final)
    flush_to_disk(folder)
    read_manifest(final)
    # Later ones were passed over as damaged: they do not count.
    whole = [path for path in list_checkpoints(folder) if path.name <= final.name]
    spared = [path for path in whole if good is not None and int(path.name) <= good][-1:]
    for old in whole[:-keep]:
        if old not in spared:
            shutil.rmtree(old, ignore_errors=True)
    return final


def _write(state: Saveable, writing: Path, facts: dict[str, Any]) -> None:
    writing.mkdir()
    digests = {}
    for part, tensors in state.tensors().items():
        file = writing / f"{part}.safetensors"
        with naming(file):
            save_file(
                {name: value.detach().contiguous().cpu() for name, value in tensors.items()}, file
            )
        digests[file.name] = digest_of(file)
    manifest = {
        "format": FORMAT,
        "images_seen": state.images_seen,
        "facts": facts,
        "digests": digests,
    }
    with naming(writing / _MANIFEST):
        (writing / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    flush_folder(writing)


def load_latest(state: TrainState, folder: Path, *, facts: dict[str, Any]) -> Path | None:
    """Load the newest checkpoint that verifies into ``state``; None where there is none.

    A damaged one is reported as a warning and the one before it is taken.

    Raises:
        CheckpointError: every checkpoint is damaged, or the newest good one is of another format.
        OtherFactsError: it belongs to other facts (another data set, another model).
    """
    candidates = list_checkpoints(folder)
    problems = []
    for path in reversed(candidates):
        try:
            manifest = read_manifest(path)
        except FormatError:
            raise
        except CheckpointError as error:
            problems.append(str(error))
            warnings.warn(f"{error}; trying the one before", stacklevel=2)
            continue
        for name, value in facts.items():
            if manifest["facts"].get(name) != value:
                raise OtherFactsError(
                    f"{path}: was made with {name} = {manifest['facts'].get(name)!r}, now it is "
                    f"{value!r}; resume with the same, or choose another --out"
                )
        parts = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
        try:
            state.load_tensors(parts)
        except (ValueError, KeyError) as error:
            raise CheckpointError(f"{path}: does not fit this experiment: {error}") from None
        state.images_seen = int(manifest["images_seen"])
        return path
    if problems:
        raise CheckpointError(
            "no checkpoint is whole:\n" + "\n".join(problems) + "\nDelete them to start anew."
        )
    return None


def remove_after(folder: Path, images_seen: int) -> None:
    """Remove the checkpoints of later moments, newest first: the run goes on from an earlier one."""
    for path in reversed(list_checkpoints(folder)):
        if int(path.name) > images_seen:
            shutil.rmtree(path)
    flush_to_disk(folder)


def list_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints below a run's ``checkpoints`` folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())


def read_manifest(path: Path) -> dict[str, Any]:
    """A checkpoint's manifest after each file's digest has been compared with it."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        made_with, digests = manifest["format"], manifest["digests"]
        int(manifest["images_seen"]), dict(manifest["facts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path / _MANIFEST}: not readable ({error!r})") from None
    if made_with != FORMAT:
        raise FormatError(
            f"{path}: is of format {made_with}, this version reads {FORMAT}; resume with the version "
            "that wrote it, or choose another --out. Its model can be sampled from as it is."
        )
    for name, expected in digests.items():
        file = path / name
        try:
            digest = digest_of(file)
        except OSError:
            digest = None
        if digest != expected:
            raise CheckpointError(f"{file}: missing or damaged (checksum mismatch)")
    return dict(manifest)


def read_part(path: Path, part: str) -> dict[str, Any]:
    """The tensors of one part (``average``, ``generator``, ...) of a checkpoint."""
    try:
        return load_file(path / f"{part}.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path / part}.safetensors: not readable ({error})") from None
