"""Published scores for the experiments here, each with its protocol.

Two protocols exist, whose FIDs of the same model differ by a factor of two; they never share a column.
All figures are of the authors' logs (best checkpoint by FID on the reported reference, which is
biased), unless a note says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["paper", "train"]

PROTOCOLS: dict[str, str] = {
    "paper": (
        "Inception v3 of 2015, bilinear resize without antialiasing, batch statistics; as many fakes "
        "as reference images: CIFAR 10k against test, Tiny-ImageNet 10k against valid, ImageNet 50k "
        "against valid; best of all checkpoints"
    ),
    "train": (
        "the same network and resize; as many fakes as training images, against those: CIFAR 50k, "
        "AFHQ 14,630; best of all checkpoints"
    ),
}


@dataclass(frozen=True)
class PublishedScore:
    """One published result."""

    experiment: str
    """Name in :data:`reacgan.experiments.EXPERIMENTS`."""
    fid: float
    inception_score: float | None = None
    thousand_steps: int | None = None
    """Generator steps of the best checkpoint, in thousands."""
    last_fid: float | None = None
    """FID at the end of the run, if known; shows the stability of the method."""
    protocol: Protocol = "paper"
    note: str = ""
    """A note on this run; :func:`reacgan.experiments.notes.differences_of` compares its settings."""


_MARGIN = "the logged run used margin 0.98, its configuration says 1.0"
_WORLD = "on several processes, which divided lambda by their number"
_EARLY_ADA = "an earlier configuration: 312,500 steps, ADA a hundred times slower, images mirrored"
_EARLY_DEEP = "an earlier configuration: width 96, z of 80, a D of 415,010 parameters"
_COLLAPSE = "collapsed afterwards"

PUBLISHED: tuple[PublishedScore, ...] = (
    PublishedScore("cifar10/dcgan", 49.030, 6.638, 42, 137.4, note=_COLLAPSE),
    PublishedScore("cifar10/lsgan", 66.686, 5.577, 22, 330.9, note=_COLLAPSE),
    PublishedScore("cifar10/ggan", 42.714, 6.227, 46, 128.8, note=_COLLAPSE),
    PublishedScore("cifar10/wgan", 159.090, 2.579, 86, 164.1),
    PublishedScore("cifar10/wgan-gp", 25.852, 7.458, 90, 29.5),
    PublishedScore("cifar10/wgan-dragan", 41.586, 6.432, 16, 65.2),
    PublishedScore("cifar10/acgan-resnet", 45.571, 6.629, 14, 201.2, note=_COLLAPSE),
    PublishedScore("cifar10/projgan", 33.830, 7.539, 18, 152.1, note=_COLLAPSE),
    PublishedScore("cifar10/sngan", 13.248, 8.677, 90, 13.44),
    PublishedScore("cifar10/sagan", 14.009, 8.680, 90, 15.02),
    PublishedScore("cifar10/biggan", 8.034, 9.746, 98, 8.13),
    PublishedScore("cifar10/biggan-cr", 7.178, 10.380, 98, 7.32),
    PublishedScore("cifar10/biggan-icr", 7.430, 10.153, 80, 7.66),
    PublishedScore("cifar10/biggan-diffaug", 7.157, 9.775, 198, 7.30),
    PublishedScore("cifar10/biggan-ada", 7.881, 10.136, 230, 8.62, note=_EARLY_ADA),
    PublishedScore("cifar10/biggan-logan", 8.369, 9.701, 98, 8.37),
    PublishedScore("cifar10/biggan-deep", 11.495, 9.283, 92, 11.80, note=_EARLY_DEEP),
    PublishedScore("cifar10/contragan", 8.065, 9.729, 100, 8.06),
    PublishedScore("cifar10/contragan-cr", 7.685, 9.812, 100, 7.69),
    PublishedScore("cifar10/contragan-icr", 7.547, 10.117, 100, 7.55),
    PublishedScore("cifar10/contragan-diffaug", 7.193, 9.996, 198, 7.29),
    PublishedScore("cifar10/contragan-ada", 10.830, 9.411, 148, 13.17, note=_EARLY_ADA),
    PublishedScore("cifar10/reacgan", 7.792, 9.974, 76, 8.04),
    PublishedScore("cifar10/reacgan-cr", 7.176, 9.833, 82, 7.25),
    PublishedScore("cifar10/reacgan-diffaug", 6.717, 10.181, 168, 6.94),
    PublishedScore("cifar10/stylegan2", 3.815, 10.200, 170, protocol="train"),
    PublishedScore("cifar10/stylegan2-d2dce", 3.343, 10.320, 190, protocol="train", note=_WORLD),
    PublishedScore("cifar10/stylegan2-ada", 2.313, 10.459, 970, protocol="train"),
    PublishedScore(
        "cifar10/stylegan2-d2dce-ada", 2.325, 10.548, 960, protocol="train", note=_WORLD
    ),
    PublishedScore(
        "cifar10/stylegan2-d2dce-diffaug-rev",
        2.237,
        10.510,
        1016,
        protocol="train",
        note=f"{_WORLD}; the run went on past the length of its configuration",
    ),
    PublishedScore("tiny_imagenet/acgan-resnet", 78.513, 6.342, 6, 171.4, note=_COLLAPSE),
    PublishedScore("tiny_imagenet/projgan", 89.175, 6.224, 6, 197.7, note=_COLLAPSE),
    PublishedScore("tiny_imagenet/sngan", 53.590, 8.412, 62, 62.9),
    PublishedScore("tiny_imagenet/sagan", 51.414, 8.342, 88, 51.6),
    PublishedScore("tiny_imagenet/biggan", 31.920, 11.998, 72, 32.8),
    PublishedScore("tiny_imagenet/biggan-cr", 21.488, 14.887, 80, 22.3),
    PublishedScore("tiny_imagenet/biggan-icr", 91.326, 5.605, 4, 356.0, note=_COLLAPSE),
    PublishedScore("tiny_imagenet/biggan-diffaug", 16.338, 17.075, 170, 16.9),
    PublishedScore("tiny_imagenet/contragan", 27.027, 13.494, 54, 35.1),
    PublishedScore("tiny_imagenet/contragan-cr", 19.716, 15.623, 96, 19.9),
    PublishedScore("tiny_imagenet/contragan-icr", 21.940, 15.830, 42, 202.0, note=_COLLAPSE),
    PublishedScore("tiny_imagenet/contragan-diffaug", 15.755, 17.303, 110, 198.0, note=_COLLAPSE),
    PublishedScore("tiny_imagenet/reacgan", 26.586, 14.162, 46, 26.99, note=_MARGIN),
    PublishedScore("tiny_imagenet/reacgan-cr", 20.251, 16.505, 44, 92.5, note=_COLLAPSE),
    PublishedScore("tiny_imagenet/reacgan-diffaug", 14.348, 20.479, 96, 14.43),
    PublishedScore("imagenet/sngan-256", 26.792, 32.247, 496),
    PublishedScore("imagenet/sagan-256", 34.726, 29.848, 920),
    PublishedScore("imagenet/biggan-256", 24.684, 28.633, 200),
    PublishedScore(
        "imagenet/biggan-2048",
        7.783,
        99.966,
        196,
        note="accumulated in 4 parts of 512, each with losses of its own; here of the whole batch",
    ),
    PublishedScore("imagenet/contragan-256", 25.161, 25.249, 198),
    PublishedScore("imagenet/contragan-256-ttur", 19.693, 31.102, 250),
    PublishedScore(
        "imagenet/reacgan-256",
        13.907,
        67.416,
        496,
        note="at 200k steps, the paper's length, 16.32 (IS 50.30)",
    ),
    PublishedScore(
        "imagenet/reacgan-2048",
        8.206,
        96.299,
        200,
        note="standing statistics (8.66 without); D2D-CE over parts of 512, here over all",
    ),
    PublishedScore("afhq/stylegan2-ada", 4.992, 12.907, protocol="train"),
    PublishedScore(
        "afhq/stylegan2-d2dce-ada",
        4.950,
        12.793,
        140,
        9.34,
        protocol="train",
        note=f"{_WORLD}; diverged after 140k steps, last at 150k",
    ),
)


def published_for(experiment: str) -> tuple[PublishedScore, ...]:
    """The published scores of an experiment."""
    return tuple(score for score in PUBLISHED if score.experiment == experiment)
