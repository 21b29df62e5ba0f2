"""Experiments of minutes on a laptop: embedded handwritten digits, 8 x 8, and rendered signs, 16 x 16."""

from __future__ import annotations

from reacgan.config import (
    DataConfig,
    EmaConfig,
    Experiment,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ReportConfig,
    TrainingConfig,
    component,
)
from reacgan.experiments.parts import Changes

REACGAN = Experiment(
    name="digits/reacgan",
    data=DataConfig(name="digits", resolution=8, channels=1, flip=False),
    model=ModelConfig(
        generator=component("biggan", width=16, latent_dim=32, shared_dim=32, attention_after=()),
        backbone=component("biggan", width=32, attention_after=()),
        head=component("d2dce", embedding_dim=128, temperature=0.5, margin=0.98),
    ),
    loss=LossConfig(adversarial="hinge", conditioning_weight=0.5),
    augment=component("identity"),
    g_optimizer=OptimizerConfig(lr=1e-3),
    d_optimizer=OptimizerConfig(lr=1e-3),
    ema=EmaConfig(half_life=50_000, ramp=0.1),
    training=TrainingConfig(images=150_000, batch=64, d_steps=1),
    report=ReportConfig(journal_every=10_000, samples_every=50_000, checkpoint_every=50_000),
)

ACGAN = REACGAN.replace(
    **{"name": "digits/acgan", "model.head.name": "auxiliary", "loss.conditioning_weight": 1.0}
)

DIGITS = (REACGAN, ACGAN)

_SIGNS: Changes = {
    "data.name": "glyphs",
    "data.path": "100",
    "data.resolution": 16,
    "data.options": {"colours": False},
    "model.generator.latent_dim": 48,
    "training.images": 150_000,
}


def glyphs(method: Experiment, classes: int) -> Experiment:
    """A method of the digits on ``classes`` signs, white on black."""
    name = method.name.partition("/")[2]
    return method.replace(**{**_SIGNS, "name": f"glyphs/{name}", "data.path": str(classes)})


GLYPHS = tuple(glyphs(method, 100) for method in (REACGAN, ACGAN))
