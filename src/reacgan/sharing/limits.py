"""What a model is good for and what it is not, as far as its numbers say."""

from __future__ import annotations

from collections.abc import Sequence

from reacgan.config import size_of
from reacgan.config.resolution import describe
from reacgan.evaluation.scores import Score
from reacgan.models.trained import TrainedGenerator
from reacgan.sharing.scores import is_real, number, real_beside

_FEW = 10_000
_ORDINARY = 1.5


def intended_use(model: TrainedGenerator) -> str:
    """Markdown."""
    size = describe(model.experiment.data.resolution)
    small = min(size_of(model.experiment.data.resolution)) <= 64
    told = "a demonstration and a point of comparison" if small else "research on generative models"
    return f"""For {told}: sampling images of the {len(model.class_names)} classes above, comparing
methods under one protocol, teaching, tests of software, and a start for further training
(`training.start_from`). At {size} pixels it is no source of pictures for any decision about people,
health or safety; generated images are not evidence of anything, and are to be called generated."""


def limits(model: TrainedGenerator, scores: Sequence[Score], planned: int | None) -> str:
    """A Markdown list; what can be is derived from the scores."""
    experiment = model.experiment
    size = describe(experiment.data.resolution)
    told = [
        f"Only its {len(model.class_names)} classes, at {size} pixels; nothing can be described."
    ]
    if planned is not None and model.images_seen + experiment.training.batch < planned:
        share = model.images_seen / planned
        told.append(f"Training is not complete: {share:.0%} of the planned {planned:,} images.")
    told.append(
        f"One training run (seed {experiment.training.seed}): how much scores vary between seeds is "
        "not known from it."
    )
    own = {score.metric: score for score in scores if not is_real(score)}
    if own:
        told += _of_scores(own, scores)
    else:
        told.append("Not evaluated: nothing is known of its quality, variety or memorisation.")
    told.append(
        "It repeats what its training images favour and leave out; what is rare there is rarer here."
    )
    return "\n".join(f"- {one}" for one in told)


def _of_scores(own: dict[str, Score], scores: Sequence[Score]) -> list[str]:
    told = []
    for name in ("recall", "coverage", "precision"):
        if name in own:
            real = real_beside(own[name], scores)
            beside = f", where as many real images have {number(real.value)}" if real else ""
            words = {
                "recall": "of real images that lie among its images; it lacks the variety of the rest",
                "coverage": "of real images that have one of its images near",
                "precision": "of its images that lie among real ones",
            }[name]
            told.append(f"{name} is {number(own[name].value)}{beside}. It is the share {words}.")
    if "top1" in own:
        settings = own["top1"].protocol.get("metric", {})
        judge = settings.get("judge_held_out_top1") if isinstance(settings, dict) else None
        right = f", which is right on {judge:.1%} of real ones," if isinstance(judge, float) else ""
        found = f"{own['top1'].value:.1%} of its images"
        told.append(f"A classifier{right} finds the class that was asked for in {found}.")
    first = next(iter(own.values()))
    extractor = first.protocol.get("extractor", {}).get("name")
    if extractor == "domain":
        told.append(
            "Scores are by a classifier of these very images (`domain`), so they cannot be compared "
            "with published ones, which are by Inception."
        )
    count = first.protocol.get("fake", {}).get("images")
    if isinstance(count, int) and count < _FEW:
        told.append(f"Scores are of {count:,} images: small differences mean nothing.")
    return [*told, _memorised(own.get("memorised_share"))]


def _memorised(score: Score | None) -> str:
    if score is None:
        return "Whether it repeats training images was not measured."
    settings = score.protocol.get("metric", {})
    chance = settings.get("chance") if isinstance(settings, dict) else None
    if not isinstance(chance, int | float) or chance <= 0:
        return f"memorised_share is {number(score.value)}."
    near = f"{score.value:.1%} of its images lie as near to a training image as {chance:.1%} of unseen "
    if score.value > _ORDINARY * chance:
        return (
            f"{near}real images do: some are close to copies. Do not take its images for new ones."
        )
    return f"{near}real images do: no sign of copying."
