"""Checks for collapse, divergence and overfitting of the discriminator.

Pure functions of numbers. A *snapshot* holds the signals of a few generated images at one moment and the
journal's means since the previous snapshot. :func:`check` reads a run's snapshots and returns the findings
at the last. The thresholds of a mode collapse were set manually, on the one known collapsed run and some
healthy ones; those of the other kinds are bounds that no observed run has crossed.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Numbers = Mapping[str, float]

LEAST_VARIETY = 0.4
SHARE_OF_BEST_VARIETY = 0.6
AS_DISTINCT = 0.9
NO_VARIETY = 0.1
NO_CONTRAST = 0.03
CONTRAST_ONCE = 0.3
SHARE_OF_BEST_CONTRAST = 0.35
MOST_PIXELS = 0.5
RECALL_ONCE = 0.1
SHARE_OF_BEST_RECALL = 0.4
TIMES_BEST_FID = 2.5
DISCRIMINATOR_WINS = 0.05
TIMES_CHANCE = 100.0
BEYOND_ALL = 1e4
"""For losses without a chance level: beyond the value of any healthy run."""
SURE_OF_REAL = 0.95
PASSES = 20
TIMES_MEDIAN = {"adversarial": 10.0, "conditioning": 3.0}
TIMES_HIGHEST = {"adversarial": 3.0, "conditioning": 2.0}
DEVIATIONS = 10.0
_FLOOR = 1.0
_WARM_UP_STEPS = 1_000
_EARLIER_SNAPSHOTS = 3

SIGN_AT = {"hinge": 0.0, "non_saturating": 0.0, "least_squares": 0.5}
"""D's score at its decision boundary, for losses that have one; scores of the others drift."""

ADVICE = {
    "mode_collapse": (
        "go back to a state from before it; lower the learning rates, or add an augmentation "
        "(augment.name=diffaug), or take a head without a classifier, such as ReACGAN's"
    ),
    "scores_fell": "take the best state (best/), or go back and lower the learning rates",
    "class_collapse": (
        "lower g_optimizer.lr, raise loss.conditioning_weight, or check the labels of the folders"
    ),
    "discriminator_overfit": (
        "take an adaptive augmentation (augment.name=ada), more images, or a penalty such as r1"
    ),
    "divergence": "lower the learning rates (d_optimizer.lr, g_optimizer.lr), or add a penalty such as r1",
    "conditioning_explosion": "lower loss.conditioning_weight or d_optimizer.lr, or take ReACGAN's head",
    "not_finite": "lower the learning rates, or take training.precision=float32",
}
"""Advice for each kind of finding."""


@dataclass(frozen=True)
class RunFacts:
    """Facts of an experiment and its data that the checks need."""

    chance: float
    """D's adversarial loss where all scores are 0; 0 for losses without a chance level."""
    undecided: float | None
    """D's score at its decision boundary; None where scores drift."""
    conditional: bool
    """Whether the loss makes G follow the labels."""
    cycle_images: int
    num_classes: int
    images: int
    """In the data set."""
    labels_from: float = 0
    """Images seen at the end of ``loss.transition``; 0 without one."""


@dataclass(frozen=True)
class Snapshot:
    """Numbers at one moment: signals by name, and means of journal names (``d/...``)."""

    images_seen: int
    numbers: Numbers


@dataclass(frozen=True)
class Finding:
    """A problem and its evidence."""

    kind: str
    evidence: dict[str, float]


def check(snapshots: Sequence[Snapshot], facts: RunFacts) -> list[Finding]:
    """The findings at the last of a run's snapshots, given the earlier ones."""
    if not snapshots:
        return []
    findings = [
        _mode_collapse(snapshots, facts) or _recall_fell(snapshots),
        _scores_fell(snapshots),
        _class_collapse(snapshots, facts),
        _discriminator_overfit(snapshots[-1], facts),
        _divergence(snapshots, facts),
        _conditioning_explosion(snapshots),
    ]
    return [finding for finding in findings if finding is not None]


def _mode_collapse(snapshots: Sequence[Snapshot], facts: RunFacts) -> Finding | None:
    """Variety is low, and far below its best at snapshots with equally distinct classes.

    While classes separate, variety within them falls in healthy runs, too.
    """
    now, best = _now_and_best(_as_distinct(snapshots, facts), "variety")
    if now is None:
        return None
    steps = snapshots[-1].images_seen / facts.cycle_images
    gone = steps >= _WARM_UP_STEPS and now < NO_VARIETY
    fell = best >= LEAST_VARIETY > now and now < SHARE_OF_BEST_VARIETY * best
    if gone or fell:
        return Finding("mode_collapse", {"variety": now, "best": best})
    return None


def _recall_fell(snapshots: Sequence[Snapshot]) -> Finding | None:
    """Recall fell far below its best, where it is scored.

    A finding holds until the next score, which may be several snapshots later.
    """
    scores = _scored(snapshots, "score/recall")
    if scores and max(scores) >= RECALL_ONCE and scores[-1] < SHARE_OF_BEST_RECALL * max(scores):
        return Finding("mode_collapse", {"recall": scores[-1], "best": max(scores)})
    return None


def _scores_fell(snapshots: Sequence[Snapshot]) -> Finding | None:
    """FID rose far above its lowest, where it is scored, as in published runs after their best point."""
    scores = _scored(snapshots, "score/fid")
    if scores and scores[-1] > TIMES_BEST_FID * min(scores):
        return Finding("scores_fell", {"fid": scores[-1], "best": min(scores)})
    return None


def _scored(snapshots: Sequence[Snapshot], name: str) -> list[float]:
    return [snapshot.numbers[name] for snapshot in snapshots if name in snapshot.numbers]


def _as_distinct(snapshots: Sequence[Snapshot], facts: RunFacts) -> Sequence[Snapshot]:
    """The snapshots at which classes were about as distinct as ever; all of an unlabelled run.

    The distinctness of real classes suffices: collapsed classes may be more distinct.
    """
    if not facts.conditional or "contrast" not in snapshots[-1].numbers:
        return snapshots
    highest = min(max(snapshot.numbers.get("contrast", 0.0) for snapshot in snapshots), 1.0)
    distinct = [
        snapshot
        for snapshot in snapshots[:-1]
        if snapshot.numbers.get("contrast", 0.0) >= AS_DISTINCT * highest
    ]
    return [*distinct, snapshots[-1]]


def _class_collapse(snapshots: Sequence[Snapshot], facts: RunFacts) -> Finding | None:
    now, best = _now_and_best(snapshots, "contrast")
    seen = snapshots[-1].images_seen
    if now is None or not facts.conditional or seen < facts.labels_from:
        return None
    fell = best >= CONTRAST_ONCE and now < SHARE_OF_BEST_CONTRAST * best
    shown = seen - facts.labels_from
    enough = shown >= max(2 * _WARM_UP_STEPS * facts.cycle_images, 500 * facts.num_classes)
    if fell or (enough and now < NO_CONTRAST):
        return Finding("class_collapse", {"contrast": now, "best": best})
    return None


def _discriminator_overfit(snapshot: Snapshot, facts: RunFacts) -> Finding | None:
    sure, passes = snapshot.numbers.get("real_sign"), snapshot.images_seen / facts.images
    if sure is None or sure < SURE_OF_REAL or passes < PASSES:
        return None
    return Finding("discriminator_overfit", {"real_sign": sure, "passes": passes})


def _divergence(snapshots: Sequence[Snapshot], facts: RunFacts) -> Finding | None:
    numbers, steps = snapshots[-1].numbers, snapshots[-1].images_seen / facts.cycle_images
    loss = numbers.get("d/adversarial")
    if loss is not None and facts.chance > 0 and loss < DISCRIMINATOR_WINS * facts.chance:
        return Finding("divergence", {"d/adversarial": loss, "chance": facts.chance})
    most = TIMES_CHANCE * facts.chance or BEYOND_ALL
    for name in ("d/adversarial", "g/adversarial"):
        if abs(numbers.get(name, 0.0)) > most:
            return Finding("divergence", {name: numbers[name], "most": most})
    if steps >= _WARM_UP_STEPS and numbers.get("flat", 0.0) > MOST_PIXELS:
        return Finding("divergence", {"flat": numbers["flat"]})
    drifting = ("g/adversarial", "d/score_real", "d/score_fake")
    names = ("d/adversarial", *(() if facts.undecided is None else drifting))
    return _first(_explosion(snapshots, name, "divergence") for name in names)


def _conditioning_explosion(snapshots: Sequence[Snapshot]) -> Finding | None:
    names = ("d/conditioning", "g/conditioning")
    return _first(_explosion(snapshots, name, "conditioning_explosion") for name in names)


def _explosion(snapshots: Sequence[Snapshot], name: str, kind: str) -> Finding | None:
    """Far above its own median, in deviations and as a ratio, and above all earlier values.

    The first snapshot does not count: initial losses are arbitrary.
    """
    levels = [abs(snapshot.numbers[name]) for snapshot in snapshots[1:] if name in snapshot.numbers]
    if len(levels) <= _EARLIER_SNAPSHOTS or name not in snapshots[-1].numbers:
        return None
    *earlier, now = levels
    family = "conditioning" if name.endswith("conditioning") else "adversarial"
    median = statistics.median(earlier)
    deviation = 1.4826 * statistics.median(abs(level - median) for level in earlier)
    usual = max(median, _FLOOR)
    if (
        now > TIMES_MEDIAN[family] * usual
        and now > TIMES_HIGHEST[family] * max(*earlier, _FLOOR)
        and now > median + DEVIATIONS * deviation
    ):
        return Finding(kind, {name: snapshots[-1].numbers[name], "median": median})
    return None


def _now_and_best(snapshots: Sequence[Snapshot], name: str) -> tuple[float | None, float]:
    return snapshots[-1].numbers.get(name), max(
        snapshot.numbers.get(name, 0.0) for snapshot in snapshots
    )


def _first(findings: Iterable[Finding | None]) -> Finding | None:
    return next((finding for finding in findings if finding is not None), None)
