"""One look at a run: a few images of the averaged generator beside real ones, and D's word on these."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from reacgan.data import ImageData
from reacgan.losses import adversarial
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.latents import latents_for
from reacgan.sampling.sample import generate
from reacgan.training.health import SIGN_AT, Nature
from reacgan.training.image_signals import image_signals
from reacgan.training.loop import Trainer

MOST_CLASSES = 12
SEEDS = 16


def nature_of(trainer: Trainer, data: ImageData) -> Nature:
    """What judging needs to know of a run."""
    experiment = trainer.experiment
    nothing = torch.zeros(1)
    loss, transition = experiment.loss.adversarial, experiment.loss.transition
    return Nature(
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

    Of at most 12 classes, evenly spaced among those with the most images to spare, at most 16 images
    each, evenly spaced; as many of each class.
    """
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
def signals(
    trainer: Trainer, model: TrainedGenerator, picked: tuple[Tensor, Tensor], nature: Nature
) -> dict[str, float]:
    """The signals of this moment: of the averaged generator's images, and of D on real ones.

    ``real_sign`` is the mean sign of D's score on real images, r_t of Karras et al. (2020,
    "Training GANs with limited data", eq. 1), less the score at which D is undecided.
    """
    real, labels = picked
    state, engine = trainer.state, trainer.engine
    seeds = [*range(real.shape[1])] * len(labels)
    z = latents_for(seeds[: real.shape[1]], model.latent_dim).repeat(len(labels), 1)
    repeated = labels.repeat_interleave(real.shape[1])
    fake = generate(model.generator, z, repeated, seeds=seeds).unflatten(0, real.shape[:2])
    found = image_signals(fake, real)
    if model.norms is not None and model.norms.distance is not None:
        found["statistics_distance"] = model.norms.distance
    if nature.undecided is not None:
        size = max(trainer.local_batch // trainer.parts, 1)  # what the memory is known to hold
        state.discriminator.eval()
        with engine.autocast():
            score = torch.cat(
                [
                    state.discriminator(
                        engine.scale(images.to(engine.device)), names.to(engine.device)
                    ).score
                    for images, names in zip(
                        real.flatten(0, 1).split(size), repeated.split(size), strict=True
                    )
                ]
            )
        state.discriminator.train()
        found["real_sign"] = float((score.float() - nature.undecided).sign().mean())
    return found
