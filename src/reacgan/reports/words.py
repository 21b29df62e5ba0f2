"""What a run is, how good it is, and what to look out for: three sentences in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reacgan.config import flatten
from reacgan.evaluation.scores import Score, canonical
from reacgan.reports.palette import NAMES
from reacgan.reports.record import RunRecord, section
from reacgan.reports.tables import shared_protocol
from reacgan.reports.text import one_line, shorten

_NAMED = 4
_MOST_WARNINGS = 3


def sentences(run: RunRecord) -> list[tuple[str, str]]:
    """Pairs of a question and its answer: what it is, how good it is, what to look out for."""
    newest = newest_scores(run.scores)
    said = [("What it is", what_it_is(run))] if run.experiment else []
    said.append(("How good it is", how_good(newest)))
    if run.experiment or newest:
        said.append(("What to look out for", look_out(run, newest)))
    return said


def age(score: Score) -> tuple[bool, int, str]:
    """Sort key: scores for choosing states during training come first."""
    during = section(score.protocol, "selection").get("checkpoint") == "each"
    return not during, score.images_seen or 0, score.time


def newest_scores(scores: Sequence[Score]) -> dict[str, Score]:
    """By metric those of the newest state of one subject under one protocol."""
    if not scores:
        return {}
    last = max(scores, key=age)
    shared = canonical(shared_protocol(last))
    same = [
        score
        for score in scores
        if (score.subject, score.images_seen) == (last.subject, last.images_seen)
        and canonical(shared_protocol(score)) == shared
    ]
    return {score.metric: score for score in sorted(same, key=age)}


def what_it_is(run: RunRecord) -> str:
    """The images, the classes, the method, and how far it was trained."""
    flat = flatten(run.experiment)
    names = [one_line(name) for name in run.class_names]
    size = flat.get("data.resolution")
    sides = " x ".join(map(str, size)) if isinstance(size, list | tuple) else f"{size} x {size}"
    channels = flat.get("data.channels")
    kind = {1: "grey ", 3: "colour "}.get(channels, "") if isinstance(channels, int) else ""
    makes = f"A generator of {kind}images of {sides} pixels" if size else "A generator of images"
    if names:
        listed = ", ".join(shorten(name, 40) for name in names[:_NAMED])
        more = f", … (of {len(names)})" if len(names) > _NAMED else ""
        makes += f", each of a class that you name: {listed}{more}"
    head = str(flat.get("model.head.name", ""))
    trained = f"it was trained by {NAMES.get(head, head)}" if head else "it was trained"
    return f"{makes}. {trained[0].upper()}{trained[1:]}{_how_far(run, flat)}."


def _how_far(run: RunRecord, flat: Mapping[str, Any]) -> str:
    seen, whole = run.images_seen, flat.get("training.images")
    if not isinstance(whole, int) or whole < 1:
        return f" and has seen {seen:,} images"
    share = seen / whole
    stage = "all" if share >= 1 else f"{share:.0%}" if share >= 0.01 else "less than 1%"
    said = f" and has seen {seen:,} images, {stage} of its plan"
    if share < 0.1:
        return f"{said}: expect colours and rough shapes this early"
    return said if share >= 1 else f"{said}: it can still improve"


def how_good(scores: Mapping[str, Score]) -> str:
    """A verdict and what it rests on.

    ``label``: label accuracy between chance and what the classifier reaches on real images; ``coverage``:
    as it is. The lower of both: from 0.8 very good, from 0.5 good, from 0.2 fair, else poor.
    """
    if not scores:
        return "It has not been measured: `reacgan evaluate` with this folder does; then it stands here."
    said, shares = [], []
    if "top1" in scores:
        share, words = _labels(scores["top1"])
        said.append(words)
        shares.append(share)
    if "coverage" in scores:
        value = scores["coverage"].value
        shares.append(value)
        said.append(
            f"the neighbourhoods of {value:.0%} of the real images are reached, so "
            f"{_much(value)} of their variety is there (coverage)"
        )
    elif "recall" in scores:
        value = scores["recall"].value
        said.append(f"{value:.0%} of the real images lie within what it makes (recall)")
    if "precision" in scores:
        value = scores["precision"].value
        said.append(
            f"{value:.0%} of its images could pass for real ones by their features (precision)"
        )
    if "fid" in scores:
        said.append(
            f"its distance to real images is {scores['fid'].value:.3g} (FID: 0 is a perfect match; only "
            "numbers of one protocol compare)"
        )
    known = [share for share in shares if share is not None]
    if not said:
        return f"Scored by {', '.join(scores)}; the table below has the numbers."
    grade = f"{_grade(min(known))}: " if known else ""
    text = f"{grade}{'; '.join(said)}."
    return text[0].upper() + text[1:]


def _labels(score: Score) -> tuple[float | None, str]:
    settings = section(score.protocol, "metric")
    own, classes = settings.get("judge_held_out_top1"), settings.get("classes")
    words = f"a classifier takes {score.value:.0%} of its images for the class that was asked for"
    beside = []
    share = None
    if isinstance(own, int | float):
        beside.append(f"{own:.0%} of real ones")
        chance = 1 / classes if isinstance(classes, int) and classes > 0 else 0.0
        share = max(0.0, (score.value - chance) / (own - chance)) if own > chance else None
    if isinstance(classes, int) and classes > 0:
        beside.append(f"guessing gives {1 / classes:.0%}")
    return share, words + (f" ({'; '.join(beside)})" if beside else "")


def _grade(share: float) -> str:
    grades = ((0.8, "very good"), (0.5, "good"), (0.2, "fair"))
    return next((word for least, word in grades if share >= least), "poor")


def _much(share: float) -> str:
    parts = ((0.85, "nearly all"), (0.6, "most"), (0.4, "about half"), (0.15, "a part"))
    return next((word for least, word in parts if share >= least), "little")


def look_out(run: RunRecord, scores: Mapping[str, Score]) -> str:
    """Warnings of scores, what detectors saw, copies, weak classes; the first three."""
    said = [one_line(text) for score in scores.values() for text in score.warnings]
    said += _events(run)
    memorised = scores.get("memorised_share")
    if memorised is not None:
        chance = section(memorised.protocol, "metric").get("chance")
        if isinstance(chance, int | float) and memorised.value > 1.5 * chance:
            said.append(
                f"{memorised.value:.1%} of its images are closer to a training image than real ones are "
                f"(chance {chance:.1%}): look for copies among the closest pairs"
            )
    said += _weak_classes(scores.get("top1"))
    listed = list(dict.fromkeys(text.rstrip(".") for text in said))
    if not listed:
        return (
            "Nothing was noted. Look along the rows all the same: images of one class should differ, and "
            "be of that class."
        )
    more = (
        f"; and {len(listed) - _MOST_WARNINGS} more below" if len(listed) > _MOST_WARNINGS else ""
    )
    text = "; ".join(listed[:_MOST_WARNINGS]) + more
    return f"{text[0].upper()}{text[1:]}."


def _events(run: RunRecord) -> list[str]:
    seen: dict[str, int] = {}
    for line in run.journal:
        event = line.get("event")
        if event is not None:
            kind = event.get("kind", "event") if isinstance(event, Mapping) else event
            seen.setdefault(one_line(str(kind)).replace("_", " "), line["images_seen"])
    return [f"{shorten(kind, 60)} was noticed at {at:,} images" for kind, at in seen.items()]


def _weak_classes(score: Score | None) -> list[str]:
    if score is None:
        return []
    said = []
    own = section(score.protocol, "metric").get("judge_held_out_top1")
    if isinstance(own, int | float) and own < 0.6:
        said.append(
            f"the classifier that judges is right on only {own:.0%} of real images, so label accuracy says "
            "little"
        )
    classes = [
        (str(name), value)
        for name, value in section(score.details, "classes").items()
        if isinstance(value, int | float)
    ]
    weak = sorted((pair for pair in classes if pair[1] < score.value / 2), key=lambda pair: pair[1])
    if weak and score.value > 0.2:
        names = ", ".join(
            f"{shorten(one_line(name), 30)} ({value:.0%})" for name, value in weak[:3]
        )
        said.append(f"the weakest classes are {names}")
    return said
