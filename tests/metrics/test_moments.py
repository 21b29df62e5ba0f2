from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.metrics.moments import Moments, MomentsAccumulator


def cloud(count, width=5, seed=0, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator)
    return torch.randn(count, width, generator=generator) @ mix + offset


def same(held, expected, tolerance=1e-12):
    assert held.count == expected.count
    for name in ("mean", "covariance"):
        first, second = getattr(held, name), getattr(expected, name)
        assert first.dtype == torch.float64
        assert (first - second).abs().max() <= tolerance * second.abs().max()


def test_golden_values():
    held = Moments.of(torch.tensor([[1.0, 0], [3, 4], [5, 2]]))
    assert held.count == 3
    assert held.mean.tolist() == [3, 2]
    assert held.covariance.tolist() == [[4, 2], [2, 4]]


@pytest.mark.parametrize("rows", [1, 7, 40, 4096])
@pytest.mark.parametrize("width", [1, 5, 300])
def test_any_block_gives_what_numpy_gives(rows, width):
    features = cloud(40, width, offset=3.0)
    held = Moments.of(features, rows=rows)
    known = features.double().numpy()
    covariance = torch.from_numpy(np.cov(known, rowvar=False).reshape(width, width))
    same(held, Moments(40, torch.from_numpy(known.mean(0)), covariance))
    assert torch.equal(held.covariance, held.covariance.T)


def test_a_common_offset_costs_no_digits():
    spread = cloud(200).double()
    held = Moments.of(spread + 1e7, rows=16)
    expected = Moments.of((spread + 1e7) - 1e7)  # what the sum with the offset kept of the spread
    assert (held.covariance - expected.covariance).abs().max() < 1e-9


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.integers(0, 99))
def test_moments_of_parts_merge_to_those_of_the_whole(counts, seed):
    features = cloud(sum(counts), seed=seed, offset=50.0)
    parts = [Moments.of(part) for part in features.split(counts)]
    whole = Moments.of(features)
    same(Moments.merge(parts), whole)
    same(Moments.merge(reversed(parts)), whole)
    nested = parts[0]
    for part in parts[1:]:
        nested = Moments.merge([nested, part])
    same(nested, whole)


def test_blocks_and_moments_may_be_mixed():
    features = cloud(30)
    held = MomentsAccumulator()
    held.add(features[:1])
    held.add(features[:0])
    held.add_moments(Moments.of(features[1:20]))
    held.add(features[20:])
    same(held.result(), Moments.of(features))


def test_order_does_not_matter():
    features = cloud(500, offset=10.0)
    same(Moments.of(features.flip(0), rows=64), Moments.of(features, rows=64))


def test_named_tensors_come_back():
    held = Moments.of(cloud(9))
    same(Moments.from_tensors(held.tensors()), held, 0)


def test_file_of_statistics(tmp_path):
    held = Moments.of(cloud(9))
    arrays = {"mu": held.mean.numpy(), "sigma": held.covariance.numpy()}
    np.savez(tmp_path / "theirs.npz", mu_s=np.zeros(3), **arrays)
    same(Moments.read_npz(tmp_path / "theirs.npz"), Moments(0, held.mean, held.covariance), 0)
    np.savez(tmp_path / "counted.npz", count=np.array(9), **arrays)
    same(Moments.read_npz(tmp_path / "counted.npz"), held, 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(3)}, "no 'sigma'; needed: mu and sigma, it holds: mu"),
        ({"mu": np.zeros(3), "sigma": np.zeros((3, 2))}, r"sigma float64 \[3, 2\]; needed: floats"),
        ({"mu": np.zeros((3, 1)), "sigma": np.eye(3)}, r"needed: floats \[D\] and \[D, D\]"),
        ({"mu": np.zeros(2, int), "sigma": np.eye(2)}, "mu is int64"),
        ({"mu": np.array([0, np.nan]), "sigma": np.eye(2)}, "holds NaN or infinity"),
        ({"mu": np.zeros(2), "sigma": np.array([[1.0, 0], [1, 1]])}, "not symmetric"),
        ({"mu": np.array([{}], object), "sigma": np.eye(1)}, "cannot be read as statistics"),
    ],
)
def test_other_arrays_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "held.npz", **arrays)
    with pytest.raises(ConfigError, match=message):
        Moments.read_npz(tmp_path / "held.npz")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("missing.npz", "text.npz", "one.npy"):
        with pytest.raises(ConfigError, match=f"{name}: cannot be read as statistics"):
            Moments.read_npz(tmp_path / name)


def test_what_has_no_moments_is_refused():
    with pytest.raises(ConfigError, match="moments of 1 features; needed: 2"):
        Moments.of(cloud(1))
    with pytest.raises(ConfigError, match=r"features are \[5\]"):
        Moments.of(cloud(3)[0])
    for bad in (float("nan"), float("inf")):
        spoilt = cloud(5000)
        spoilt[4999, 2] = bad
        with pytest.raises(ConfigError, match="features hold NaN or infinity: check"):
            Moments.of(spoilt)
    with pytest.raises(ConfigError, match="length 4 and 5"):
        Moments.merge([Moments.of(cloud(3, 5)), Moments.of(cloud(3, 4))])
    with pytest.raises(ConfigError, match="unknown number of images"):
        Moments.merge([Moments(0, torch.zeros(2), torch.eye(2))])
    with pytest.raises(ConfigError, match="moments of 0 features"):
        Moments.merge([])
