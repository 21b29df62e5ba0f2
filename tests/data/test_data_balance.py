"""Every class equally often: what holds for any set, any batch and any number of processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.data import ImageData, balance_of
from reacgan.data.loader import Loader
from reacgan.data.order import BalancedOrder
from reacgan.randomness import derive_seed

COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=9).filter(any)


def labels_of(counts, seed=0):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    return np.random.default_rng(seed).permutation(labels)


def data_of(counts, size=2):
    labels = labels_of(counts)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (len(labels), 1, size, size))
    return ImageData(images.copy(), labels, tuple(map(str, range(len(counts)))), "numbered")


@settings(max_examples=60)
@given(COUNTS, st.integers(0, 10**6), st.integers(1, 200), st.integers(0, 5))
def test_counts_of_classes_hardly_differ_in_any_stretch(counts, start, length, seed):
    labels = labels_of(counts)
    order = BalancedOrder(labels, seed=seed)
    classes = np.flatnonzero(counts)
    seen = np.bincount(labels[order.at(np.arange(start, start + length))], minlength=len(counts))
    assert (seen[np.array(counts) == 0] == 0).all()
    assert seen[classes].max() - seen[classes].min() <= 2
    whole = -start % len(classes) + start
    rounds = np.arange(whole, whole + 3 * len(classes))
    assert (np.bincount(labels[order.at(rounds)])[classes] == 3).all()


@settings(max_examples=40)
@given(COUNTS, st.integers(0, 3))
def test_within_a_class_all_images_come_before_one_comes_again(counts, seed):
    labels = labels_of(counts)
    held = [label for label, count in enumerate(counts) if count]
    most = max(counts)
    images = BalancedOrder(labels, seed=seed).at(np.arange(3 * most * len(held)))
    for label in held:
        mine = images[labels[images] == label]
        assert len(mine) == 3 * most
        for begin in range(0, len(mine) - counts[label] + 1, counts[label]):
            epoch = np.sort(mine[begin : begin + counts[label]])
            assert (epoch == np.flatnonzero(labels == label)).all()


@settings(max_examples=40)
@given(COUNTS, st.lists(st.integers(0, 5000), min_size=1, max_size=40), st.integers(0, 3))
def test_each_position_has_its_image_whatever_was_asked_before(counts, positions, seed):
    labels = labels_of(counts)
    together = BalancedOrder(labels, seed=seed)
    together.at(np.arange(700))
    found = together.at(np.array(positions))
    for position, image in zip(positions, found, strict=True):
        assert BalancedOrder(labels, seed=seed).at(np.array([position]))[0] == image


def test_against_a_slow_oracle():
    """The definition, position by position."""
    labels = labels_of([3, 0, 7, 1])
    classes, seed, block = [0, 2, 3], 11, 4096 // 3

    def permuted(stream, counter, count):
        words = np.random.Philox(derive_seed(seed, stream, counter)).random_raw(count)
        return sorted(range(count), key=lambda place: (words[place], place))

    order = BalancedOrder(labels, seed=seed)
    for position in [*range(60), 4095, 4096, 4097, 99_999]:
        turn, place = divmod(position, 3)
        words = np.random.Philox(derive_seed(seed, "data/classes", turn // block))
        drawn = words.random_raw(3 * block)[3 * (turn % block) : 3 * (turn % block) + 3]
        label = classes[sorted(range(3), key=lambda one: drawn[one])[place]]
        members = np.flatnonzero(labels == label)
        epoch, offset = divmod(turn, len(members))
        chosen = members[permuted(f"data/class/{label}", epoch, len(members))[offset]]
        assert order.at(np.array([position]))[0] == chosen


def test_orders_that_have_passed_are_forgotten():
    order = BalancedOrder(labels_of([3, 5000]), seed=0)
    for start in range(0, 60_000, 500):
        order.at(np.arange(start, start + 500))
    assert max(map(len, (*order._epochs, order._blocks))) <= 2


def test_classes_stand_in_every_order():
    labels = labels_of([4, 4, 4])
    order = BalancedOrder(labels, seed=1)
    rounds = labels[order.at(np.arange(3 * 600))].reshape(-1, 3)
    found, often = np.unique(rounds, axis=0, return_counts=True)
    assert len(found) == 6 and often.min() > 60


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("limit", [None, 0])
def test_processes_hold_slices_of_the_same_batch(world, limit):
    data = data_of([1, 9, 30, 0, 5])
    options = {
        "batch": 16,
        "seed": 3,
        "balanced": True,
        "flip": True,
        "resident_limit_bytes": limit,
    }
    whole = Loader(data, **options)
    parts = [Loader(data, rank=rank, world=world, **options) for rank in range(world)]
    for t in (0, 16, 64, 16, 4000):
        images = torch.cat([part.at(t)[0] for part in parts])
        labels = torch.cat([part.at(t)[1] for part in parts])
        assert torch.equal(images, whole.at(t)[0])
        assert torch.equal(labels, whole.at(t)[1])
        assert torch.equal(torch.from_numpy(data.labels)[images[:, 0, 0, 0].long()], labels)
        assert torch.bincount(labels, minlength=5).tolist() == [4, 4, 4, 0, 4]
    for one in (whole, *parts):
        one.close()


def test_unbalanced_order_is_what_it_was():
    data = data_of([1, 9])
    assert (
        Loader(data, batch=8, seed=0).indices(0).tolist()
        != Loader(data, batch=8, seed=0, balanced=True).indices(0).tolist()
    )
    plain = np.concatenate([Loader(data, batch=10, seed=0).indices(0)])
    assert sorted(plain.tolist()) == list(range(10))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA DEVICE")
def test_no_host_sync_on_the_device():
    data = data_of([1, 9, 30, 5])
    loader = Loader(data, batch=16, seed=3, device="cuda", balanced=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = [loader.at(t) for t in range(0, 400, 16)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = Loader(data, batch=16, seed=3, balanced=True).at(48)[1]
    assert torch.equal(batches[3][1].cpu(), expected)


def test_how_unequal_a_set_is():
    balance = balance_of(("a", "b", "c", "d"), np.array([100, 100, 0, 10]))
    assert balance.ratio == 10 and balance.wants_balancing
    shares = np.array([100, 100, 10]) / 210
    assert balance.effective_classes == pytest.approx(np.prod(shares**-shares))
    assert balance.tail == (("c", 0), ("d", 10))
    even = balance_of(("a", "b"), np.array([29, 30]))
    assert even.effective_classes == pytest.approx(2, abs=1e-3)
    assert not even.tail and not even.wants_balancing
    assert balance_of(("only",), np.array([5])).effective_classes == 1
