"""Everything that changes over a run, as functions of images seen: the only clock."""

from __future__ import annotations

from reacgan.config import EmaConfig, OptimizerConfig, TopKConfig, TransitionConfig


def learning_rate(config: OptimizerConfig, images_seen: int, scale: float = 1.0) -> float:
    """Constant, or falling linearly from ``decay_from`` to zero at ``decay_to``; times ``scale``."""
    if config.decay_from is None or config.decay_to is None:
        return config.lr * scale
    left = (config.decay_to - images_seen) / (config.decay_to - config.decay_from)
    return config.lr * min(max(left, 0.0), 1.0) * scale


def ema_decay(config: EmaConfig, images_seen: int, images_since_update: int) -> float:
    """Weight of the old average: 0.5^(images since the last update / half-life).

    Zero (a copy) before ``start``; with ``ramp`` the half-life is at most that share of the images
    seen (Karras et al. 2020, StyleGAN2).
    """
    if images_seen < config.start:
        return 0.0
    half_life = config.half_life
    if config.ramp is not None:
        half_life = min(half_life, config.ramp * images_seen)
    return 0.5 ** (images_since_update / half_life) if half_life > 0 else 0.0


def due(every: int | None, before: int, now: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, now]; never, where it is None."""
    return every is not None and now // every > before // every


FIRST_LOOK = 500
"""Images seen at the first look of the watch."""


def look_due(every: int | None, before: int, now: int, images: int) -> bool:
    """Whether the watch looks now: at every doubling of 500 images, then every so many images.

    Args:
        every: ``watch.every``; None for 10,000, or a 500th of ``images`` where that is more.
        before: images seen one cycle ago.
        now: images seen.
        images: of the whole training.
    """
    usual = every if every is not None else max(10_000, images // 500)
    early = FIRST_LOOK
    while early < usual:
        if before < early <= now:
            return True
        early *= 2
    return due(usual, before, now)


def half_life_of(decay: float, images_per_update: int) -> float:
    """Half-life in images of a decay that published code applies at every generator step.

    0.9999 at 5 x 128 images a step is a half-life of 4.4 million images.
    """
    import math  # noqa: PLC0415

    return images_per_update * math.log(0.5) / math.log(decay)


def condition_strength(config: TransitionConfig | None, images_seen: int) -> float:
    """Influence of labels: 0 until ``start``, rising linearly to 1 at ``end``; always 1 for None."""
    if config is None:
        return 1.0
    return min(max((images_seen - config.start) / (config.end - config.start), 0.0), 1.0)


def top_share(config: TopKConfig | None, images_seen: int) -> float:
    """Share of the fakes that G learns from: gamma^(whole intervals seen), at least ``least``."""
    if config is None:
        return 1.0
    return max(config.gamma ** (images_seen // config.every), config.least)
