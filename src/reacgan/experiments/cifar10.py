"""Experiments on CIFAR-10 (Krizhevsky 2009), 32 x 32 RGB, 10 classes.

``cifar10/...`` are the published settings (ReACGAN, NeurIPS 2021, and the authors' configurations):
100,000 generator steps, five discriminator steps before each. ``cifar10-small/...`` is the same method
at a size that two CPU cores train within hours.
"""

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

_STEPS = 100_000
_D_STEPS = 5
# EMA decay 0.9999 at every generator step from the 1,000th on: ln 0.5 / ln 0.9999 = 6,931 steps.
_EMA_STEPS = 6931.1

_BIGGAN = Experiment(
    name="cifar10/biggan",
    data=DataConfig(name="cifar10", resolution=32, channels=3, flip=True),
    model=ModelConfig(
        generator=component(
            "biggan", width=96, latent_dim=80, shared_dim=128, attention_after=(2,)
        ),
        backbone=component("biggan", width=96, attention_after=(1,)),
        head=component("projection"),
    ),
    loss=LossConfig(adversarial="hinge", conditioning_weight=0.0),
    g_optimizer=OptimizerConfig(lr=2e-4, beta1=0.5, beta2=0.999, eps=1e-6),
    d_optimizer=OptimizerConfig(lr=2e-4, beta1=0.5, beta2=0.999, eps=1e-6),
    ema=EmaConfig(half_life=_EMA_STEPS * 64 * _D_STEPS, start=1_000 * 64 * _D_STEPS, ramp=None),
    training=TrainingConfig(images=_STEPS * 64 * _D_STEPS, batch=64, d_steps=_D_STEPS),
    report=ReportConfig(
        journal_every=64_000, samples_every=640_000, checkpoint_every=640_000, keep_checkpoints=3
    ),
)
_ACGAN = _BIGGAN.replace(
    **{
        "name": "cifar10/acgan",
        "model.head.name": "auxiliary",
        "loss.conditioning_weight": 1.0,
    }
)
_CONTRAGAN = _BIGGAN.replace(
    **{
        "name": "cifar10/contragan",
        "model.head.name": "contrastive",
        "model.head.embedding_dim": 512,
        "model.head.temperature": 1.0,
        "loss.conditioning_weight": 1.0,
    }
)
_REACGAN = _BIGGAN.replace(
    **{
        "name": "cifar10/reacgan",
        "model.head.name": "d2dce",
        "model.head.embedding_dim": 512,
        "model.head.temperature": 0.5,
        "model.head.margin": 0.98,
        "loss.conditioning_weight": 0.5,
        "training.batch": 128,
        "training.images": _STEPS * 128 * _D_STEPS,
        "g_optimizer.lr": 2.8284271e-4,
        "d_optimizer.lr": 2.8284271e-4,
        "ema.half_life": _EMA_STEPS * 128 * _D_STEPS,
        "ema.start": 1_000 * 128 * _D_STEPS,
    }
)
_REACGAN_DIFFAUG = _REACGAN.replace(
    **{
        "name": "cifar10/reacgan-diffaug",
        "augment.name": "diffaug",
        "training.images": 2 * _STEPS * 128 * _D_STEPS,
    }
)

_SMALL = {
    "model.generator.width": 24,
    "model.backbone.width": 32,
    "training.batch": 64,
    "training.d_steps": 1,
    "training.images": 1_000_000,
    "g_optimizer.lr": 5e-4,
    "d_optimizer.lr": 1e-3,
    "ema.half_life": 50_000,
    "ema.start": 0,
    "ema.ramp": 0.1,
    "report.journal_every": 10_000,
    "report.samples_every": 50_000,
    "report.checkpoint_every": 50_000,
}


def _small(published: Experiment) -> Experiment:
    name = published.name.replace("cifar10/", "cifar10-small/")
    return published.replace(**_SMALL, name=name)


_PUBLISHED = (_REACGAN, _ACGAN, _BIGGAN, _CONTRAGAN, _REACGAN_DIFFAUG)
SMALL_REACGAN = _small(_REACGAN)
CIFAR10 = (*_PUBLISHED, *(_small(held) for held in _PUBLISHED))
