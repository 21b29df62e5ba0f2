"""From pixels to scores: our Inception and metrics against three libraries, with the same weights.

Features agree within 1e-5 of the largest feature, scores within 1e-4.
"""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("torch_fidelity", reason="other libraries are not here: run `make parity`")

from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.fid import Fid
from reacgan.metrics.inception_score import InceptionScore
from reacgan.metrics.kid import Kid
from reacgan.metrics.prdc import prdc

SUBSETS, SUBSET_SIZE, NEIGHBOURS = 12, 20, 3


def assert_close(found, expected):
    error = float((torch.as_tensor(found) - torch.as_tensor(expected)).abs().max())
    assert error < 1e-5 * float(torch.as_tensor(expected).abs().max())


class Images(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        return self.images[place]


@pytest.fixture(scope="module")
def compare(ours):
    """A comparison in the features of one convention."""

    def of(resizer):
        sides = {}
        for side in ("real", "fake"):
            features, logits = ours(resizer, side)
            sides[side] = FeatureSet(features, logits)
        return Comparison(**sides)

    return of


@pytest.fixture(scope="module")
def fidelity(weights_file, pictures):
    """All that torch-fidelity says of the pictures: scores, and features by side."""
    from torch_fidelity import calculate_metrics
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    scores = calculate_metrics(
        input1=Images(pictures["fake"]),
        input2=Images(pictures["real"]),
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=weights_file,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        isc_splits=5,
        kid_subsets=SUBSETS,
        kid_subset_size=SUBSET_SIZE,
        prc_neighborhood=NEIGHBOURS,
        batch_size=16,
        cuda=False,
        cache=False,
        verbose=False,
    )
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased", "logits"],
        feature_extractor_weights_path=weights_file,
    )
    return scores, network


def test_torch_fidelity_features(fidelity, ours, pictures):
    _, network = fidelity
    for side in ("real", "fake"):
        features, logits, _ = network(pictures[side][:8])
        assert_close(ours("legacy_tensorflow", side)[0][:8], features)
        assert_close(ours("legacy_tensorflow", side)[1][:8], logits)


@pytest.mark.parametrize(("height", "width"), [(17, 40), (299, 299), (330, 310)])
def test_torch_fidelity_features_of_other_sizes(fidelity, weights_file, height, width):
    from random_inception import patterns
    from reacgan.extractors.inception import Inception

    images = patterns(2, size=max(height, width), seed=3)[..., :height, :width].contiguous()
    found = Inception(weights=weights_file, resizer="legacy_tensorflow")(images)
    features, logits, whole = fidelity[1](images)
    assert_close(found.features, features)
    assert_close(found.logits, logits)
    biased = Inception(weights=weights_file, resizer="legacy_tensorflow", bias=True)(images)
    assert_close(biased.logits, whole)


def test_torch_fidelity_fid(fidelity, compare):
    (value,) = Fid().measure(compare("legacy_tensorflow"))
    assert value.value == pytest.approx(fidelity[0]["frechet_inception_distance"], rel=1e-4)


def test_torch_fidelity_kid(fidelity, compare):
    metric = Kid(subsets=SUBSETS, subset_size=SUBSET_SIZE, seed=2020, canonical=False)
    (value,) = metric.measure(compare("legacy_tensorflow"))
    assert value.value == pytest.approx(fidelity[0]["kernel_inception_distance_mean"], rel=1e-4)
    spread = fidelity[0]["kernel_inception_distance_std"]
    assert value.details["std"] == pytest.approx(spread, rel=1e-3)


def test_torch_fidelity_inception_score(fidelity, compare):
    (value,) = InceptionScore(splits=5).measure(compare("legacy_tensorflow"))
    assert value.value == pytest.approx(fidelity[0]["inception_score_mean"], rel=1e-4)
    spread = fidelity[0]["inception_score_std"]
    assert value.details["standard_deviation"] == pytest.approx(spread, rel=1e-3)


def test_torch_fidelity_precision_recall(fidelity, compare):
    held = compare("legacy_tensorflow")
    found = prdc(held.real.features, held.fake.features, k=NEIGHBOURS)
    assert found.precision == pytest.approx(fidelity[0]["precision"], rel=1e-4)
    assert found.recall == pytest.approx(fidelity[0]["recall"], rel=1e-4)
    assert found.precision != found.recall


@pytest.fixture(scope="module")
def pytorch_network(weights_file):
    """pytorch-fid's network, which torchvision's is made into, without its scaling and resizing."""
    from pytorch_fid.inception import InceptionV3

    return InceptionV3([3], resize_input=False, normalize_input=False).eval()


@pytest.fixture(scope="module")
def pytorch_features(weights_file, folders):
    """pytorch-fid's features of the folders, by side."""
    from pytorch_fid.fid_score import get_activations
    from pytorch_fid.inception import InceptionV3

    network = InceptionV3([3])
    return {
        side: get_activations(sorted(folder.glob("*.png")), network, batch_size=16, num_workers=0)
        for side, folder in folders.items()
    }


@pytest.fixture(scope="module")
def clean_features(pytorch_network, folders):
    """clean-fid's features of the folders, by side: its resizing and scaling, pytorch-fid's network."""
    from cleanfid.fid import get_folder_features

    def network(pixels):
        return pytorch_network((pixels - 128) / 128)[0].flatten(1)

    return {
        side: get_folder_features(
            str(folder),
            network,
            num_workers=0,
            batch_size=16,
            device=torch.device("cpu"),
            mode="clean",
            verbose=False,
        )
        for side, folder in folders.items()
    }


def test_pytorch_fid(pytorch_features, ours, compare):
    from pytorch_fid.fid_score import calculate_frechet_distance

    theirs = check_library(pytorch_features, calculate_frechet_distance, ours, compare, "legacy")
    # With more features than images theirs is the root of a singular matrix, and inexact.
    (value,) = Fid().measure(compare("legacy"))
    assert value.value == pytest.approx(theirs(slice(None)), rel=1e-3)


def test_clean_fid(clean_features, ours, compare):
    from cleanfid.fid import frechet_distance

    check_library(clean_features, frechet_distance, ours, compare, "clean")


def check_library(features, distance, ours, compare, resizer):
    """Features, and the distance of as many of them as there are images enough for."""
    import numpy as np

    for side in ("real", "fake"):
        assert_close(ours(resizer, side)[0], features[side])

    def theirs(columns):
        moments = []
        for side in ("real", "fake"):
            held = features[side][:, columns].astype(np.float64)
            moments += [held.mean(0), np.cov(held, rowvar=False)]
        return distance(*moments)

    held = compare(resizer)
    some = slice(None, None, 100)
    (value,) = Fid().measure(
        Comparison(
            real=FeatureSet(held.real.features[:, some]),
            fake=FeatureSet(held.fake.features[:, some]),
        )
    )
    assert value.value == pytest.approx(theirs(some), rel=1e-4)
    return theirs


def test_conventions_differ(ours):
    """What is compared above is told apart by more than the tolerance."""
    held = [ours(resizer, "real")[0] for resizer in ("legacy", "legacy_tensorflow", "clean")]
    for first in range(3):
        for second in range(first):
            apart = (held[first] - held[second]).abs().max()
            assert apart > 1e-3 * held[first].abs().max()
