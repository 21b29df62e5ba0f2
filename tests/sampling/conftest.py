from __future__ import annotations

import pytest
import torch

from reacgan.config import Experiment
from reacgan.models import build_generator
from reacgan.models.trained import TrainedGenerator


@pytest.fixture(scope="session")
def untrained():
    """Makes an untrained generator of any size."""

    def make(side=8, channels=1, width=8, names=("cat", "dog", "a,b")):
        latent = {8: 4, 16: 6, 32: 8}[side]
        held = Experiment(name="untrained").replace(
            **{
                "data.name": "digits",
                "data.resolution": side,
                "data.channels": channels,
                "model.generator.width": width,
                "model.generator.latent_dim": latent,
                "model.generator.shared_dim": 8,
                "model.generator.attention_after": (1,),
            }
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator = build_generator(held.model.generator, held.data, len(names))
            with torch.no_grad():
                for parameter in generator.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.3)
        return TrainedGenerator(generator.eval().requires_grad_(False), held, tuple(names), 7)

    return make
