"""Published weights: from the cache or fetched, checked, and stored without pickle.

A published ``.pth`` file is read once, tensors only, and stored as safetensors. Weights are
identified by the digest of their tensors, whatever the file format.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reacgan.config import ConfigError, path_of
from reacgan.data import DataError
from reacgan.data.download import UnreachableError, download
from reacgan.files import (
    cache_root,
    digest_of,
    locked,
    not_kept,
    replacing,
    scratch_folder,
)
from reacgan.progress import stage
from reacgan.records import parse_json
from reacgan.tensors import read_tensors
from reacgan.unpacking import refuse_bomb, zip_parts

Layout = Mapping[str, tuple[int, ...]]
"""Name and shape of every tensor that a network needs."""

_LISTED = 6


@dataclass(frozen=True)
class PublishedWeights:
    """A ``.pth`` file of a state dict: extractor, URL, checksum."""

    extractor: str
    url: str
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors of a network, float32 on the CPU."""

    tensors: dict[str, Tensor]
    digest: str
    """SHA-256 over names, shapes and values."""
    source: str | None = None
    """SHA-256 of the original ``.pth`` file, if known."""

    def known_as(self, published: PublishedWeights) -> str:
        """Their identifier in protocols: the published file's SHA-256, or their own digest."""
        return published.sha256 if self.source == published.sha256 else self.digest


def load_weights(path: str | None, published: PublishedWeights, layout: Layout) -> Weights:
    """Weights of a local file, or the published ones from the cache, fetched if necessary.

    Args:
        path: a ``.safetensors`` file, or a ``.pth`` of tensors; None for the published ones.
        published: the file to fetch.
        layout: of the network; ``num_batches_tracked`` is ignored.

    Raises:
        DataError: unreachable; names the URL, the checksum and the destination.
        ConfigError: no such file, damaged, code instead of tensors, or of another network.
    """
    if path is not None:
        return read_weights(path_of(path), published.extractor, layout)
    kept = kept_at(published)
    weights = _read_kept(kept, published.extractor, layout)
    if weights is not None:
        return weights
    try:
        with locked(Path(f"{kept}.lock"), f"fetches the weights of {published.extractor}"):
            weights = _read_kept(kept, published.extractor, layout)  # another process was faster
            return weights or _convert(published, kept, layout)
    except OSError as error:
        not_kept(kept.parent, error, "weights are kept in memory and fetched again next time")
    try:
        with scratch_folder(Path(tempfile.gettempdir()) / kept.name, "reacgan-") as folder:
            return read_weights(_fetched(published, folder), published.extractor, layout)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or kept}: cannot be written: {error.strerror}. Set REACGAN_CACHE to a folder "
            "that can be written"
        ) from None


def kept_at(published: PublishedWeights) -> Path:
    """The path of converted published weights in the cache."""
    return cache_root() / "extractors" / f"{_file_name(published)}.safetensors"


def read_weights(path: Path, extractor: str, layout: Layout) -> Weights:
    """Weights of a local file with this layout.

    Raises:
        ConfigError: no such file, damaged, code instead of tensors, or of another network.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file; needed: weights of {extractor} (.safetensors, .pth)"
        )
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    tensors = {
        name: value for name, value in state.items() if not name.endswith("_batches_tracked")
    }
    _check_layout(path, tensors, extractor, layout)
    ordered = {name: tensors[name].float().contiguous() for name in sorted(layout)}
    if not all(bool(value.isfinite().all()) for value in ordered.values()):
        raise ConfigError(f"{path}: holds NaN or infinity; fetch it again")
    return Weights(ordered, _digest(ordered), _source_of(path))


def _source_of(path: Path) -> str | None:
    if path.suffix != ".safetensors":
        return digest_of(path)
    return _read_described(path).get("source")


def _convert(published: PublishedWeights, kept: Path, layout: Layout) -> Weights:
    weights = read_weights(_fetched(published), published.extractor, layout)
    try:
        with replacing(kept) as temporary:
            save_file(weights.tensors, temporary, metadata=_described(weights))
    except OSError as error:
        not_kept(kept.parent, error, "weights are kept in memory and converted again next time")
    return weights


def _described(weights: Weights) -> dict[str, str]:
    # A single key: safetensors does not keep the order of several.
    return {"weights": json.dumps({"digest": weights.digest, "source": weights.source})}


def _read_described(path: Path) -> dict[str, str | None]:
    with safe_open(path, "pt") as file:
        try:
            return dict(parse_json((file.metadata() or {}).get("weights", "{}")))
        except ValueError:
            return {}


def why_missing(published: PublishedWeights) -> str:
    """Why published weights are not at hand, after one attempt to fetch them; empty if they are."""
    if kept_at(published).is_file():
        return ""
    try:
        _download(published, attempts=1)
    except UnreachableError as error:
        return f"cannot be fetched here: {error.failure}"
    except (DataError, OSError) as error:
        return f"cannot be used: {error}"
    return ""


def _fetched(published: PublishedWeights, folder: Path | None = None) -> Path:
    try:
        return _download(published, attempts=3, folder=folder)
    except UnreachableError as error:
        words = ["curl", "-fL", "--create-dirs", "-o", str(_downloaded(published)), published.url]
        raise DataError(
            f"{shlex.join(words)}\n"
            f"  fetches the weights of {published.extractor} ({published.size / 1e6:.0f} MB, sha256 "
            f"{published.sha256}), which failed here: {error.failure}. A copy of the file elsewhere: "
            "--weights FILE; without a download: --extractor domain"
        ) from None
    except DataError as error:
        raise DataError(
            f"the extractor {published.extractor!r} needs its published weights: {error}. The "
            "extractor 'domain' needs no download"
        ) from None


def _download(published: PublishedWeights, *, attempts: int, folder: Path | None = None) -> Path:
    destination = _downloaded(published) if folder is None else folder / _file_name(published)
    if destination.exists() and digest_of(destination) != published.sha256:
        destination.unlink()  # damaged: nothing else has this name in the cache
    what = f"fetching the weights of {published.extractor}"
    with stage(what, published.size, "bytes") as progress:
        return download(
            published.url,
            destination,
            sha256=published.sha256,
            attempts=attempts,
            progress=progress.at,
        )


def _downloaded(published: PublishedWeights) -> Path:
    """Where the published file itself is kept."""
    return cache_root() / "downloads" / _file_name(published)


def _read_kept(kept: Path, extractor: str, layout: Layout) -> Weights | None:
    """The converted weights, or None where they are missing, damaged, or of an older layout."""
    if not kept.is_file():
        return None
    try:
        written = _read_described(kept).get("digest")
        weights = read_weights(kept, extractor, layout)
    except (SafetensorError, OSError, ConfigError):
        return None
    return weights if weights.digest == written else None


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(read_tensors(path))
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"{path}: not an intact safetensors file ({error}); fetch it again"
        ) from None


def _read_pth(path: Path) -> dict[str, Any]:
    """Tensors of a file of ``torch.save``; anything that would run code is refused."""
    if any("/code/" in part.filename for part in zip_parts(path)):
        raise ConfigError(
            f"{path}: a TorchScript program, which would run code of others; "
            "needed: a state dict (.pth) or .safetensors"
        )
    try:
        refuse_bomb(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and hostile files raise anything
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{path}: cannot be read as tensors alone ({first}); needed: a state dict (.pth) or "
            ".safetensors"
        ) from None
    if not isinstance(state, dict):
        raise ConfigError(f"{path}: holds a {type(state).__name__}; needed: names and tensors")
    return state


def _check_layout(path: Path, tensors: Mapping[str, Any], extractor: str, layout: Layout) -> None:
    wrong = []
    for name in sorted(set(layout) & set(tensors)):
        value = tensors[name]
        if not isinstance(value, Tensor) or value.dtype not in _FLOATS:
            wrong.append(f"{name} (no tensor of floats of 16 to 64 bits)")
        elif tuple(value.shape) != layout[name]:
            wrong.append(f"{name} {list(value.shape)} (needed {list(layout[name])})")
    faults = [
        ("missing", sorted(set(layout) - set(tensors))),
        ("wrong", wrong),
        ("unknown", sorted(str(name) for name in set(tensors) - set(layout))),
    ]
    said = [f"{word}: {_some(names)}" for word, names in faults if names]
    if said:
        raise ConfigError(f"{path}: not the weights of {extractor}. " + "; ".join(said))


_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in tensors.items():
        digest.update(f"{name}{list(value.shape)}\n".encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


def _file_name(published: PublishedWeights) -> str:
    return published.url.rpartition("/")[2]
