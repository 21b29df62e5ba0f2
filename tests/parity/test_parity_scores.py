"""Our scores against those of other libraries, on features drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("torch_fidelity", reason="other libraries are not here: run `make parity`")

from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.frechet import frechet_distance
from reacgan.metrics.inception_score import InceptionScore, inception_score
from reacgan.metrics.kid import Kid, kernel_distance
from reacgan.metrics.prdc import prdc

WIDTH = 48


def draw(count, seed, *, shift=0.0, width=WIDTH):
    """Correlated features of unequal scale, mostly positive as after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(99)) / width**0.5
    return (torch.randn(count, width, generator=generator) @ mix + 0.5 + shift).relu()


CASES = {
    "apart": (draw(400, 0), draw(300, 1, shift=0.3)),
    "alike": (draw(300, 2), draw(300, 3)),
    "collapsed": (draw(300, 4), draw(300, 4)[:10].repeat(30, 1) + 1e-3 * draw(300, 5)),
}
every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_frechet_distance(case):
    from cleanfid.fid import frechet_distance as clean
    from pytorch_fid.fid_score import calculate_frechet_distance as pytorch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, fake = CASES[case]
    found = frechet_distance(real, fake)
    moments = []
    for side in (real, fake):
        held = side.double().numpy()
        moments += [held.mean(0), np.cov(held, rowvar=False)]
    assert found == pytest.approx(pytorch(*moments), rel=1e-6)
    assert found == pytest.approx(clean(*moments), rel=1e-6)
    statistics = [fid_features_to_statistics(side.double()) for side in (fake, real)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert found == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("case", ["apart", "collapsed"])
def test_kernel_distance(case):
    from cleanfid.fid import kernel_distance as clean
    from torch_fidelity.metric_kid import kid_features_to_metric

    real, fake = CASES[case]
    theirs = kid_features_to_metric(
        fake.double(), real.double(), kid_subsets=20, kid_subset_size=100, rng_seed=7, verbose=False
    )
    metric = Kid(subsets=20, subset_size=100, seed=7, canonical=False)
    (value,) = metric.measure(Comparison(fake=FeatureSet(fake), real=FeatureSet(real)))
    assert value.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert value.details["std"] == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)
    fewest = min(len(real), len(fake))
    real, fake = real[:fewest], fake[:fewest]
    whole = clean(real.double().numpy(), fake.double().numpy(), 1, fewest)
    assert kernel_distance(real, fake) == pytest.approx(whole, rel=1e-9)


def test_inception_score():
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * torch.randn(230, 1008, generator=torch.Generator().manual_seed(0))
    whole = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert inception_score(logits) == pytest.approx(whole, rel=1e-9)
    theirs = isc_features_to_metric(logits, splits=10)
    fake = FeatureSet(logits[:, :4], logits)
    (value,) = InceptionScore(splits=10).measure(Comparison(fake=fake, real=fake))
    assert value.value == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    spread = theirs["inception_score_std"]
    assert value.details["standard_deviation"] == pytest.approx(spread, rel=1e-9)


@every_case
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("save_cpu_ram", [False, True])
def test_precision_and_recall(case, k, save_cpu_ram):
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, fake = CASES[case]
    found = prdc(real, fake, k=k)
    theirs = prc_features_to_metric(
        fake.double(), real.double(), prc_neighborhood=k, save_cpu_ram=save_cpu_ram, verbose=False
    )
    assert found.precision == pytest.approx(theirs["precision"], abs=1e-6)
    assert found.recall == pytest.approx(theirs["recall"], abs=1e-6)
    if case == "collapsed":  # all fakes look real, few real images are found among them
        assert found.precision == 1 and found.recall < 0.2


@every_case
@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_and_coverage(case, k):
    from prdc import compute_prdc

    real, fake = CASES[case]
    found = prdc(real, fake, k=k)
    theirs = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(float(theirs[name]), abs=1e-12)
