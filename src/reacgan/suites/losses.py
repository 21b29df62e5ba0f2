"""Comparison of conditioning losses (experiments 12 and 16)."""

from __future__ import annotations

from functools import partial

from reacgan.experiments.parts import PROJECTION, Changes, classifier
from reacgan.suites.base import Claim, Figure, Scale, Suite, Trial, closer
from reacgan.suites.scales import GLYPH_CLASSES, published_rows, trial_of, variant

_CONDITIONING: dict[str, tuple[str, Changes]] = {
    "projection": ("projection", PROJECTION),
    "auxiliary": ("classifier (AC)", classifier()),
    "multihinge": (
        "multi-hinge",
        {"model.head.name": "multihinge", "loss.conditioning_weight": 1.0},
    ),
    "contrastive": (
        "contrastive (2C)",
        {**classifier(), "model.head.name": "contrastive", "model.head.embedding_dim": 128},
    ),
    "proxies": ("class vectors alone", {"model.head.negatives": "classes"}),
    "d2dce": ("D2D-CE", {}),
}
_ADVERSARIAL: dict[str, Changes] = {
    "hinge": {},
    "non_saturating": {},
    "least_squares": {},
    "wasserstein": {"penalties": {"gradient_penalty": {"weight": 10.0}}},
}


def _grid(scale: Scale) -> tuple[Trial, ...]:
    trials = []
    for loss, extra in _ADVERSARIAL.items():
        for name, (row, changes) in _CONDITIONING.items():
            chosen = variant(
                "reacgan", scale, data="cifar10", name=f"{name}-{loss}", changes=changes
            )
            # Toys keep only changes of the head.
            weights = {key: value for key, value in changes.items() if key.startswith("loss.")}
            chosen = chosen.replace(**{**weights, **extra, "loss.adversarial": loss})
            trials.append(trial_of(chosen, row, scale, column=loss))
    return tuple(trials)


CONDITIONING = Suite(
    name="conditioning",
    numbers=(12,),
    title="Conditioning losses with adversarial losses",
    about=(
        "Every way of telling D the class with every adversarial loss; the same networks and steps. At "
        f"full scale on CIFAR10, below it on {GLYPH_CLASSES} classes of rendered signs. "
        "Wasserstein goes with its gradient penalty."
    ),
    trials=_grid,
    metrics=("fid", "recall", "coverage", "precision", "top1", "ifid"),
    claims=tuple(
        closer(f"D2D-CE is better than {row}", "D2D-CE", row)
        for row in ("projection", "classifier (AC)", "multi-hinge", "contrastive (2C)")
    ),
    figures=(Figure("bars", ("fid", "top1"), "Conditioning losses with adversarial losses"),),
)

_OVER: dict[str, str] = {
    f"{data}/{method}": title
    for data in ("cifar10", "tiny_imagenet", "cub200")
    for method, title in (
        ("reacgan", "ReACGAN"),
        ("reacgan-tac", "ReACGAN + TAC"),
        ("reacgan-adc", "ReACGAN + ADC"),
    )
}
_CLASSIFIERS: dict[str, str] = {
    "cifar10/acgan": "ACGAN",
    "cifar10/tacgan": "TAC-GAN",
    "cifar10/adcgan": "ADC-GAN",
}
TAC_ADC = Suite(
    name="tac-adc",
    numbers=(16,),
    title="ReACGAN with a twin (TAC) or a discriminative (ADC) loss",
    about=(
        "A classifier that sees real images alone draws G away from where classes overlap; TAC takes the "
        "entropy back by a twin of fakes, ADC by classes of their own for fakes. Over D2D-CE, and over the "
        "plain classifier."
    ),
    trials=partial(published_rows, {**_OVER, **_CLASSIFIERS}),
    metrics=("fid", "is", "recall", "coverage", "top1", "ifid"),
    claims=(
        closer("TAC helps ReACGAN", "ReACGAN + TAC", "ReACGAN"),
        closer("ADC helps ReACGAN", "ReACGAN + ADC", "ReACGAN"),
        Claim("TAC keeps more variety than AC", "recall", ("TAC-GAN", "ACGAN"), "above"),
        Claim("ADC keeps more variety than AC", "recall", ("ADC-GAN", "ACGAN"), "above"),
    ),
    figures=(Figure("bars", ("fid", "recall", "top1"), "Twin and discriminative losses"),),
)

LOSSES = (CONDITIONING, TAC_ADC)
