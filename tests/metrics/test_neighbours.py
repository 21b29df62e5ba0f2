from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.metrics import distances
from reacgan.metrics.base import Comparison, FeatureSet, share_of
from reacgan.metrics.distances import Pairs, distinct, full_precision
from reacgan.metrics.neighbours import _around, count_in_hyperspheres, nearest, squared_radii
from reacgan.metrics.prdc import PRDC, Prdc, prdc


def cloud(count, seed, width=8):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def lattice(side, dimensions):
    return torch.cartesian_prod(*[torch.arange(float(side))] * dimensions)


def all_pairs(left, right):
    """Every squared distance, one pair at a time in float64."""
    left, right = left.double().numpy(), right.double().numpy()
    return np.array([[np.square(a - b).sum() for b in right] for a in left])


def radii_of_all_pairs(samples, k):
    table = all_pairs(samples, samples)
    np.fill_diagonal(table, np.inf)
    return np.sort(table, 1)[:, k - 1]


def every_pair(rows, columns):
    grids = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return [grid.flatten() for grid in grids]


def twice(samples):
    return samples[torch.arange(2 * len(samples)) % len(samples)]


CLOUDS = {
    "plain": cloud(90, 0),
    "wide": cloud(60, 1, 300),
    "copies": cloud(12, 2)[torch.randint(0, 12, (90,), generator=torch.Generator().manual_seed(3))],
    "pairs": twice(cloud(45, 4)),
    "lattice": lattice(9, 2),
    "far from zero": cloud(90, 5) + 1e4,
    "tiny": cloud(90, 6) * 1e-25,
    "one point": torch.ones(70, 3),
    "an outlier": torch.cat([cloud(89, 7), torch.full((1, 8), 1e7)]),
    "tight": torch.cat([cloud(45, 8) * 1e-4, cloud(45, 9) * 1e-4 + 50]),
    "near copies": (cloud(90, 10).double() * 1e-9 + cloud(1, 11).double()),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_radii_and_neighbours_equal_those_of_all_pairs(name):
    samples = CLOUDS[name]
    table = all_pairs(samples, samples)
    np.fill_diagonal(table, np.inf)
    for k, rows in ((1, 1024), (3, 37), (5, 64)):
        expected = np.sort(table, 1)[:, :k]
        held = nearest(samples, k=k, rows=rows)
        np.testing.assert_allclose(held.squared.numpy(), expected, rtol=1e-12)
        assert torch.equal(squared_radii(samples, k, rows=rows), held.squared[:, -1])
        at_index = np.take_along_axis(table, held.index.numpy(), 1)
        np.testing.assert_allclose(at_index, expected, rtol=1e-12)
        assert all(len(set(row)) == k for row in held.index.tolist())


@pytest.mark.parametrize("rows", [11, 1024])
def test_of_equals_the_lower_index_comes_first(rows):
    """Points of a lattice have 4 neighbours at 1, 4 at the root of 2; copies lie at 0."""
    samples = lattice(7, 2)
    table = torch.tensor(all_pairs(samples, samples))
    assert torch.equal(
        nearest(samples, samples, k=6, rows=rows).index,
        table.sort(dim=1, stable=True).indices[:, :6],
    )
    found = nearest(samples[:1], twice(samples), k=2, rows=rows)
    assert found.index.tolist() == [[0, 49]]
    assert found.squared.tolist() == [[0, 0]]


def test_an_infinite_lattice_in_small():
    """Inside a lattice of 3 dimensions: 6 neighbours at 1, 12 at the root of 2, 8 at that of 3."""
    samples = lattice(7, 3)
    deep = ((samples > 1) & (samples < 5)).all(1)
    for k, squared in ((6, 1), (7, 2), (18, 2), (19, 3), (26, 3), (27, 4)):
        assert set(squared_radii(samples, k)[deep].tolist()) == {squared}


def test_ties_on_the_surface_of_hyperspheres():
    """Each shifted point lies on the surface of hyperspheres; all of them hold it."""
    real = lattice(6, 2)
    fake = real + torch.tensor([1.0, 0])
    counts = count_in_hyperspheres(
        real, fake, squared_radii(real, 2), squared_radii(fake, 2), rows=16
    )
    table = torch.tensor(all_pairs(real, fake))
    expected = table <= torch.tensor(radii_of_all_pairs(real, 2))[:, None]
    assert counts.spheres_holding.tolist() == expected.sum(0).tolist()
    assert counts.covered.tolist() == expected.any(1).tolist()
    inside = table <= torch.tensor(radii_of_all_pairs(fake, 2))
    assert counts.recalled.tolist() == inside.any(1).tolist()


@pytest.mark.parametrize("name", CLOUDS)
def test_counts_equal_those_of_all_pairs(name):
    real = CLOUDS[name]
    spread = float((real - real.mean(0)).abs().median())
    for fake in (real[::2] + 0.3 * spread, real[1::3], twice(real[:9])):
        k = 3
        real_radii, fake_radii = squared_radii(real, k), squared_radii(fake, k)
        table = Pairs(real, fake).exact(*every_pair(len(real), len(fake)))
        table = table.view(len(real), len(fake))
        np.testing.assert_allclose(table.numpy(), all_pairs(real, fake), rtol=1e-12)
        for rows in (40, 1024):
            counts = count_in_hyperspheres(real, fake, real_radii, fake_radii, rows=rows)
            inside = table <= real_radii[:, None]
            assert torch.equal(counts.spheres_holding, inside.sum(0))
            assert torch.equal(counts.covered, inside.any(1))
            assert torch.equal(counts.recalled, (table <= fake_radii).any(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CLOUDS)
def test_bounds_hold(name, dtype):
    samples = CLOUDS[name]
    everything = slice(0, len(samples))
    pairs = Pairs(samples, samples)
    with full_precision(samples.device):
        low, high = pairs.bounds(everything, everything, dtype)
    exact = torch.tensor(all_pairs(samples, samples)) * pairs.scale**2
    assert bool((low <= exact).all())
    assert bool((exact <= high).all())


def test_a_frame_brings_the_largest_coordinate_below_one():
    for samples in (*CLOUDS.values(), -CLOUDS["an outlier"], cloud(50, 0).exp()):
        largest = float(Pairs(samples, samples).scaled(samples, torch.float64).abs().amax())
        assert largest == 0 or 0.49 < largest < 1.01


def test_limits_are_rounded_outwards():
    values = torch.rand(1_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = _around(values, torch.float32)
    assert bool((low.double() < values).all())
    assert bool((values < high.double()).all())


def test_more_hyperspheres_than_a_byte_counts():
    real, fake = cloud(400, 0), cloud(9, 1)
    everywhere = torch.full((400,), 1e6, dtype=torch.float64)
    counts = count_in_hyperspheres(real, fake, everywhere, everywhere[:9])
    assert counts.spheres_holding.tolist() == [400] * 9


def test_many_samples_in_large_blocks():
    real, fake = cloud(1_500, 0, 24), cloud(1_300, 1, 24) * 0.9
    held = squared_radii(real, 4, rows=1_280)
    table = torch.cdist(real.double(), real.double(), compute_mode="donot_use_mm_for_euclid_dist")
    expected = table.kthvalue(5, dim=1).values
    torch.testing.assert_close(held.sqrt(), expected, rtol=1e-12, atol=0)
    counts = count_in_hyperspheres(real, fake, held, squared_radii(fake, 4))
    between = torch.cdist(real.double(), fake.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(counts.spheres_holding, (between <= expected[:, None]).sum(0))


def test_many_pairs_of_copies():
    """Copies are measured once for all; the result is that of each pair alone."""
    few, others = cloud(5, 0), cloud(7, 1)
    sides = [few[torch.arange(300) % 5], others[torch.arange(280) % 7]]
    rows, columns = every_pair(300, 280)
    held = Pairs(*sides).exact(rows, columns)
    expected = torch.tensor(all_pairs(few, others))[rows % 5, columns % 7]
    torch.testing.assert_close(held, expected, rtol=1e-12, atol=0)
    assert squared_radii(sides[0], 3).tolist() == [0] * 300


def test_distinct_rows_and_their_groups():
    samples = torch.tensor([[1.0, 0.0], [2, 3], [1, -0.0], [2, 3], [0, 1], [-2, -3]])
    first, group = distinct(samples)
    assert first.tolist() == [0, 1, 4, 5]
    assert group.tolist() == [0, 1, 0, 1, 2, 3]


def test_precision_settings_are_forced_and_restored():
    owner = torch.backends.mkldnn.matmul
    before = owner.fp32_precision
    try:
        owner.fp32_precision = "bf16"
        with (
            torch.autocast("cpu", dtype=torch.bfloat16),
            full_precision(torch.device("cpu")),
        ):
            assert owner.fp32_precision == "ieee"
            assert (cloud(8, 0) @ cloud(8, 0)).dtype == torch.float32
        assert owner.fp32_precision == "bf16"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            held = squared_radii(CLOUDS["plain"], 2)
        np.testing.assert_allclose(held, radii_of_all_pairs(CLOUDS["plain"], 2), rtol=1e-12)
    finally:
        owner.fp32_precision = before


FLOATS = arrays.arrays(
    np.float32, st.tuples(st.integers(6, 14), st.just(3)),
    elements=st.integers(-3, 3).map(float) | st.floats(-2, 2, width=32),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    real=FLOATS, fake=FLOATS, k=st.integers(1, 4), rows=st.integers(2, 9), seed=st.integers(0, 99)
)
def test_order_and_blocks_change_nothing(real, fake, k, rows, seed):
    real, fake = torch.tensor(real), torch.tensor(fake)
    generator = torch.Generator().manual_seed(seed)
    expected = prdc(real, fake, k=k)
    shuffled = (side[torch.randperm(len(side), generator=generator)] for side in (real, fake))
    assert prdc(*shuffled, k=k, rows=rows) == expected
    assert prdc(real * 2**-40, fake * 2**-40, k=k) == expected


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shift=st.floats(-50, 50))
def test_motions_change_no_count(seed, scale, shift):
    real, fake = cloud(40, seed).double(), cloud(30, seed + 1).double() * 0.9 + 0.2
    rotation = torch.linalg.qr(cloud(8, seed + 2).double()).Q
    expected = prdc(real, fake, k=3)
    assert prdc(real @ rotation, fake @ rotation, k=3) == expected
    assert prdc(real + shift, fake + shift, k=3) == expected
    assert prdc(real * scale, fake * scale, k=3) == expected


def compare(real, fake, **options):
    held = Comparison(fake=FeatureSet(fake), real=FeatureSet(real))
    return {value.name: value for value in Prdc(**options).measure(held)}


def test_metric_and_which_way_round_precision_is():
    real = cloud(300, 0)
    collapsed, wide = (compare(real, cloud(300, 1) * scale) for scale in (0.05, 4))
    assert collapsed["precision"].value == 1
    assert collapsed["recall"].value < 0.1
    assert wide["precision"].value < 0.2
    assert wide["recall"].value > 0.8
    direct = prdc(real, cloud(300, 1) * 4)
    assert direct == PRDC(*(wide[n].value for n in ("precision", "recall", "density", "coverage")))
    assert wide["recall"].settings == {"k": 5, "real": 300, "fake": 300, "ball": "closed"}
    assert {value.better for value in wide.values()} == {"higher"}
    assert wide["recall"].notes == ()


def test_other_counts_are_noted_and_can_be_made_equal():
    real, fake = cloud(100, 0), cloud(60, 1)
    assert "100 real and 60 fake images" in compare(real, fake)["recall"].notes[0]
    assert "set num=60" in compare(real, fake)["recall"].notes[0]
    drawn = compare(real, fake, num=60)["recall"]
    assert drawn.notes == ()
    assert drawn.settings["real"] == 60
    again = compare(real.flip(0), fake[torch.randperm(60)], num=60)["recall"]
    assert again.value == drawn.value


def test_radii_of_the_reference_are_made_once():
    kept = {}

    def keep(name, make):
        if name not in kept:
            kept[name] = make()
        return kept[name]

    def measure(**options):
        real = FeatureSet(cloud(50, 0), keep_in=keep)
        return Prdc(**options).measure(Comparison(fake=FeatureSet(cloud(50, 1)), real=real))

    first = measure(k=3)
    assert set(kept) == {"radii k=3"}
    assert torch.equal(kept["radii k=3"]["squared"], squared_radii(cloud(50, 0), 3))
    assert measure(k=3) == first
    kept["radii k=3"] = {"squared": torch.zeros(50, dtype=torch.float64)}
    assert measure(k=3)[0].value == 0
    measure(k=3, num=20)
    assert set(kept) == {"radii k=3", "radii k=3 num=20"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: squared_radii(cloud(5, 0), 5), "4 samples to search; needed: at least k = 5"),
        (lambda: squared_radii(cloud(5, 0), 0), "k is 0"),
        (lambda: nearest(cloud(5, 0), cloud(2, 0), k=3), "2 samples to search"),
        (lambda: nearest(cloud(5, 0), cloud(5, 0, 9)), "features are"),
        (lambda: squared_radii(cloud(5, 0) * float("inf"), 1), "hold NaN or infinity"),
        (lambda: squared_radii(cloud(5, 0) * 1e32, 1), "allowed: up to 1e"),
        (lambda: distances.share_of_error(10**7, torch.float32), "features are 10000000 wide"),
        (lambda: compare(cloud(5, 0), cloud(9, 0)), "5 real and 9 fake images; needed: over k = 5"),
        (
            lambda: count_in_hyperspheres(cloud(5, 0), cloud(4, 0), torch.ones(4), torch.ones(4)),
            r"radii are \[4\] and \[4\]; needed: \[5\] and \[4\]",
        ),
    ],
)  # fmt: skip
def test_bad_values(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize("count", [1, 3, 49, 2_500])
def test_shares_are_counts_divided(count):
    for chosen in {0, 1, count // 3, count - 1, count}:
        assert share_of(torch.arange(count) < chosen) == chosen / count


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_changes_no_count():
    """Sums of float64 are rounded otherwise there, in another order; what is counted is equal."""
    sides = cloud(3_000, 0, 64), cloud(2_500, 1, 64)
    counts = []
    for real, fake in (sides, [side.cuda() for side in sides]):
        radii = [squared_radii(side, 5, rows=700) for side in (real, fake)]
        counts.append(count_in_hyperspheres(real, fake, *radii, rows=700))
        np.testing.assert_allclose(radii[0].cpu(), squared_radii(sides[0], 5), rtol=1e-12)
    for name in ("spheres_holding", "covered", "recalled"):
        assert torch.equal(getattr(counts[1], name).cpu(), getattr(counts[0], name)), name
    assert prdc(*(side.cuda() for side in sides), rows=700) == prdc(*sides)
