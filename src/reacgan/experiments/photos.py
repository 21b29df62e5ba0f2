"""Experiments on Tiny-ImageNet (64 px), CUB-200 and ImageNet (128 px), and AFHQ.

The settings are the published ones; :mod:`reacgan.experiments.notes` lists differences, and
:mod:`reacgan.experiments.published` scores with notes on their runs.
"""

from __future__ import annotations

from reacgan.config import DataConfig, Experiment
from reacgan.experiments import networks
from reacgan.experiments.parts import (
    CR,
    DIFFAUG,
    ICR,
    MULTIHINGE,
    PROJECTION,
    Changes,
    ada,
    adam,
    classifier,
    contrastive,
    d2dce,
    over,
    row,
    steps,
)
from reacgan.experiments.stylegan import afhq_rows, cub200_rows, imagenet_rows

K = 1_000


def _tiny_imagenet() -> tuple[Experiment, ...]:
    attention: networks.Attention = ((3,), (1,))
    start = row(
        Experiment(name="tiny", data=DataConfig(name="tiny_imagenet", resolution=64)),
        "tiny_imagenet/sngan",
        networks.resnet("spectral"),
        PROJECTION,
        adam(1e-4, 4e-4, 0.0, 0.999),
        steps(100 * K, batch=256, d_steps=1, ema_start=None),
    )
    big = row(
        start,
        "tiny_imagenet/biggan",
        networks.biggan(100, 80, attention),
        steps(100 * K, batch=1024, d_steps=1, ema_start=20_000),
    )
    long = steps(200 * K, batch=1024, d_steps=1, ema_start=20_000)
    contragan = row(big, "tiny_imagenet/contragan", contrastive(768))
    d2d = d2dce(768, weight=0.75, margin=1.0, temperature=0.75)
    reacgan = row(big, "tiny_imagenet/reacgan", d2d)
    batch_norm = networks.resnet("batch")
    return (
        start,
        row(
            start,
            "tiny_imagenet/sagan",
            networks.resnet("spectral", g_spectral=True, attention=attention),
        ),
        row(start, "tiny_imagenet/projgan", batch_norm),
        row(start, "tiny_imagenet/acgan-resnet", batch_norm, classifier()),
        big,
        row(big, "tiny_imagenet/biggan-cr", CR),
        row(big, "tiny_imagenet/biggan-icr", ICR),
        row(big, "tiny_imagenet/biggan-diffaug", DIFFAUG, long),
        row(big, "tiny_imagenet/acgan", classifier()),
        row(big, "tiny_imagenet/mhgan", MULTIHINGE),
        contragan,
        row(contragan, "tiny_imagenet/contragan-cr", CR),
        row(contragan, "tiny_imagenet/contragan-icr", ICR),
        row(contragan, "tiny_imagenet/contragan-diffaug", DIFFAUG, long),
        row(contragan, "tiny_imagenet/contragan-tac", over("twin", contrastive(768))),
        row(contragan, "tiny_imagenet/contragan-adc", over("discriminative", contrastive(768))),
        reacgan,
        row(reacgan, "tiny_imagenet/reacgan-cr", CR),
        row(reacgan, "tiny_imagenet/reacgan-diffaug", DIFFAUG),
        row(reacgan, "tiny_imagenet/reacgan-ada", ada(0.7)),
        row(reacgan, "tiny_imagenet/reacgan-tac", over("twin", d2d)),
        row(reacgan, "tiny_imagenet/reacgan-adc", over("discriminative", d2d)),
    )


def _cub200() -> tuple[Experiment, ...]:
    attention: networks.Attention = ((4,), (1,))
    data = DataConfig(name="cub200", resolution=128)
    start = row(
        Experiment(name="cub200", data=data),
        "cub200/sngan",
        networks.resnet("spectral"),
        PROJECTION,
        adam(5e-5, 2e-4, 0.0, 0.999),
        steps(40 * K, batch=256, d_steps=2, ema_start=None),
    )
    one_step: Changes = {
        **adam(1e-4, 4e-4, 0.0, 0.999),
        **steps(40 * K, batch=256, d_steps=1, ema_start=None),
    }
    big = row(
        start,
        "cub200/biggan",
        networks.biggan(120, 80, attention),
        steps(40 * K, batch=256, d_steps=2, ema_start=4_000),
    )
    d2d = d2dce(1024, weight=0.25, margin=0.95, temperature=0.25)
    attentive = networks.resnet("spectral", g_spectral=True, attention=attention)
    return (
        start,
        row(start, "cub200/sagan", attentive, one_step),
        row(start, "cub200/projgan", networks.resnet("batch")),
        big,
        row(big, "cub200/acgan", classifier()),
        row(big, "cub200/mhgan", MULTIHINGE),
        row(big, "cub200/contragan", contrastive(1024)),
        row(big, "cub200/reacgan", d2d),
        row(big, "cub200/reacgan-tac", over("twin", d2d)),
        row(big, "cub200/reacgan-adc", over("discriminative", d2d)),
        row(big, "cub200/reacgan-diffaug", d2d, DIFFAUG),
        *cub200_rows(data),
    )


def _parts_of(batch: int, parts: int, count: int) -> Changes:
    """A batch in parts that fit the memory; losses are over the whole batch."""
    length = steps(count, batch=batch * parts, d_steps=2, ema_start=20_000)
    return {**length, "training.accumulate": parts}


def _imagenet() -> tuple[Experiment, ...]:
    attention: networks.Attention = ((4,), (1,))
    data = DataConfig(name="imagenet", resolution=128)
    start = row(
        Experiment(name="imagenet", data=data),
        "imagenet/sngan-256",
        networks.resnet("spectral"),
        PROJECTION,
        adam(5e-5, 2e-4, 0.0, 0.999),
        steps(500 * K, batch=256, d_steps=2, ema_start=None),
    )
    fast = adam(1e-4, 4e-4, 0.0, 0.999)
    attentive = networks.resnet("spectral", g_spectral=True, attention=attention)
    sagan = steps(1_000 * K, batch=256, d_steps=1, ema_start=None)
    one_step = {**fast, **steps(250 * K, batch=256, d_steps=1, ema_start=20_000)}
    big = row(
        start,
        "imagenet/biggan-256",
        networks.biggan(120, 96, attention),
        steps(200 * K, batch=256, d_steps=2, ema_start=20_000),
    )
    contragan = row(big, "imagenet/contragan-256", contrastive(1536))
    return (
        start,
        row(start, "imagenet/sagan-256", attentive, fast, sagan),
        big,
        row(big, "imagenet/biggan-256-ttur", one_step),
        row(big, "imagenet/biggan-2048", _parts_of(512, 4, 200 * K)),
        row(big, "imagenet/acgan-256", classifier()),
        row(big, "imagenet/mhgan-256", MULTIHINGE),
        contragan,
        row(contragan, "imagenet/contragan-256-ttur", one_step),
        *_imagenet_reacgan(big, networks.biggan_deep(attention)),
        *imagenet_rows(data),
    )


def _imagenet_reacgan(big: Experiment, deep: Changes) -> tuple[Experiment, ...]:
    small_batch = d2dce(2048, weight=1.0, margin=0.98, temperature=0.5)
    large_batch = d2dce(2048, weight=0.5, margin=0.9, temperature=0.25)
    longer = _parts_of(512, 4, 300 * K)
    return (
        row(
            big,
            "imagenet/reacgan-256",
            small_batch,
            steps(500 * K, batch=256, d_steps=2, ema_start=20_000),
        ),
        row(big, "imagenet/reacgan-2048", large_batch, _parts_of(512, 4, 200 * K)),
        row(big, "imagenet/reacgan-deep-256", deep, large_batch),
        row(big, "imagenet/reacgan-deep-2048", deep, large_batch, longer),
        row(big, "imagenet/reacgan-deep-diffaug-2048", deep, large_batch, DIFFAUG, longer),
    )


PHOTOS = (*_tiny_imagenet(), *_cub200(), *_imagenet(), *afhq_rows())
