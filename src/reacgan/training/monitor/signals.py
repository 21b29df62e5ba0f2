"""The signals of a snapshot: a few generated images compared with real ones, and D's scores on these."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import Experiment
from reacgan.data import ImageData
from reacgan.losses import adversarial
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.images import generate
from reacgan.sampling.latents import latents_for
from reacgan.training.engine import Engine
from reacgan.training.monitor.checks import SIGN_AT, RunFacts

MOST_CLASSES = 12
SEEDS = 16
_SIDE = 8


def run_facts(experiment: Experiment, data: ImageData) -> RunFacts:
    """The facts of a run that the checks need."""
    nothing = torch.zeros(1)
    loss, transition = experiment.loss.adversarial, experiment.loss.transition
    return RunFacts(
        chance=float(adversarial(loss).d(nothing, nothing)),
        undecided=SIGN_AT.get(loss),
        conditional=experiment.model.head.name not in ("unconditional", "infogan"),
        cycle_images=experiment.cycle_images,
        num_classes=data.num_classes,
        images=len(data),
        labels_from=transition.end if transition is not None else 0,
    )


def pick(data: ImageData) -> tuple[Tensor, Tensor]:
    """Real images uint8 ``[classes, seeds, C, H, W]`` and the labels of the classes.

    At most 12 classes, evenly spaced among those with the most images, and at most 16 evenly spaced
    images each, equally many of each class.
    """
    data = data.excerpt
    counts = np.bincount(data.labels, minlength=data.num_classes)
    seeds = min(SEEDS, int(counts.max()))
    able = np.flatnonzero(counts >= seeds)
    labels = able[_spaced(len(able), min(len(able), MOST_CLASSES))]
    images = []
    for label in labels:
        members = np.flatnonzero(data.labels == label)
        images.append(
            [torch.tensor(data.images[index]) for index in members[_spaced(len(members), seeds)]]
        )
    return torch.stack([torch.stack(row) for row in images]), torch.tensor(labels)


def _spaced(length: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.linspace(0, length - 1, count).round().astype(np.int64)


@torch.no_grad()
def generator_signals(model: TrainedGenerator, picked: tuple[Tensor, Tensor]) -> dict[str, float]:
    """The signals of the averaged generator's images.

    Args:
        model: the averaged generator, with statistics that fit it.
        picked: real images and labels from :func:`pick`.
    """
    real, labels = picked
    seeds = [*range(real.shape[1])] * len(labels)
    z = latents_for(seeds[: real.shape[1]], model.latent_dim).repeat(len(labels), 1)
    repeated = labels.repeat_interleave(real.shape[1])
    fake = generate(model.generator, z, repeated, seeds=seeds).unflatten(0, real.shape[:2])
    signals = image_signals(fake, real)
    if model.norms is not None and model.norms.distance is not None:
        signals["statistics_distance"] = model.norms.distance
    return signals


@torch.no_grad()
def real_sign(
    discriminator: Discriminator,
    engine: Engine,
    picked: tuple[Tensor, Tensor],
    *,
    undecided: float,
    batch: int,
) -> float:
    """Mean sign of D's score on real images, minus the score at the decision boundary.

    r_t of Karras et al. (2020, "Training GANs with limited data", eq. 1).

    Args:
        discriminator: in training mode, unchanged.
        engine: of the discriminator.
        picked: real images and labels from :func:`pick`.
        undecided: the score at the decision boundary.
        batch: batch size.
    """
    real, labels = picked
    images, repeated = real.flatten(0, 1), labels.repeat_interleave(real.shape[1])
    scores = []
    discriminator.eval()
    with engine.autocast():
        for pixels, classes in zip(images.split(batch), repeated.split(batch), strict=True):
            inputs = engine.scale(pixels.to(engine.device))
            scores.append(discriminator(inputs, classes.to(engine.device)).score)
    discriminator.train()
    return float((torch.cat(scores).float() - undecided).sign().mean())


def image_signals(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Compare a few generated images with as many real ones, at 8 x 8.

    ``variety`` is the product of two ratios, fake to real, within classes: ``nearest``, the mean
    distance of an image to its nearest neighbour, and ``directions``, the effective number of
    directions in which images differ (the exponential of the spectrum's entropy; Roy, Vetterli
    2007). Images of a collapsed class may still vary in one direction, such as brightness.
    ``contrast`` is the mean distance between images of one latent and two classes, divided by that of
    real images of two classes; 0 where labels have no effect. ``flat`` is the larger of the share of
    pixels at the ends of the range and the share of images of one colour, beyond the real shares.

    Args:
        fake: uint8 ``[classes, seeds, C, H, W]``, the same latents for each class.
        real: uint8 likewise.
    """
    small, small_real = _small(fake), _small(real)
    signals = {
        "flat": max(_excess(_at_ends(fake), _at_ends(real)), _excess(*map(_blank, (fake, real))))
    }
    if fake.shape[1] > 2:
        nearest, directions = _nearest(small_real), _directions(small_real)
        if nearest > 0:
            signals["nearest"] = _nearest(small) / nearest
            signals["directions"] = _directions(small) / directions
            signals["variety"] = signals["nearest"] * signals["directions"]
    if fake.shape[0] > 1 and (between := _between(small_real)) > 0:
        signals["contrast"] = _between(small) / between
    return signals


def _small(images: Tensor) -> Tensor:
    """``[A, B, D]`` of 0 to 1: averages over at most 8 x 8 cells."""
    classes, seeds, _, height, width = images.shape
    size = (min(height, _SIDE), min(width, _SIDE))
    pooled = F.adaptive_avg_pool2d(images.flatten(0, 1).double() / 255, size)
    return pooled.flatten(1).unflatten(0, (classes, seeds))


def _nearest(points: Tensor) -> float:
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    itself = torch.eye(points.shape[1], dtype=torch.bool)
    return float(distances.masked_fill(itself, torch.inf).amin(2).mean())


def _directions(points: Tensor) -> float:
    """Mean over classes of exp(entropy of the normalised spectrum); 1 where all images are equal."""
    centred = points - points.mean(1, keepdim=True)
    spectrum = torch.linalg.eigvalsh(centred @ centred.transpose(1, 2)).clamp(min=0)
    share = spectrum / spectrum.sum(1, keepdim=True).clamp(min=1e-12)
    return float(torch.special.entr(share).sum(1).exp().mean())


def _between(points: Tensor) -> float:
    """Mean distance between images of one seed and two classes."""
    columns, rows = points.transpose(0, 1), points.shape[0]
    distances = torch.cdist(columns, columns, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.sum((1, 2)).mean()) / (rows * (rows - 1))


def _at_ends(images: Tensor) -> float:
    return float(((images == 0) | (images == 255)).double().mean())


def _blank(images: Tensor) -> float:
    return float((images.double().flatten(3).std(-1).mean(-1) < 2).double().mean())


def _excess(fake: float, real: float) -> float:
    return max(fake - real, 0.0) / max(1 - real, 1e-12)
