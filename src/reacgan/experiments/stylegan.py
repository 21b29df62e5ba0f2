"""StyleGAN2 (Karras et al. 2020) and R3GAN (Huang et al. 2024), each also with D2D-CE.

StyleGAN2's published configurations count the average's half-life in images of G's steps, and correct
Adam for lazily applied penalties (every 4th step of G, every 16th of D, whether or not both are on).
"""

from __future__ import annotations

from reacgan.config import DataConfig, Experiment
from reacgan.experiments import networks
from reacgan.experiments.parts import (
    APA,
    DIFFAUG,
    PROJECTION,
    STYLE_PROJECTION,
    Changes,
    ada,
    adam,
    d2dce,
    lazily,
    row,
    steps,
)

K = 1_000


def _steps(
    count: int, *, batch: int, d_steps: int, half_life: float, ramp: float | None = 0.05
) -> Changes:
    """``half_life`` in images of G's steps; the clock counts those of all of D's steps."""
    return {
        **steps(count, batch=batch, d_steps=d_steps, ema_start=0),
        "ema.half_life": half_life * d_steps,
        "ema.ramp": ramp,
    }


def _r1(weight: float, every: int = 16) -> Changes:
    return {"penalties": {"r1": {"weight": weight, "every": every}}}


def _r1_and_paths(weight: float) -> Changes:
    return {
        "penalties": {
            "r1": {"weight": weight, "every": 16},
            # As published: the gradient flows through the newest term of the mean.
            "path_length": {"weight": 2.0, "every": 4, "constant_mean": False},
        }
    }


_COMMON: Changes = {"loss.adversarial": "non_saturating", **lazily(4, 16, 2.5e-3)}


def cifar_rows(start: Experiment, data: str) -> tuple[Experiment, ...]:
    """StyleGAN2's on CIFAR, and R3GAN's."""
    base = row(
        start,
        f"{data}/stylegan2",
        networks.stylegan2(mapping_layers=2, mixing=0.0, group=32, architecture="orig"),
        STYLE_PROJECTION,
        _COMMON,
        _r1(0.01),
        _steps(200 * K, batch=64, d_steps=1, half_life=500_000),
    )
    long = _steps(1_000 * K, batch=64, d_steps=1, half_life=500_000)
    longer = _steps(1_000 * K, batch=64, d_steps=2, half_life=500_000)
    conditioned = row(
        base,
        f"{data}/stylegan2-d2dce",
        d2dce(512, weight=0.25, margin=0.98, temperature=0.25),
        _steps(200 * K, batch=64, d_steps=2, half_life=500_000),
    )
    # Published for CIFAR-10 alone; the configuration of CIFAR-100 keeps the base's R1.
    often: Changes = {**_r1(0.08, every=2), **lazily(4, 2, 2.5e-3)} if data == "cifar10" else {}
    return (
        base,
        row(base, f"{data}/stylegan2-ada", ada(0.6), long),
        row(base, f"{data}/stylegan2-diffaug", DIFFAUG, long),
        row(base, f"{data}/stylegan2-apa", APA, long),
        conditioned,
        row(conditioned, f"{data}/stylegan2-d2dce-ada", ada(0.8), longer),
        row(conditioned, f"{data}/stylegan2-d2dce-diffaug", DIFFAUG, longer),
        row(conditioned, f"{data}/stylegan2-d2dce-diffaug-rev", DIFFAUG, longer, often),
        *_r3gan(start, data),
    )


def _r3gan(start: Experiment, data: str) -> tuple[Experiment, ...]:
    """R3GAN at CIFAR's size; width and schedule are ours."""
    base = row(
        start,
        f"{data}/r3gan",
        {"model.generator": {"name": "r3gan"}, "model.backbone": {"name": "r3gan"}},
        PROJECTION,
        {"loss.adversarial": "relativistic"},
        {"penalties": {"r1": {"weight": 0.1}, "r2": {"weight": 0.1}}},
        adam(2e-4, 2e-4, 0.0, 0.9, eps=1e-8),
        _steps(200 * K, batch=64, d_steps=1, half_life=500_000),
    )
    conditioning = d2dce(512, weight=0.25, margin=0.98, temperature=0.25)
    return base, row(base, f"{data}/r3gan-d2dce", conditioning)


def _photo_steps(count: int, *, batch: int, d_steps: int) -> Changes:
    return _steps(count, batch=batch, d_steps=d_steps, half_life=20_000, ramp=None)


def _photo_base(
    name: str,
    data: DataConfig,
    r1: float,
    *changes: Changes,
    mapping_layers: int = 2,
    channel_base: int = 16384,
) -> Experiment:
    network = networks.stylegan2(
        mapping_layers=mapping_layers, mixing=0.9, group=8, channel_base=channel_base
    )
    start = Experiment(name=data.name, data=data)
    penalties = _r1_and_paths(r1)
    return row(start, name, network, STYLE_PROJECTION, _COMMON, penalties, *changes)


def cub200_rows(data: DataConfig) -> tuple[Experiment, ...]:
    """CUB-200 at 128 pixels: style projection and D2D-CE, without and with ADA."""
    one_step, two_steps = (_photo_steps(100 * K, batch=64, d_steps=count) for count in (1, 2))
    base = _photo_base("cub200/stylegan2", data, 0.2048, one_step)
    conditioning = d2dce(1024, weight=0.25, margin=0.95, temperature=0.25)
    conditioned = row(base, "cub200/stylegan2-d2dce", conditioning, two_steps)
    return (
        base,
        row(base, "cub200/stylegan2-ada", ada(0.6)),
        conditioned,
        row(conditioned, "cub200/stylegan2-d2dce-ada", ada(0.6)),
    )


def imagenet_rows(data: DataConfig) -> tuple[Experiment, ...]:
    """ImageNet at 128 pixels."""
    length = _photo_steps(200 * K, batch=256, d_steps=1)
    base = _photo_base("imagenet/stylegan2", data, 0.2048, length)
    conditioning = d2dce(2048, weight=0.5, margin=0.9, temperature=0.25)
    return base, row(base, "imagenet/stylegan2-d2dce", conditioning)


def afhq_rows() -> tuple[Experiment, ...]:
    """AFHQ at 512 pixels, and AFHQ v2 with BigGAN at 256."""
    one_step, two_steps = (_photo_steps(200 * K, batch=64, d_steps=count) for count in (1, 2))
    base = _photo_base(
        "afhq/stylegan2-ada",
        DataConfig(name="afhq", resolution=512),
        0.5,
        ada(0.6),
        one_step,
        mapping_layers=8,
        channel_base=32768,
    )
    conditioning = d2dce(1024, weight=0.5, margin=0.95, temperature=0.5)
    conditioned = row(base, "afhq/stylegan2-d2dce-ada", conditioning, ada(0.8), two_steps)
    small = row(
        Experiment(name="afhq", data=DataConfig(name="afhq", resolution=256)),
        "afhq/biggan-256",
        networks.biggan(140, 96, ((), ())),
        PROJECTION,
        adam(5e-5, 2e-4, 0.0, 0.999),
        steps(200 * K, batch=64, d_steps=2, ema_start=20_000),
    )
    return base, conditioned, small
