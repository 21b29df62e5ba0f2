"""Experiments on CIFAR-10 and CIFAR-100 (Krizhevsky 2009), 32 x 32 RGB, 10 and 100 classes.

``cifar10/...`` and ``cifar100/...`` are the published settings (ReACGAN, NeurIPS 2021, and the authors'
configurations): a base for each backbone, and one line a method. Batch and D steps of the networks
without labels follow from the speeds in their logs. :mod:`reacgan.experiments.notes` lists values that
differ from the published ones or are not published.
"""

from __future__ import annotations

from reacgan.config import DataConfig, Experiment
from reacgan.experiments import networks
from reacgan.experiments.parts import (
    APA,
    CR,
    DIFFAUG,
    ICR,
    MULTIHINGE,
    MULTILOGIT,
    PROJECTION,
    UNCONDITIONAL,
    Changes,
    ada,
    adam,
    classifier,
    contrastive,
    d2dce,
    lecam,
    over,
    row,
    steps,
)
from reacgan.experiments.stylegan import cifar_rows

K = 1_000
_ATTENTION: networks.Attention = ((2,), (1,))
_CLASSIFIER = classifier(1.0)
_2C = contrastive(512)
_D2DCE = d2dce(512, weight=0.5, margin=0.98, temperature=0.5)
_LOGAN: Changes = {"loss.latent_optimisation": {}}
_RELEASED: Changes = {"model.head.form": "released", "model.backbone.preactivated_shortcut": True}
_LOGISTIC: Changes = {"loss.adversarial": "non_saturating"}


def _small_batch(count: int, ema_start: int | None = 1_000) -> Changes:
    return steps(count, batch=64, d_steps=5, ema_start=ema_start)


def _large_batch(count: int) -> Changes:
    return steps(count, batch=128, d_steps=5, ema_start=1_000)


def rows(data: str) -> tuple[Experiment, ...]:
    """Every published experiment on ``cifar10`` or ``cifar100``."""
    start = Experiment(name=data, data=DataConfig(name=data, resolution=32, flip=True))
    return (
        *_convolutional(start, data),
        *_residual(start, data),
        *_biggan(start, data),
        *_contragan(start, data),
        *_reacgan(start, data),
        *_deep(start, data),
        *cifar_rows(start, data),
    )


def _convolutional(start: Experiment, data: str) -> tuple[Experiment, ...]:
    """Without labels. Batch and D steps follow from the speeds in the logs, not from a table."""
    base = row(
        start,
        f"{data}/dcgan",
        networks.dcgan(),
        UNCONDITIONAL,
        adam(2e-4, 2e-4, 0.5, 0.999),
        steps(200 * K, batch=64, d_steps=2, ema_start=None),
        {"loss.adversarial": "non_saturating"},
    )
    return (
        base,
        row(base, f"{data}/lsgan", {"loss.adversarial": "least_squares"}),
        row(base, f"{data}/ggan", {"loss.adversarial": "hinge"}),
    )


def _residual(start: Experiment, data: str) -> tuple[Experiment, ...]:
    base = row(
        start,
        f"{data}/sngan",
        networks.resnet("spectral"),
        PROJECTION,
        adam(2e-4, 2e-4, 0.5, 0.999),
        _small_batch(100 * K, ema_start=None),
    )
    batch_norm = networks.resnet("batch")
    # Adam's betas are those of Gulrajani et al. 2017; batch norm in D would break the penalties.
    plain = row(
        base,
        f"{data}/wgan",
        networks.resnet("none", conditional=False),
        UNCONDITIONAL,
        adam(2e-4, 2e-4, 0.0, 0.9),
        {"loss.adversarial": "wasserstein", "penalties": {"weight_clipping": {"limit": 0.01}}},
    )
    attention = networks.resnet("spectral", g_spectral=True, attention=_ATTENTION)
    unlabelled = networks.resnet("spectral", conditional=False)
    return (
        base,
        row(base, f"{data}/sagan", attention),
        row(base, f"{data}/projgan", batch_norm),
        row(base, f"{data}/acgan-resnet", batch_norm, _CLASSIFIER),
        row(base, f"{data}/logan", unlabelled, UNCONDITIONAL, _LOGAN),
        plain,
        row(plain, f"{data}/wgan-gp", {"penalties": {"gradient_penalty": {"weight": 10.0}}}),
        row(plain, f"{data}/wgan-dragan", {"penalties": {"dragan": {"weight": 10.0}}}),
        row(plain, f"{data}/lgan", {"penalties": {"max_gradient": {"weight": 10.0}}}, _LOGISTIC),
    )


def biggan_base(start: Experiment, data: str) -> Experiment:
    """BigGAN, the base of all classifier-based methods."""
    return row(
        start,
        f"{data}/biggan",
        networks.biggan(80, 96, _ATTENTION),
        PROJECTION,
        adam(2e-4, 2e-4, 0.5, 0.999),
        _small_batch(100 * K),
    )


def _biggan(start: Experiment, data: str) -> tuple[Experiment, ...]:
    base = biggan_base(start, data)
    # Published configurations of the two data sets differ in these.
    mirrored = ada(0.6, flip=data == "cifar10")
    length = 200 * K if data == "cifar10" else 400 * K
    r1: Changes = {"penalties": {"r1": {"weight": 1.0}}}
    return (
        base,
        row(base, f"{data}/biggan-cr", CR),
        row(base, f"{data}/biggan-icr", ICR),
        row(base, f"{data}/biggan-diffaug", DIFFAUG, _small_batch(200 * K)),
        row(base, f"{data}/biggan-ada", mirrored, _LOGISTIC, _small_batch(length)),
        row(base, f"{data}/biggan-lecam", lecam(batch=64, d_steps=5), _small_batch(200 * K)),
        row(base, f"{data}/biggan-logan", _LOGAN),
        row(base, f"{data}/biggan-topk", {"loss.top_k": {}}),
        row(base, f"{data}/acgan", _CLASSIFIER),
        row(base, f"{data}/tacgan", over("twin", _CLASSIFIER)),
        row(base, f"{data}/adcgan", over("discriminative", _CLASSIFIER)),
        row(base, f"{data}/mhgan", MULTIHINGE),
        row(base, f"{data}/mdgan", MULTILOGIT, _LOGISTIC, r1),
        row(
            base,
            f"{data}/infogan",
            {"model.head": {"name": "infogan", "over": "projection"}},
            {"model.codes": {"discrete": (10,), "continuous": 2}, "loss.conditioning_weight": 1.0},
        ),
    )


def _contragan(start: Experiment, data: str) -> tuple[Experiment, ...]:
    base = row(biggan_base(start, data), f"{data}/contragan", _2C)
    return (
        base,
        row(base, f"{data}/contragan-cr", CR),
        row(base, f"{data}/contragan-icr", ICR),
        row(base, f"{data}/contragan-diffaug", DIFFAUG, _small_batch(200 * K)),
        row(base, f"{data}/contragan-ada", ada(0.6, flip=False), _LOGISTIC, _small_batch(400 * K)),
        row(base, f"{data}/contragan-tac", over("twin", _2C)),
        row(base, f"{data}/contragan-adc", over("discriminative", _2C)),
    )


def _reacgan(start: Experiment, data: str) -> tuple[Experiment, ...]:
    base = row(
        biggan_base(start, data),
        f"{data}/reacgan",
        _D2DCE,
        adam(2.8284271e-4, 2.8284271e-4, 0.5, 0.999),
        _large_batch(100 * K),
    )
    relativistic: Changes = {"loss.adversarial": "relativistic"}
    return (
        base,
        row(base, f"{data}/reacgan-cr", CR),
        row(base, f"{data}/reacgan-icr", ICR),
        row(base, f"{data}/reacgan-diffaug", DIFFAUG, _large_batch(200 * K)),
        row(base, f"{data}/reacgan-ada", ada(0.7, flip=False), _LOGISTIC, _large_batch(400 * K)),
        row(base, f"{data}/reacgan-apa", APA, _large_batch(200 * K)),
        row(base, f"{data}/reacgan-lecam", lecam(batch=128, d_steps=5), _large_batch(200 * K)),
        row(base, f"{data}/reacgan-tac", over("twin", _D2DCE)),
        row(base, f"{data}/reacgan-adc", over("discriminative", _D2DCE)),
        row(base, f"{data}/reacgan-released", _RELEASED),
        row(base, f"{data}/reacgan-relativistic", relativistic),
    )


def _deep(start: Experiment, data: str) -> tuple[Experiment, ...]:
    base = biggan_base(start, data)
    reacgan = row(base, "", _D2DCE, adam(2.8284271e-4, 2.8284271e-4, 0.5, 0.999))
    two_steps = steps(100 * K, batch=64, d_steps=2, ema_start=1_000)
    return (
        row(base, f"{data}/biggan-deep", networks.biggan_deep(_ATTENTION)),
        row(
            base,
            f"{data}/biggan-deep-learned",
            networks.biggan_deep(_ATTENTION, "learned"),
            two_steps,
        ),
        row(
            reacgan, f"{data}/reacgan-deep", networks.biggan_deep(_ATTENTION), _large_batch(100 * K)
        ),
    )
