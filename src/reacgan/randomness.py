"""Randomness as a function of (seed, stream, images_seen), never of history.

Every draw of a training step comes from a generator that is seeded anew from the run's seed, the
name of the stream and the number of images seen. Resuming is exact without saving any generator
state, and one stream never disturbs another. Draws are made for the *global* batch and each process
keeps its slice, so the number of processes does not change them either.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derive_seed(seed: int, stream: str, counter: int) -> int:
    """A 63-bit seed that depends on all three, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{counter}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Draws:
    """Random tensors for one step: this process's slice of a draw for the global batch.

    Args:
        seed: the run's seed.
        stream: what the draws are for, such as ``"latent"`` or ``"augment/real"``.
        images_seen: the clock.
        device: where the tensors are made; the values differ between kinds of device.
        rank: index of this process.
        world: number of processes.
    """

    def __init__(
        self,
        seed: int,
        stream: str,
        images_seen: int,
        *,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.device = torch.device(device)
        self.rank = rank
        self.world = world
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(derive_seed(seed, stream, images_seen))

    def _mine(self, drawn: Tensor, count: int) -> Tensor:
        return drawn[self.rank * count : (self.rank + 1) * count]

    def normal(self, count: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal ``[count, *shape]``."""
        total = (count * self.world, *shape)
        drawn = torch.randn(total, generator=self.generator, device=self.device)
        return self._mine(drawn, count).to(dtype)

    def uniform(self, count: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform on [low, high), ``[count, *shape]``, float32."""
        total = (count * self.world, *shape)
        drawn = torch.rand(total, generator=self.generator, device=self.device)
        mine = self._mine(drawn, count)
        return mine if (low, high) == (0.0, 1.0) else mine * (high - low) + low

    def integers(self, count: int, *shape: int, low: int = 0, high: int) -> Tensor:
        """Uniform integers of [low, high), ``[count, *shape]``, int64."""
        total = (count * self.world, *shape)
        drawn = torch.randint(low, high, total, generator=self.generator, device=self.device)
        return self._mine(drawn, count)
