"""Tables of a suite: means over seeds beside published scores, one for each data set and protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reacgan.config import flatten
from reacgan.evaluation.protocols import describe, describe_settings
from reacgan.experiments.notes import differences_of, fid_of
from reacgan.experiments.published import PublishedScore, published_for
from reacgan.metrics.names import title_of, with_arrow
from reacgan.reports.cells import Cell
from reacgan.suites.base import Suite, Trial
from reacgan.suites.results import Mean, Result

_WORDS: dict[str, str] = {
    # watched while training
    "diagnosis/classifier_gradient": "gradient of the classifier",
    "diagnosis/feature_gradient": "gradient of the features",
    "diagnosis/feature_norm": "length of the features",
    "diagnosis/true_class": "probability of the true class",
    "diagnosis/right": "real images' class right",
    "watch/variety": "variety within classes",
    "watch/contrast": "contrast between classes",
    "d/conditioning": "D's conditioning loss",
    # mixtures
    "wasserstein": "Wasserstein distance",
    "variation": "total variation",
    "mmd": "MMD²",
    "deviation": "deviation, share of the true one",
    "agreement": "agreement with Bayes",
    "bayes": "Bayes's own accuracy",
    "covered": "modes covered",
    "overall": "total variation, all classes",
    # pictures
    "tsne/real.purity": "real neighbours of one class in D",
    "tsne/real.chance": "by chance",
    "tsne/fake.class_of_nearest_real": "nearest real image of the class asked for",
    "spectra/difference.generated.all": "spectrum's difference",
    "spectra/halves_of_real.all": "between halves of the real",
    "spectra/difference.generated.highest_quarter": "spectrum's difference, highest quarter",
    "neighbours-pixels/median_nearest": "distance to nearest training image",
    "neighbours-pixels/held_out_median_nearest": "distance of held-out images",
    # cost
    "cost/images_seen": "images seen",
    "cost/train_seconds": "seconds of training",
    "cost/images_per_second": "images a second",
    "cost/memory_mb": "memory, MB",
    "cost/evaluation_seconds": "seconds of scoring",
}
_SUMMARY_WORDS = {"max": "largest", "last": "at the end", "growth": "growth"}
_OF_FEATURES = ("fid", "kid", "is", "ifid")


def in_words(metric: str, features: str = "") -> str:
    """``diagnosis/true_class:last`` as "probability of the true class, at the end".

    Args:
        metric: its name, or a curve's, with or without a summary; unknown ones are unchanged.
        features: the extractor (``domain``), added to distances unless it is Inception.
    """
    name, _, summary = metric.partition(":")
    words = _WORDS.get(name) or title_of(name).replace("/", ": ").replace("_", " ")
    if name in _OF_FEATURES and features not in ("", "inception"):
        words = f"{words} ({features})"
    return f"{words}, {_SUMMARY_WORDS[summary]}" if summary else words


@dataclass(frozen=True)
class ResultTable:
    """A table of trials that share a column and a protocol."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: int
    lines: tuple[str, ...]
    """The protocol in words."""


def tables_of(suite: Suite, results: Sequence[Result]) -> list[ResultTable]:
    """One table for each column and protocol; two protocols never share one."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.complete:
            shared = {key: value for key, value in result.protocol.items() if key != "metrics"}
            key = result.trial.column, json.dumps(shared, sort_keys=True)
            groups.setdefault(key, []).append(result)
    return [
        _table(suite, column, group, _lines_of(json.loads(text), group))
        for (column, text), group in groups.items()
    ]


def _lines_of(shared: Mapping[str, Any], results: Sequence[Result]) -> tuple[str, ...]:
    """The protocol as text, and the metrics whose settings differ between rows."""
    if "extractor" in shared:
        lines = describe(shared)
    else:
        lines = [f"{key}: {value}" for key, value in flatten(shared).items() if value]
    settings: dict[str, dict[str, None]] = {}
    for result in results:
        for name, own in result.protocol.get("metrics", {}).items():
            settings.setdefault(name, {})[describe_settings(own)] = None
    unlike = [
        f"{in_words(name)} is not measured alike in all rows: {'; '.join(variants)}"
        for name, variants in settings.items()
        if len(variants) > 1
    ]
    return (*lines, *unlike)


def _table(
    suite: Suite, column: str, results: Sequence[Result], lines: tuple[str, ...]
) -> ResultTable:
    samples: dict[str, dict[Trial, list[float]]] = {}
    """A table of trials by measured metrics."""
    for name in suite.metrics:
        for result in results:
            if (value := result.value(name)) is not None:
                samples.setdefault(name, {}).setdefault(result.trial, []).append(value)
    trials = list(dict.fromkeys(result.trial for result in results))
    extra = ("published FID (IS)",) if any(map(published_of, trials)) else ()
    better: Mapping[str, str] = results[0].record.get("better", {})
    best = {name: _best(name, results, of_trials) for name, of_trials in samples.items()}
    first = next(iter(samples.values()), {})
    rows = []
    for trial in trials:
        cells = [Cell(label_of(trial)), Cell(str(len(first.get(trial, ()))))]
        for name, of_trials in samples.items():
            text = Mean.of(of_trials[trial]).text() if trial in of_trials else ""
            cells.append(Cell(text, trial in best[name]))
        rows.append((*cells, *(Cell(_published(trial)) for _ in extra)))
    heads = tuple(
        with_arrow(in_words(name, results[0].features), better.get(name, "neither"))
        for name in samples
    )
    return ResultTable(
        column.replace("_", " ") or "Measured",
        ("", "seeds", *heads, *extra),
        tuple(rows),
        1 + len(heads) + len(extra),
        lines,
    )


def _best(name: str, results: Sequence[Result], samples: Mapping[Trial, list[float]]) -> set[Trial]:
    """Trials with the best mean; none where most have it, or no direction is better."""
    better = {result.record.get("better", {}).get(name) for result in results}
    if len(samples) < 2 or better not in ({"lower"}, {"higher"}):
        return set()
    means = {trial: Mean.of(values).value for trial, values in samples.items()}
    value = (min if better == {"lower"} else max)(means.values())
    best = {trial for trial, mean in means.items() if mean == value}
    return best if 2 * len(best) <= len(means) else set()


def label_of(trial: Trial) -> str:
    """A trial's label with its abscissa."""
    return trial.row if trial.x is None else f"{trial.row}, {trial.x:g}"


def published_of(trial: Trial) -> tuple[PublishedScore, ...]:
    """Its published scores."""
    return published_for(trial.published) if trial.published else ()


def differences_in(trials: Iterable[Trial]) -> tuple[str, ...]:
    """The footnotes of published scores: each difference with its rows."""
    rows: dict[str, dict[str, None]] = {}
    for trial in trials:
        for score in published_of(trial):
            for text in differences_of(score):
                rows.setdefault(text, {})[trial.row.strip()] = None
    return tuple(f"* {', '.join(names)}: {text}" for text, names in rows.items())


def _published(trial: Trial) -> str:
    return "; ".join(
        fid_of(score)
        + (f" ({score.inception_score:g})" if score.inception_score is not None else "")
        + f" [{score.protocol}]"
        for score in published_of(trial)
    )
