"""Resumable states on disk: whole or not there, verified, and never unpickled.

A checkpoint is a folder ``checkpoints/<images seen>`` with one safetensors file for each part of the
state and ``state.json``, which holds the clock and the digest of each file, sealed by its own digest. It is
written beside its final name, flushed to the disk, and renamed; older ones go only after the new one has
been read back. Files that the manifest does not name are ignored.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.files import digest_of, flush_folder, flush_to_disk, naming, read_regular
from reacgan.leftovers import UNFINISHED, remove, sweep
from reacgan.progress import heartbeat
from reacgan.records import SEAL, check_seal, read_json, sealed
from reacgan.tensors import parsed_tensors
from reacgan.training.background import Saveable
from reacgan.training.state import TrainState

FORMAT = 3
READABLE = (2, 3)
"""States of format 2 are the same without a seal."""
PARTS = ("generator", "discriminator", "average", "adaptive", "g_optimizer", "d_optimizer")
_LONGEST = 2**53
"""Images seen beyond which no whole number is exact in every reader of JSON."""
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
    sweep(folder, also=UNFINISHED)
    writing = folder / f".writing-{final.name}"
    try:
        _write(state, writing, facts)
    except BaseException:  # a full disk needs the room
        shutil.rmtree(writing, ignore_errors=True)
        raise
    if final.exists():  # the same clock again: only a damaged one can differ
        remove(final)
    writing.rename(final)
    flush_to_disk(folder)
    read_manifest(final)
    retire(folder, state.images_seen, keep=keep, good=good)
    return final


def retire(folder: Path, images_seen: int, *, keep: int, good: int | None = None) -> None:
    """Remove the checkpoints before this one but the latest ``keep``, as :func:`save_checkpoint` does."""
    # Later ones were passed over as damaged: they do not count.
    whole = [path for path in list_checkpoints(folder) if int(path.name) <= images_seen]
    spared = [path for path in whole if good is not None and int(path.name) <= good][-1:]
    for old in whole[:-keep]:
        if old not in spared:
            with suppress(OSError):
                remove(old)


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
        heartbeat()  # a slow disk is none that hangs
    manifest = {
        "format": FORMAT,
        "images_seen": state.images_seen,
        "facts": facts,
        "digests": digests,
    }
    with naming(writing / _MANIFEST):
        text = json.dumps(sealed(manifest), indent=2)
        (writing / _MANIFEST).write_text(text, encoding="utf-8")
    flush_folder(writing)


def load_latest(state: TrainState, folder: Path, *, facts: dict[str, Any]) -> Path | None:
    """Load the newest checkpoint that verifies into ``state``; None where there is none.

    A damaged one is reported as a warning and the one before it is taken.

    Raises:
        CheckpointError: every checkpoint is damaged, or the newest good one is of another format.
        OtherFactsError: it belongs to other facts (another data set, another model).
    """
    problems = []
    for path in reversed(list_checkpoints(folder)):
        try:
            manifest = _opened(path)
            _compare_facts(path, manifest["facts"], facts)
            parts = _read_parts(path, manifest["digests"], state)
        except (FormatError, OtherFactsError):
            raise
        except CheckpointError as error:
            problems.append(str(error))
            warnings.warn(f"{error}; trying the one before", stacklevel=2)
            continue
        try:
            state.load_tensors(parts)
        except ValueError as error:
            raise CheckpointError(f"{path}: does not fit this experiment: {error}") from None
        state.images_seen = manifest["images_seen"]
        return path
    if problems:
        raise CheckpointError(
            "no checkpoint is whole:\n" + "\n".join(problems) + "\nDelete them to start anew."
        )
    return None


def _compare_facts(path: Path, recorded: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if recorded.get(name) != value:
            raise OtherFactsError(
                f"{path}: was made with {name} = {recorded.get(name)!r}, now it is "
                f"{value!r}; resume with the same, or choose another --out"
            )


def _read_parts(
    path: Path, digests: Mapping[str, str], state: TrainState
) -> dict[str, dict[str, Tensor]]:
    """A checkpoint's tensors, each file read once, and no more bytes than the state can fill."""
    parts = {}
    for part, expected in state.expected().items():
        size = sum(shape.numel() * kind.itemsize for shape, kind in expected.values())
        file = path / f"{part}.safetensors"
        most = size + _HEADER * (len(expected) + 8)
        parts[part] = _tensors(file, digests[file.name], most=most)
    return parts


_HEADER = 1024
"""Bytes that a name and its description take in a file's header, at most."""


def _tensors(file: Path, recorded: str, *, most: int | None = None) -> dict[str, Tensor]:
    try:
        content = read_regular(file, most=most)
    except OSError as error:
        raise CheckpointError(f"{file}: missing or damaged ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != recorded:
        raise CheckpointError(f"{file}: missing or damaged (checksum mismatch)")
    try:
        return parsed_tensors(content)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: not readable ({error})") from None


def remove_after(folder: Path, images_seen: int) -> None:
    """Remove the checkpoints of later moments, newest first: the run goes on from an earlier one."""
    for path in reversed(list_checkpoints(folder)):
        if int(path.name) > images_seen:
            remove(path)
    flush_to_disk(folder)


def list_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints below a run's ``checkpoints`` folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())


def read_manifest(path: Path) -> dict[str, Any]:
    """A checkpoint's manifest after each file's digest has been compared with it.

    Raises:
        CheckpointError: damaged; :class:`FormatError` where it is of another version.
    """
    manifest = _opened(path)
    for name, expected in manifest["digests"].items():
        try:
            digest = digest_of(path / name)
        except OSError:
            digest = None
        if digest != expected:
            raise CheckpointError(f"{path / name}: missing or damaged (checksum mismatch)")
    return manifest


def _opened(path: Path) -> dict[str, Any]:
    """The manifest, with its seal and every key checked; the files that it names are not read."""
    file = path / _MANIFEST
    try:
        record = read_json(file)
        made_with = record["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: not readable ({error!r})") from None
    if type(made_with) is int and made_with not in READABLE and SEAL not in record:
        raise _another_format(path, made_with)
    try:
        manifest = check_seal(record, required=made_with == FORMAT)
        _check_keys(manifest, path)
    except ValueError as error:
        raise CheckpointError(f"{file}: damaged ({error})") from None
    if made_with not in READABLE:
        raise _another_format(path, made_with)
    return manifest


def _another_format(path: Path, made_with: Any) -> FormatError:
    listed = " and ".join(map(str, READABLE))
    return FormatError(
        f"{path}: is of format {made_with}, this version reads {listed}; resume with the version "
        "that wrote it, or choose another --out. Its model can be sampled from as it is."
    )


def _check_keys(manifest: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError where a key of a manifest is not what a save writes."""
    seen = manifest.get("images_seen")
    if type(seen) is not int or not 0 <= seen < _LONGEST:
        raise ValueError(f"images_seen is {str(seen)[:40]}")
    if path.name.isdigit() and int(path.name) != seen:
        raise ValueError(f"images_seen is {seen}, the folder's name says {int(path.name)}")
    if not isinstance(manifest.get("facts"), dict):
        raise ValueError("facts are missing")
    digests = manifest.get("digests")
    files = {f"{part}.safetensors" for part in PARTS}
    if not isinstance(digests, dict) or set(digests) != files:
        raise ValueError("it does not name the files of a state")


def read_part(path: Path, part: str) -> dict[str, Tensor]:
    """The tensors of one part (``average``, ``generator``, ...) of a checkpoint, verified."""
    file = path / f"{part}.safetensors"
    return _tensors(file, _opened(path)["digests"][file.name])
