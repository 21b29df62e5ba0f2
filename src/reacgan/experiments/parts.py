"""Common parts of the published experiments: length, head, extras.

Each function returns changes for :meth:`reacgan.config.Experiment.replace`; an experiment is a base and
one line of them. Published code counts generator steps, this package real images seen; :func:`steps`
converts.
"""

from __future__ import annotations

from typing import Any

from reacgan.config import Experiment

Changes = dict[str, Any]

# EMA decay 0.9999 at every generator step: ln 0.5 / ln 0.9999 = 6,931 steps to half a weight.
_EMA_STEPS = 6931.1


def row(base: Experiment, name: str, *changes: Changes) -> Experiment:
    """The base under another name with all changes; later ones override."""
    merged = {key: value for part in changes for key, value in part.items()}
    return base.replace(**{**merged, "name": name})


def steps(count: int, *, batch: int, d_steps: int, ema_start: int | None) -> Changes:
    """Length, batch and average, as published in generator steps.

    ``ema_start=None``: no average; the average is a copy of the generator until the end.
    """
    images = batch * d_steps
    start = count + 1 if ema_start is None else ema_start
    return {
        "training.images": count * images,
        "training.batch": batch,
        "training.d_steps": d_steps,
        "ema.half_life": _EMA_STEPS * images,
        "ema.start": start * images,
        "ema.ramp": None,
        "report.journal_every": 200 * images,
        "report.samples_every": 2_000 * images,
        "report.checkpoint_every": 2_000 * images,
        "report.keep_checkpoints": 3,
    }


def adam(g_lr: float, d_lr: float, beta1: float, beta2: float, eps: float = 1e-6) -> Changes:
    """Both optimisers. The epsilon of all published configurations but StyleGAN's is 1e-6."""
    betas = {"beta1": beta1, "beta2": beta2, "eps": eps}
    return {
        **{f"g_optimizer.{key}": value for key, value in {"lr": g_lr, **betas}.items()},
        **{f"d_optimizer.{key}": value for key, value in {"lr": d_lr, **betas}.items()},
    }


def lazily(every_g: int, every_d: int, lr: float, beta2: float = 0.99) -> Changes:
    """StyleGAN2's Adam: with a penalty in one of k steps, lr and beta2 by k / (k + 1).

    Published code takes a separate step for the penalty; here it is added to the loss of every k-th
    step, so there are k optimiser steps instead of k + 1.
    """
    g, d = every_g / (every_g + 1), every_d / (every_d + 1)
    return {
        **adam(lr * g, lr * d, 0.0, beta2, eps=1e-8),
        "g_optimizer.beta2": beta2**g,
        "d_optimizer.beta2": beta2**d,
    }


# -- conditioning

UNCONDITIONAL: Changes = {"model.head.name": "unconditional", "loss.conditioning_weight": 0.0}
PROJECTION: Changes = {"model.head.name": "projection", "loss.conditioning_weight": 0.0}
MULTILOGIT: Changes = {"model.head.name": "multilogit", "loss.conditioning_weight": 0.0}
STYLE_PROJECTION: Changes = {
    "model.head.name": "mapped_projection",
    "loss.conditioning_weight": 0.0,
}
MULTIHINGE: Changes = {
    "model.head.name": "multihinge",
    "loss.adversarial": "none",
    "loss.conditioning_weight": 1.0,
    "loss.g_conditioning_weight": 0.05,
    "consistency": {"feature_matching": {"weight": 1.0}},
}


def classifier(weight: float = 1.0) -> Changes:
    """ACGAN's auxiliary classifier."""
    return {"model.head.name": "auxiliary", "loss.conditioning_weight": weight}


def contrastive(dim: int, weight: float = 1.0, temperature: float = 1.0) -> Changes:
    """ContraGAN's 2C."""
    return {
        "model.head.name": "contrastive",
        "model.head.embedding_dim": dim,
        "model.head.temperature": temperature,
        "loss.conditioning_weight": weight,
    }


def d2dce(dim: int, weight: float, margin: float, temperature: float) -> Changes:
    """ReACGAN's D2D-CE, in the form of the paper."""
    return {
        "model.head.name": "d2dce",
        "model.head.embedding_dim": dim,
        "model.head.margin": margin,
        "model.head.temperature": temperature,
        "loss.conditioning_weight": weight,
    }


def over(head: str, conditioning: Changes) -> Changes:
    """A head over another with its options: ``twin`` (TAC) or ``discriminative`` (ADC)."""
    prefix = "model.head."
    inner = {k.removeprefix(prefix): v for k, v in conditioning.items() if k.startswith(prefix)}
    rest = {key: value for key, value in conditioning.items() if not key.startswith(prefix)}
    return {**rest, "model.head": {"name": head, "over": inner}}


# -- extras

CR: Changes = {"consistency": {"cr": {"weight": 10.0}}}
ICR: Changes = {
    "consistency": {
        "bcr": {"real_weight": 10.0, "fake_weight": 10.0},
        "zcr": {"radius": 0.05, "d_weight": 20.0, "g_weight": 0.5},
    }
}
DIFFAUG: Changes = {"augment.name": "diffaug"}
APA: Changes = {"apa": {"target": 0.6, "speed": 500_000, "every": 4}}


def lecam(*, batch: int, d_steps: int) -> Changes:
    """LeCam in the form of the paper, from the 1,000th step of G on, as published."""
    options = {"weight": 0.3, "decay": 0.99, "start": 1_000 * batch * d_steps, "form": "paper"}
    return {"penalties": {"lecam": options}}


def ada(target: float, *, speed: float = 500_000, flip: bool = True) -> Changes:
    """ADA with blit, geometry and colour; without ``flip`` its own mirroring replaces the data's."""
    return {
        "augment.name": "ada",
        "augment.operations": "bgc",
        "augment.target": target,
        "augment.speed": speed,
        "data.flip": flip,
    }
