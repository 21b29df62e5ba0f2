"""Which extractor compares images where none is named.

``inception`` is what published scores are by. Its weights are a download, and its 2,048 features need
more images than that. Where one of these fails, the classifier of the real images themselves
(``domain``) is taken, if it can be trained. A score's protocol names its extractor, so the two never meet
in a table. A named extractor is never replaced.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from typing import Any

import torch

from reacgan import distributed
from reacgan.config import ConfigError
from reacgan.evaluation.plan import Plan
from reacgan.extractors import EXTRACTORS, Extractor, build_extractor
from reacgan.extractors.in_domain import default_epochs
from reacgan.extractors.inception import FEATURES, PUBLISHED
from reacgan.extractors.weights import why_missing
from reacgan.progress import rough_duration, say

_WORTH_SAYING = 15.0
"""Seconds of a training that are told beforehand."""

_FEWER = 1_000
"""Images to generate that are advised where there are more."""

logger = logging.getLogger("reacgan.evaluation")


def choose_extractor(
    plan: Plan, count: int | None, *, options: Mapping[str, Any], device: torch.device
) -> str | Extractor:
    """The extractor of an evaluation that names none; every process calls it.

    The choice is told with its reason and how to ask for the other, before any work: to the listener
    (:mod:`reacgan.progress`), else by a warning of the log.

    Args:
        plan: with the reference and the images that a classifier could learn from.
        count: images to score; None where that is unknown.
        options: of the extractor; where there are any they tell which one is meant.
        device: to compute on.

    Returns:
        ``"domain"``, whose classifier is not trained yet, or a network that is ready.

    Raises:
        ConfigError: Inception is needed, and its weights are missing.
    """
    if options:
        named = "domain" if _only_of_domain(options) else "inception"
        if distributed.is_main():
            say_choice(f"extractor {named}: {', '.join(options)} is an option of it")
        return named if named == "domain" else build_extractor(named, options, device=device)
    name = _agreed(plan, count, device)
    return name if name == "domain" else build_extractor(name, device=device)


def say_choice(text: str) -> None:
    """Tell a choice to the listener, or in the log where there is none."""
    if not say(text):
        logger.warning("%s", text)


def say_cost(plan: Plan, options: Mapping[str, Any], count: int | None, seconds: float) -> None:
    """Tell what the training of a classifier costs, if a person would wait for it.

    Args:
        plan: with the images that it learns from.
        options: of the extractor.
        count: images to score; None where that is unknown.
        seconds: that the training takes.
    """
    learned = plan.classifier_data.training
    if seconds < _WORTH_SAYING or learned is None or not distributed.is_main():
        return
    passes = options.get("epochs") or default_epochs(len(learned))
    fewer = (
        f"; fewer images to generate by --num {_FEWER}" if count is None or count > _FEWER else ""
    )
    say(
        f"training the classifier of {len(learned):,} images takes about {rough_duration(seconds)} here, "
        "once: it is kept, and later evaluations of these images begin at once. Cheaper: half the time and "
        f"a coarser judge by --set extractor.epochs={max(passes / 2, 1):.0f} (such scores compare only "
        f"with each other){fewer}"
    )


def _agreed(plan: Plan, count: int | None, device: torch.device) -> str:
    """The name that the main process has chosen, on every process."""
    name, problem = "", ""
    if distributed.is_main():
        try:
            name, reason = _named(plan, count)
            say_choice(reason)
        except ConfigError as error:
            problem = str(error)
    text = distributed.share_text(json.dumps([name, problem]), device)
    name, problem = json.loads(text)
    if problem:
        raise ConfigError(problem)
    return str(name)


def _named(plan: Plan, count: int | None) -> tuple[str, str]:
    """The name, and the line that says why."""
    unfit = _why_no_classifier(plan)
    few = _why_few(plan, count)
    if few and not unfit:
        return "domain", (
            f"extractor domain (a classifier of your images): {few}, too few for the {FEATURES:,} "
            "features of Inception; --extractor inception takes FID's own network"
        )
    missing = why_missing(PUBLISHED)
    if missing and not unfit:
        return "domain", (
            "extractor domain (a classifier of your images): the weights of Inception "
            f"{missing}; --extractor inception says how to get them"
        )
    other = (
        f"domain is no choice here: {unfit}" if unfit else "--extractor domain needs no download"
    )
    return "inception", f"extractor inception (FID's own network); {other}"


def _why_no_classifier(plan: Plan) -> str:
    """Why no classifier of the reference's classes can be trained; empty if it can."""
    if plan.reference.data is None:
        return "the reference is a file of statistics"
    learned = plan.classifier_data.training
    if learned is None:
        return "no training images are known"
    return "there is one class only" if learned.num_classes < 2 else ""


def _why_few(plan: Plan, count: int | None) -> str:
    """Which side has too few images for a covariance of Inception's features; empty if none has."""
    real = None if plan.reference.data is None else len(plan.reference.data)
    for number, side in ((real, "the reference has"), (count, "scored are")):
        if number is not None and number <= FEATURES:
            return f"{side} {number:,} images"
    return ""


def _only_of_domain(options: Mapping[str, Any]) -> bool:
    return set(options) <= set(inspect.signature(EXTRACTORS["domain"]).parameters)
