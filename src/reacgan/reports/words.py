"""What a run is, how good it is, and what to look out for: three sentences in plain words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reacgan.config import flatten
from reacgan.evaluation.scores import Score, canonical
from reacgan.metrics.names import title_of
from reacgan.outlook import HARDLY_BEGUN, meaning_of
from reacgan.reports.palette import NAMES
from reacgan.reports.record import RunRecord, chance_of, section
from reacgan.reports.tables import shared_protocol
from reacgan.text import one_line, shorten

_NAMED = 4
_MOST_WARNINGS = 3
_FEW_FAKES, _FEW_HELD_OUT, _WEAK = 2_000, 100, 0.6
"""Below these scores mean little: generated images, held-out real ones, the classifier's accuracy there."""
_NO_VARIETY = {"coverage": 0.1, "recall": 0.05}
_FAIR = 0.2


def sentences(run: RunRecord) -> list[tuple[str, str]]:
    """Pairs of a question and its answer: what it is, how good it is, what to look out for."""
    newest = newest_scores(run.scores)
    said = [("What it is", what_it_is(run))] if run.experiment else []
    said.append(("How good it is", how_good(newest, run)))
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
    meaning = ""
    if (side := run.side) is not None and run.images_seen:
        learnt = run.images_to_learn, len(run.class_names)
        whole = flat.get("training.images")
        planned = whole if isinstance(whole, int) else None
        meaning = f" {_sentence(meaning_of(run.images_seen, side, *learnt, planned=planned))}"
    return f"{makes}. {_sentence(trained + _how_far(run, flat))}{meaning}"


def _how_far(run: RunRecord, flat: Mapping[str, Any]) -> str:
    seen, whole = run.images_seen, flat.get("training.images")
    if not isinstance(whole, int) or whole < 1:
        return f" and has seen {seen:,} images"
    share = seen / whole
    stage = "all" if share >= 1 else f"{share:.0%}" if share >= 0.01 else "less than 1%"
    return f" and has seen {seen:,} images, {stage} of its plan"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def stale(scores: Mapping[str, Score], run: RunRecord) -> str:
    """Of which state the scores are, where the run has trained on since; else nothing."""
    seen = max((score.images_seen or 0 for score in scores.values()), default=0)
    if not run.experiment or not 0 < seen < run.images_seen:
        return ""
    if any(
        section(score.protocol, "selection").get("checkpoint") == "best"
        for score in scores.values()
    ):
        return f"these scores are of the state chosen as the best, at {seen:,} images seen"
    return (
        f"these scores are of its state at {seen:,} images seen; it has trained on since, to "
        f"{run.images_seen:,}: `{_evaluate(run)}` scores it as it is now"
    )


def _evaluate(run: RunRecord | None) -> str:
    """The command; of a run elsewhere its folder's name, since a page is shared."""
    if run is None:
        return "reacgan evaluate RUN"
    path = run.path
    if path.is_absolute():
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) else Path(path.name)
    return shlex.join(["reacgan", "evaluate", str(path)])


def how_good(scores: Mapping[str, Score], run: RunRecord | None = None) -> str:
    """A verdict and what it rests on, after what makes it doubtful.

    ``label``: label accuracy between chance and what the classifier reaches on real images; ``coverage``:
    as it is. The lower of both: from 0.8 very good, from 0.5 good, from 0.2 fair, else poor.

    Args:
        scores: of one state, by metric.
        run: whose they are: tells whether it has hardly trained, and whether it has trained on since.
    """
    if not scores:
        return f"It has not been measured: `{_evaluate(run)}` does; then it stands here."
    label = _label_share(scores["top1"]) if "top1" in scores else None
    shares = [label, scores["coverage"].value if "coverage" in scores else None]
    known = [share for share in shares if share is not None]
    seen = max((score.images_seen or 0 for score in scores.values()), default=0)
    early = run is not None and seen > 0 and run.is_early(seen)
    doubts = _doubts(scores)
    shapeless = early or min(known, default=1.0) < _FAIR or _lacks_variety(scores)
    said = list(_facts(scores, trusted=not shapeless and not doubts))
    if not said:
        verdict = f"Scored by {', '.join(map(title_of, scores))}; the table below has the numbers."
    else:
        grade = f"{_grade(min(known))}: " if known and not early else ""
        grade = f"as far as they go, {grade}" if grade and doubts else grade
        verdict = _sentence(f"{grade}{'; '.join(said)}")
    lead = [stale(scores, run) if run is not None else ""]
    lead.append("it had hardly trained when scored, so no score says how good it can be" * early)
    lead.append(f"scores of so few images mean little ({'; '.join(doubts)})" if doubts else "")
    return " ".join([*map(_sentence, filter(None, lead)), verdict])


def _facts(scores: Mapping[str, Score], *, trusted: bool) -> Iterator[str]:
    """What scores say; ``trusted``: whether a high precision is a good sign."""
    if "top1" in scores:
        yield _labels(scores["top1"])
    if "coverage" in scores:
        value = scores["coverage"].value
        yield (
            f"the neighbourhoods of {value:.0%} of the real images are reached, so "
            f"{_much(value)} of their variety is there (coverage)"
        )
    elif "recall" in scores:
        yield f"{scores['recall'].value:.0%} of the real images lie within what it makes (recall)"
    if "precision" in scores:
        value = scores["precision"].value
        yield (
            f"{value:.0%} of its images could pass for real ones by their features (precision)"
            if trusted
            else f"its precision of {value:.0%} is no sign of quality here: noise can reach it too"
        )
    if "fid" in scores:
        yield (
            f"its distance to real images is {scores['fid'].value:.3g} (FID: 0 is a perfect match; only "
            "numbers of one protocol compare)"
        )


def _lacks_variety(scores: Mapping[str, Score]) -> bool:
    return any(name in scores and scores[name].value < least for name, least in _NO_VARIETY.items())


def _doubts(scores: Mapping[str, Score]) -> list[str]:
    """Why these scores mean little whatever they are."""
    said = []
    fakes = [section(score.protocol, "fake").get("images") for score in scores.values()]
    fewest = min((count for count in fakes if isinstance(count, int)), default=_FEW_FAKES)
    if fewest < _FEW_FAKES:
        said.append(f"{fewest:,} generated ones")
    if "top1" in scores:
        own, count = _judge(scores["top1"])
        few = count is not None and count < _FEW_HELD_OUT
        if own is not None and (own < _WEAK or few):
            real = f"{count:,} held-out real ones" if count is not None else "real images"
            said.append(f"a classifier that is right on only {own:.0%} of {real}")
    return said


def _judge(score: Score) -> tuple[float | None, int | None]:
    """The classifier's accuracy on held-out real images, and how many these are."""
    settings = section(score.protocol, "metric")
    own = settings.get("judge_held_out_top1")
    count = section(section(settings, "judge"), "held_out").get("images")
    return (
        own if isinstance(own, int | float) else None,
        count if isinstance(count, int) else None,
    )


def _label_share(score: Score) -> float | None:
    """Label accuracy between chance, 0, and that of real images, 1."""
    (own, _), chance = _judge(score), chance_of(score) or 0.0
    return (
        None if own is None or own <= chance else max(0.0, (score.value - chance) / (own - chance))
    )


def _labels(score: Score) -> str:
    own, chance = _judge(score)[0], chance_of(score)
    words = f"a classifier takes {score.value:.0%} of its images for the class that was asked for"
    beside = [f"{own:.0%} of real ones"] if own is not None else []
    beside += [f"guessing gives {chance:.0%}"] if chance else []
    return words + (f" ({'; '.join(beside)})" if beside else "")


def _grade(share: float) -> str:
    grades = ((0.8, "very good"), (0.5, "good"), (0.2, "fair"))
    return next((word for least, word in grades if share >= least), "poor")


def _much(share: float) -> str:
    parts = ((0.85, "nearly all"), (0.6, "most"), (0.4, "about half"), (0.15, "a part"))
    return next((word for least, word in parts if share >= least), "little")


def look_out(run: RunRecord, scores: Mapping[str, Score]) -> str:
    """Warnings of scores, what detectors saw, copies, weak classes; the first three."""
    early = bool(run.experiment) and run.is_early(run.images_seen)
    warnings = [one_line(text) for score in scores.values() for text in score.warnings]
    said = [text for text in warnings if not (early and HARDLY_BEGUN in text)]  # said above
    said += _events(run)
    memorised = scores.get("memorised_share")
    if memorised is not None:
        chance = section(memorised.protocol, "metric").get("chance")
        if isinstance(chance, int | float) and memorised.value > 1.5 * chance:
            said.append(
                f"{memorised.value:.1%} of its images are closer to a training image than real ones are "
                f"(chance {chance:.1%}): look for copies among the closest pairs"
            )
    said += [] if early else _weak_classes(scores.get("top1"))
    listed = list(dict.fromkeys(text.rstrip(".") for text in said))
    if not listed and early:
        return "Pictures this early show nothing to judge by yet; look again when there are shapes."
    if not listed:
        return (
            "Nothing was noted. Look along the rows all the same: images of one class should differ, and "
            "be of that class."
        )
    more = (
        f"; and {len(listed) - _MOST_WARNINGS} more below" if len(listed) > _MOST_WARNINGS else ""
    )
    text = "; ".join(listed[:_MOST_WARNINGS]) + more
    return f"{text}." if run.name and text.startswith(run.name) else _sentence(text)


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
    classes = [
        (str(name), value)
        for name, value in section(score.details, "classes").items()
        if isinstance(value, int | float)
    ]
    weak = sorted((pair for pair in classes if pair[1] < score.value / 2), key=lambda pair: pair[1])
    share = _label_share(score)
    if not weak or score.value <= 0.2 or (share is not None and share < _FAIR):
        return []
    names = ", ".join(
        f"{shorten(one_line(name), 30)} ({value:.0%} of its images are taken for it)"
        for name, value in weak[:3]
    )
    return [f"the weakest class{'es are' if len(weak) > 1 else ' is'} {names}"]
