"""An order of images that depends on their contents, not on their indices."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def digests(rows: npt.NDArray[np.generic]) -> Iterator[bytes]:
    """A hash of 16 bytes for each of the rows ``[N, ...]``."""
    return (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows)


def content_order(features: Tensor, *, seed: int = 0) -> Tensor:
    """:func:`scattered_order` of features ``[N, D]``, as indices int64 ``[N]`` on the CPU."""
    rows = features.detach().cpu().float().contiguous().numpy()
    return torch.from_numpy(scattered_order(rows, seed=seed))


def scattered_order(rows: npt.NDArray[np.generic], *, seed: int = 0) -> npt.NDArray[np.int64]:
    """Indices that put rows ``[N, ...]`` in the order of hashes of their bytes.

    Any permutation of the rows gives the same sequence of contents, and its first n are a random draw
    of n rows that depends on the seed. Copies are hashed with a running number, which scatters them.

    Returns:
        int64 ``[N]``.
    """
    keys = _keys(rows, np.zeros(len(rows), dtype=np.int64), seed)
    return np.argsort(keys, kind="stable").astype(np.int64)


def balanced_order(
    rows: npt.NDArray[np.generic], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Like :func:`scattered_order`, but every prefix keeps the proportions of the classes.

    The j-th of a class of n_y rows, in the order of hashes, has the key (j + 1/2) / n_y.

    Args:
        rows: ``[N, ...]``.
        labels: ``[N]``.

    Returns:
        int64 ``[N]``.
    """
    keys = _keys(rows, labels, 0)
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks = np.argsort(np.argsort(keys[members], kind="stable"), kind="stable")
        places[members] = (ranks + 0.5) / len(members)
    return np.lexsort((keys, labels, places)).astype(np.int64)


def _keys(
    rows: npt.NDArray[np.generic], labels: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.bytes_]:
    """Hex text ``[N]``: numpy strips trailing zero bytes of byte strings."""
    key = (seed % 2**64).to_bytes(8, "little")
    seen: Counter[tuple[bytes, int]] = Counter()
    keys = []
    for content, label in zip(digests(rows), labels.tolist(), strict=True):
        numbered = content + seen[content, label].to_bytes(8, "little")
        seen[content, label] += 1
        keys.append(hashlib.blake2b(numbered, digest_size=16, key=key).hexdigest())
    return np.array(keys, dtype="S32")
