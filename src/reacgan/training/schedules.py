"""Everything that changes over a run, as functions of images seen: the only clock."""

from __future__ import annotations

from reacgan.config import OptimizerConfig, TopKConfig, TransitionConfig


def learning_rate(config: OptimizerConfig, images_seen: int, scale: float = 1.0) -> float:
    """Constant, or falling linearly from ``decay_from`` to zero at ``decay_to``; times ``scale``."""
    if config.decay_from is None or config.decay_to is None:
        return config.lr * scale
    left = (config.decay_to - images_seen) / (config.decay_to - config.decay_from)
    return config.lr * min(max(left, 0.0), 1.0) * scale


def due(every: int | None, before: int, now: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, now]; never, where it is None."""
    return every is not None and now // every > before // every


FIRST_SNAPSHOT = 500
"""Images seen at the first snapshot of the monitor."""


def snapshot_due(every: int | None, before: int, now: int, images: int) -> bool:
    """Whether the monitor takes a snapshot: at every doubling of 500 images, then every so many images.

    Args:
        every: ``watch.every``; None for 10,000, or a 500th of ``images`` where that is more.
        before: images seen one cycle ago.
        now: images seen.
        images: of the whole training.
    """
    usual = every if every is not None else max(10_000, images // 500)
    early = FIRST_SNAPSHOT
    while early < usual:
        if before < early <= now:
            return True
        early *= 2
    return due(usual, before, now)


FIRST_SHEET = 1_000
"""Images seen at the first sheet of a run."""


def sheet_due(every: int, before: int, now: int) -> bool:
    """Whether a sheet is made: at 1,000, 2,000, 5,000, 10,000, ... images, then every so many images.

    Args:
        every: ``report.samples_every``, from which on it alone counts.
        before: images seen one cycle ago.
        now: images seen.
    """
    power = FIRST_SHEET
    while power < every:
        if any(before < step * power <= now and step * power < every for step in (1, 2, 5)):
            return True
        power *= 10
    return due(every, before, now)


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
