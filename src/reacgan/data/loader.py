"""Batches of real images as a pure function of (seed, images_seen)."""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reacgan.config import ConfigError, Device, neighbours
from reacgan.data.dataset import ImageData, Order
from reacgan.data.order import BalancedOrder, order_of, random_words
from reacgan.devices import find_device
from reacgan.kernels.images import scaled_batch
from reacgan.randomness import Draws

_CPU_LIMIT_BYTES = 2 * 2**30
_LONG_ORDER = 20_000
_POPULATE_READ = 22
_ASKED_EVERY_SECONDS = 0.05


class Loader:
    """Returns the batch of any moment of a run; it has no position of its own.

    The images seen at clock ``t`` are the global positions ``t .. t + batch - 1``; position ``p``
    is index ``p mod N`` of epoch ``p // N``'s permutation, which depends on (seed, epoch) alone.
    So each image is seen exactly once an epoch, a batch may cross epochs or be larger than the set,
    and the number of processes affects only the slice of each. With
    ``balanced`` the order is that of :class:`~reacgan.data.order.BalancedOrder` instead, and of shards
    that of :class:`~reacgan.data.order.WindowedOrder`.

    A set that fits is kept on the device as uint8 (``resident``). Otherwise rows are read from the
    memory map, copied from pinned memory, and a thread prefetches the next batch. A thread also
    computes the order of the next epoch of a large set, so that no step waits for it.

    Args:
        data: the images.
        batch: real images in a step, over all processes.
        seed: the run's seed.
        device: of the batches.
        rank: index of this process.
        world: number of processes.
        flip: mirror each image horizontally with probability 1/2.
        crop: shift each image by up to this many pixels in both directions, edges repeated.
        balanced: show every class equally often.
        resident_limit_bytes: largest set that is kept on the device; None takes a quarter of the
            free memory on CUDA and 2 GiB elsewhere.

    Raises:
        ConfigError: a batch that ``world`` does not divide, or a crop as large as the image.
    """

    def __init__(
        self,
        data: ImageData,
        *,
        batch: int,
        seed: int,
        device: Device = "cpu",
        rank: int = 0,
        world: int = 1,
        flip: bool = False,
        crop: int = 0,
        balanced: bool = False,
        resident_limit_bytes: int | None = None,
    ) -> None:
        if batch < 1 or batch % world:
            raise ConfigError(
                f"batch is {batch}, which {world} processes cannot share evenly; "
                f"take a multiple of {world}, such as {neighbours(batch, world)}"
            )
        if not 0 <= crop < min(data.size):
            raise ConfigError(f"crop is {crop}; allowed: 0 to {min(data.size) - 1} pixels")
        self.data = data
        self.batch = batch
        self.seed = seed
        self.device = find_device(device)
        self.rank = rank
        self.world = world
        self.flip = flip
        self.crop = crop
        if resident_limit_bytes is None:
            resident_limit_bytes = resident_limit(self.device)
        self.resident = data.stored is None and data.images.nbytes <= resident_limit_bytes
        self._images = _as_tensor(data.images).to(self.device) if self.resident else None
        self._labels = _as_tensor(data.labels).to(self.device) if self.resident else None
        self._shards = None if data.stored is None else data.stored.order(seed)
        self._own_order: Order | None = self._shards
        if balanced:
            self._own_order = _balanced(data, seed)
        self._orders: dict[int, npt.NDArray[np.int64]] = {}
        self._device_orders: dict[int, Tensor] = {}
        self._order_executor: ThreadPoolExecutor | None = None
        self._next_order: tuple[int, Future[npt.NDArray[np.int64]]] | None = None
        self._expected: tuple[list[int], list[int]] = [], []
        self._executor: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None

    def at(self, images_seen: int) -> tuple[Tensor, Tensor]:
        """This process's part of the batch at a moment of the run.

        Returns:
            uint8 images ``[batch / world, C, H, W]`` and int64 labels ``[batch / world]``, on the
            device. No host synchronisation where the set is resident.
        """
        if images_seen < 0:
            raise ConfigError(f"images_seen is {images_seen}; allowed: 0 or more")
        if self._images is not None and self._labels is not None:
            chosen = self._device_indices(images_seen)
            images, labels = (
                self._images.index_select(0, chosen),
                self._labels.index_select(0, chosen),
            )
        else:
            images, labels = self._read_ahead(images_seen)
        return self._augment(images, images_seen), labels

    def wait(self, images_seen: int, batches: int, stop: Callable[[], bool]) -> bool:
        """Wait for shards of a slow server; False once ``stop`` says so before they are here.

        Args:
            images_seen: the moment of the first batch.
            batches: that will be read.
            stop: whether not to wait any longer.
        """
        stored = self.data.stored
        if stored is None or not stored.is_elsewhere:
            return True
        self._expect(images_seen)
        moments = range(images_seen, images_seen + batches * self.batch, self.batch)
        chosen = np.concatenate([self.indices(moment) for moment in moments])
        while stored.are_coming(chosen):
            if stop():
                return False
            time.sleep(_ASKED_EVERY_SECONDS)
        return True

    def scaled_at(
        self, images_seen: int, dtype: torch.dtype, order: torch.memory_format
    ) -> tuple[Tensor, Tensor] | None:
        """The images of :meth:`at` in [-1, 1], and labels, by one fused operation.

        None where the set is not resident.
        """
        if self._images is None or self._labels is None:
            return None
        chosen = self._device_indices(images_seen)
        tosses = self._draws("data/flip", images_seen).uniform(len(chosen)) if self.flip else None
        batch: tuple[Tensor, Tensor] = scaled_batch(
            self._images,
            self._labels,
            chosen,
            tosses,
            self._shifts(len(chosen), images_seen) if self.crop else None,
            dtype=dtype,
            last=order == torch.channels_last,
        )
        return batch

    def indices(self, images_seen: int) -> npt.NDArray[np.int64]:
        """Indices of the images of :meth:`at`, int64 ``[batch / world]``."""
        if self._own_order is not None:
            count = self.batch // self.world
            start = images_seen + self.rank * count
            return self._own_order.at(np.arange(start, start + count))
        return np.concatenate(
            [self._order(epoch)[start:stop] for epoch, start, stop in self._spans(images_seen)]
        )

    def close(self) -> None:
        """Stop reading ahead."""
        if self.data.stored is not None:
            self.data.stored.give_up()
        for executor in (self._executor, self._order_executor):
            if executor is not None:
                executor.shutdown(cancel_futures=True)
        self._executor, self._ahead = None, None
        self._order_executor, self._next_order = None, None
        if self.data.stored is not None:
            self.data.stored.close()

    def _spans(self, images_seen: int) -> list[tuple[int, int, int]]:
        """This process's positions as (epoch, start, stop) pieces of permutations."""
        count, total = self.batch // self.world, len(self.data)
        position = images_seen + self.rank * count
        end = position + count
        spans = []
        while position < end:
            epoch, start = divmod(position, total)
            stop = min(total, start + end - position)
            spans.append((epoch, start, stop))
            position += stop - start
        return spans

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Permutation of an epoch; a thread computes that of a large set's next epoch."""
        if epoch not in self._orders:
            ahead, self._next_order = self._next_order, None
            prepared = ahead is not None and ahead[0] == epoch
            order = ahead[1].result() if ahead and prepared else self._new_order(epoch)
            kept = {e: known for e, known in self._orders.items() if e == epoch - 1}
            self._orders = {**kept, epoch: order}
            if len(self.data) >= _LONG_ORDER:
                if self._order_executor is None:
                    self._order_executor = ThreadPoolExecutor(1, "reacgan-order")
                future = self._order_executor.submit(self._new_order, epoch + 1)
                self._next_order = (epoch + 1, future)
        return self._orders[epoch]

    def _new_order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The order of raw Philox words, the same in every numpy."""
        return order_of(random_words(self.seed, "data/order", epoch, count=len(self.data)))

    def _device_indices(self, images_seen: int) -> Tensor:
        if self._own_order is not None:
            chosen = _pin(torch.from_numpy(self.indices(images_seen)), self.device)
            return chosen.to(self.device, non_blocking=True)
        parts = []
        for epoch, start, stop in self._spans(images_seen):
            if epoch not in self._device_orders:
                self._device_orders = {
                    e: kept for e, kept in self._device_orders.items() if e == epoch - 1
                }
                order = _pin(torch.from_numpy(self._order(epoch)), self.device)
                self._device_orders[epoch] = order.to(self.device, non_blocking=True)
            parts.append(self._device_orders[epoch][start:stop])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _read_ahead(self, images_seen: int) -> tuple[Tensor, Tensor]:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="reacgan-data")
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == images_seen:
            images, labels = ahead[1].result()
        else:
            images, labels = self._read(self.indices(images_seen))
        following = images_seen + self.batch
        self._expect(following)
        future = self._executor.submit(self._read, self.indices(following))
        self._ahead = (following, future)
        return (
            images.to(self.device, non_blocking=True),
            labels.to(self.device, non_blocking=True),
        )

    def _expect(self, position: int) -> None:
        """Have the shards fetched that are needed from a moment on."""
        if self._shards is None or self.data.stored is None:
            return
        shards = self._shards.shards_from(position)
        if shards != self._expected:
            self._expected = shards
            self.data.stored.expect([*shards[0], *shards[1]])

    def _read(self, indices: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Rows from the memory map, read in file order, returned in the batch's order."""
        sequence = np.argsort(indices, kind="stable")
        images = np.empty((len(indices), *self.data.images.shape[1:]), dtype=np.uint8)
        images[sequence] = self.data.images[indices[sequence]]
        labels = torch.from_numpy(self.data.labels[indices])
        return _pin(torch.from_numpy(images), self.device), _pin(labels, self.device)

    def _augment(self, images: Tensor, images_seen: int) -> Tensor:
        count = len(images)
        if self.flip:
            toss = self._draws("data/flip", images_seen).uniform(count) < 0.5
            # Indexes both versions: a third of the time of torch.where with a broadcast mask.
            places = torch.arange(count, device=self.device) + count * toss
            images = torch.cat((images, images.flip(-1))).index_select(0, places)
        if self.crop:
            images = shift_images(images, self._shifts(count, images_seen))
        return images

    def _shifts(self, count: int, images_seen: int) -> Tensor:
        draws = self._draws("data/crop", images_seen)
        return draws.integers(count, 2, low=-self.crop, high=self.crop + 1)

    def _draws(self, stream: str, images_seen: int) -> Draws:
        return Draws(
            self.seed,
            stream,
            images_seen,
            device=self.device,
            rank=self.rank,
            world=self.world,
        )


def _balanced(data: ImageData, seed: int) -> BalancedOrder:
    """The order with balanced classes, which jumps through the whole set."""
    if data.stored is not None:
        raise ConfigError(
            f"data.balanced=true, but {data.source} is read shard by shard, where a rare class cannot be "
            "shown more often; set data.balanced=false, or pack the images into one file: reacgan data "
            "prepare IMAGES images.safetensors --resolution 64"
        )
    return BalancedOrder(data.labels, seed=seed)


def shift_images(images: Tensor, shift: Tensor) -> Tensor:
    """Shift each image ``[N, C, H, W]`` by its own whole pixels ``[N, 2]`` (y, x), edges repeated.

    out[n, c, y, x] = images[n, c, clamp(y + shift[n, 0]), clamp(x + shift[n, 1])]
    """
    height, width = images.shape[2:]
    side = torch.arange(max(height, width), device=images.device)
    rows = (side[None, :height] + shift[:, :1]).clamp(0, height - 1)[:, None, :, None]
    columns = (side[None, :width] + shift[:, 1:]).clamp(0, width - 1)[:, None, None, :]
    images = images.gather(2, rows.expand_as(images))
    return images.gather(3, columns.expand_as(images))


def resident_limit(device: torch.device) -> int:
    """The default limit, in bytes, of a set that is kept on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 4
    return _CPU_LIMIT_BYTES


def _pin(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.pin_memory() if device.type == "cuda" else tensor


def _as_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A tensor over the array, or over a copy where the array is read-only or not contiguous."""
    writeable = array.flags.writeable and array.flags.c_contiguous
    base: object = array.base
    if sys.platform == "linux" and isinstance(base, mmap.mmap):
        with suppress(OSError):  # since Linux 5.14: all pages at once, not one fault each
            base.madvise(_POPULATE_READ)
    return torch.from_numpy(array if writeable else np.array(array, order="C"))
