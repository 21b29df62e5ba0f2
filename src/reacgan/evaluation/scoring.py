"""Scoring what a person names: a run, a model, a folder; against data, a folder, or statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError, Device, lookup
from reacgan.data import ImageData
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.choosing import STANDARD
from reacgan.evaluation.evaluate import Evaluation, Facts, Say, evaluate
from reacgan.evaluation.looking import Progress
from reacgan.evaluation.protocols import PROTOCOLS, NamedProtocol
from reacgan.evaluation.reference import Reference, open_reference
from reacgan.evaluation.subjects import HALVES, Manner, Subject, find_subjects, half_of

MOST = 50_000
"""Images that are generated where nothing is said: as many as the reference has, up to this."""


@dataclass(frozen=True)
class Request:
    """What a person asks for; None leaves the choice to the subject or the named protocol."""

    reference: str | None = None
    split: str | None = None
    metrics: Any = None
    extractor: str | None = None
    extractor_options: Mapping[str, Any] = field(default_factory=dict)
    num: int | None = None
    labels: str | None = None
    statistics: str | None = None
    truncation: float | None = None
    psi: float | None = None
    layers: int | None = None
    seed: int = 0
    checkpoint: str = "last"
    resolution: Any = None
    channels: int | None = None
    training: str | None = None
    held_out: str | None = None
    protocol: str | None = None
    device: Device = "auto"


def under(request: Request) -> Request:
    """The request with what its named protocol says.

    Raises:
        ConfigError: an unknown protocol, or a value that contradicts it.
    """
    if request.protocol is None:
        return request
    named: NamedProtocol = lookup("protocol", PROTOCOLS, request.protocol)
    options = {"resizer": named.resizer, **request.extractor_options}
    values: dict[str, Any] = {
        "split": named.split,
        "extractor": named.extractor,
        "labels": named.labels,
        "statistics": named.batch_norm,
    }
    for name, value in values.items():
        given = getattr(request, name)
        if given not in (None, value):
            raise ConfigError(
                f"{name} is {given}, but the protocol {named.name!r} has {value}; leave one of them out"
            )
    if options["resizer"] != named.resizer:
        raise ConfigError(
            f"resizer is {options['resizer']}, but the protocol {named.name!r} has {named.resizer}"
        )
    return replace(request, **values, extractor_options=options)


def score(
    path: str | Path,
    request: Request,
    *,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Iterator[tuple[Subject, Evaluation]]:
    """Score each subject that a path names, one after another.

    Raises:
        ConfigError: as :func:`find_subjects`, :func:`open_reference` and :func:`evaluate`.
    """
    request = under(request)
    subjects = find_subjects(
        path,
        checkpoint=request.checkpoint,
        resolution=request.resolution,
        channels=request.channels,
        device=request.device,
    )
    reference = _reference(subjects[0], request)
    training, held_out = _beside(subjects[0], request)
    for subject in subjects:
        num = _count(subject, reference, request)
        manner = _manner(request)
        counts = (
            reference.data.counts if reference.data is not None and reference.labelled else None
        )
        result = evaluate(
            subject.source(manner, num, counts),
            reference,
            metrics=_metrics(request),
            extractor=request.extractor or "inception",
            extractor_options=request.extractor_options,
            training=training,
            held_out=held_out,
            num=num,
            facts=_facts(subject, manner),
            seed=request.seed,
            device=request.device,
            cache=cache,
            progress=progress,
            say=say,
        )
        yield subject, result


def _manner(request: Request) -> Manner:
    return Manner(
        labels=request.labels or "reference",
        statistics=request.statistics or "moving",
        truncation=request.truncation,
        psi=request.psi,
        layers=request.layers,
        seed=request.seed,
    )


def _facts(subject: Subject, manner: Manner) -> Facts:
    if subject.model is None:
        return Facts(subject=subject.name)
    return Facts(
        subject=subject.name,
        images_seen=subject.images_seen,
        generator=manner.facts("average"),
        selection=subject.selection,
        labels=manner.labels,
        seed=manner.seed,
        notes=subject.notes,
    )


def _reference(subject: Subject, request: Request) -> Reference:
    if request.reference is None:
        if subject.config is None:
            raise ConfigError(
                f"{subject.name}: images need a reference: --reference DATA, FOLDER or STATISTICS.npz"
            )
        return _other_half(open_reference(subject.config, split=request.split), subject)
    size = subject.size
    wanted = request.resolution or (size[0] if size[0] == size[1] else size)
    own = subject.config
    if own is not None and Path(request.reference).exists() and own.name not in ("digits", "hub"):
        # The run's own data set, found at another place: its reader knows its layout.
        moved = own.model_copy(update={"path": request.reference})
        if not request.reference.endswith(".npz"):
            return open_reference(moved, split=request.split)
    return open_reference(
        request.reference,
        split=request.split,
        resolution=wanted,
        channels=request.channels or subject.channels,
    )


def _other_half(reference: Reference, subject: Subject) -> Reference:
    """Where the state was chosen on half of this very set, the other half."""
    chosen_on = subject.selection.get("selected_on", {})
    if chosen_on.get("part") == HALVES[0] and reference.facts.get("split") == chosen_on.get(
        "split"
    ):
        return half_of(reference, 1)
    return reference


def _beside(subject: Subject, request: Request) -> tuple[ImageData | None, ImageData | None]:
    """Training and held-out images where a person names them."""
    found: list[ImageData | None] = []
    for named in (request.training, request.held_out):
        if named is None:
            found.append(None)
            continue
        size = subject.size
        opened = open_reference(
            named,
            split="train",
            resolution=request.resolution or (size[0] if size[0] == size[1] else size),
            channels=request.channels or subject.channels,
        )
        found.append(opened.data)
    return found[0], found[1]


def _count(subject: Subject, reference: Reference, request: Request) -> int:
    if subject.images is not None:
        held = len(subject.images)
        if request.num is not None and request.num > held:
            raise ConfigError(f"num is {request.num:,}, but {subject.name} holds {held:,} images")
        return request.num or held
    if request.num is not None:
        if request.num < 1:
            raise ConfigError(f"num is {request.num}; allowed: 1 or more")
        return request.num
    count = len(reference.data) if reference.data is not None else MOST
    if request.protocol is not None:
        return PROTOCOLS[request.protocol].images(count)
    return min(count, MOST)


def _metrics(request: Request) -> Any:
    """Metrics with the options of the named protocol, where they have none of their own."""
    if request.protocol is None:
        return request.metrics
    options = PROTOCOLS[request.protocol].metric_options
    wanted = request.metrics
    if wanted is None:
        wanted = [name for name in STANDARD if name in ("fid", "is", "prdc", "ifid")]
    if isinstance(wanted, Mapping):
        return {name: {**options.get(name, {}), **held} for name, held in wanted.items()}
    return {name: dict(options.get(name, {})) for name in wanted}
