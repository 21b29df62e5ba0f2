"""Images from a trained generator: a class and a seed determine an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from reacgan.config import MOST, check_whole
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator, check_model
from reacgan.sampling.images import DEFAULTS
from reacgan.sampling.samples import SampleSequence
from reacgan.sampling.settings import SamplingSettings, check_settings


def sample(
    model: TrainedGenerator,
    classes: Sequence[int | str] | str | int = "all",
    num: int = 1,
    settings: SamplingSettings = DEFAULTS,
    **options: Any,
) -> SampleSequence:
    """Generate ``num`` images of each class, lazily, class by class.

    The k-th image of each class has seed ``seed + k``. Sample (class, seed) does not depend on the
    other samples; equal seeds share their latent, so classes can be compared. With batch statistics
    (:func:`reacgan.sampling.batch_statistics`) neither holds, and images are ordered by seed, so that
    a batch mixes the classes.

    Args:
        model: from :func:`reacgan.load`.
        classes: ``"all"``, a name or an index, or several of them.
        num: images of each class.
        settings: how images are generated.
        options: individual settings: seed, truncation, psi, layers, statistics, precision, langevin,
            moves.

    Returns:
        A sequence: ``len``, indices, slices, iteration; ``sheet()`` draws it.

    Raises:
        ConfigError: an unknown class or setting, or a value out of range.
    """
    check_model(model)
    check_whole("num", num, most=MOST)
    check_settings(settings)
    settings = settings.changed(**options)
    settings.refuse("labels", by="sample")
    model = settings.prepared(model)
    labels = model.class_indices(classes)
    first = settings.seed or 0
    if settings.psi is not None:
        _probe_styles(model.generator, settings)  # reported here, not at the first image
    return SampleSequence(model, labels, range(first, first + num), settings)


@torch.inference_mode()
def _probe_styles(generator: Generator, settings: SamplingSettings) -> None:
    """Generate one truncated image, so that a generator without styles raises at once."""
    weight = next(generator.parameters())
    z = weight.new_zeros(1, generator.latent_dim)
    settings.network(generator)(z, torch.zeros(1, dtype=torch.int64, device=weight.device))
