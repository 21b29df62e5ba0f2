"""Scoring what a person names: a run, a model, a folder; against data, a folder, or statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError, Device, lookup
from reacgan.config.sections import named_options
from reacgan.data import DataError, ImageData
from reacgan.data.flat import is_flat
from reacgan.devices import find_device
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.choosing import STANDARD, build_metrics
from reacgan.evaluation.evaluate import Evaluation, Facts, Say, evaluate
from reacgan.evaluation.features import Progress
from reacgan.evaluation.manner import OF_A_GENERATOR, Manner
from reacgan.evaluation.origins import Named, Origin, OwnData
from reacgan.evaluation.own_shape import Wish
from reacgan.evaluation.protocols import PROTOCOLS, NamedProtocol
from reacgan.evaluation.reference import Reference, open_named, open_reference
from reacgan.evaluation.targets import (
    HALVES,
    REPORT_SEED,
    Subject,
    find_subjects,
    half_of,
)
from reacgan.evaluation.whites import compare_whites
from reacgan.extractors import build_extractor
from reacgan.extractors.fitting import Shape
from reacgan.metrics import METRICS
from reacgan.sampling import latents_for
from reacgan.sampling.statistics import Statistics

_NO_FILES = ("digits", "hub")
_SCALE = ("fid", "kid", "is", "prdc", "ifid", "per_class")

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
    statistics: Statistics | None = None
    truncation: float | None = None
    psi: float | None = None
    layers: int | None = None
    seed: int | None = None
    """None for 0, and 1 for a state that was chosen by a score of seed 0."""
    real: bool = False
    """Also score as many real images, for scale."""
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
    options = {**named.extractor_options, **request.extractor_options}
    values: dict[str, Any] = {
        "split": named.split,
        "extractor": named.extractor,
        "labels": named.labels,
        "statistics": named.batch_norm,
    }
    asked = {name: getattr(request, name) for name in values}
    for name, value in {**values, **named.extractor_options}.items():
        given = options.get(name, asked.get(name))
        if given not in (None, value):
            raise ConfigError(
                f"{name} is {given}, but the protocol {named.name!r} has {value}; leave one of them out"
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
    asked = request
    request = under(request)
    subjects = find_subjects(
        path,
        checkpoint=request.checkpoint,
        resolution=request.resolution,
        channels=request.channels,
        device=request.device,
    )
    first = subjects[0]
    _check(first, asked)
    latents_for([0], 1, request.truncation)
    build_metrics(_metrics(request))
    name = request.extractor or "inception"
    # What may not be there, such as weights, is asked for before anything is opened.
    place = find_device(request.device)
    built = (
        None if name == "domain" else build_extractor(name, request.extractor_options, device=place)
    )
    reference = _reference(first, request)
    if request.reference is not None:
        reference = compare_whites(reference, first.config)
    origin = _origin(first, reference, request)
    shared: dict[str, Any] = {
        "extractor": built or name,
        "extractor_options": request.extractor_options,
        "origin": origin,
        "device": request.device,
        "cache": cache,
        "progress": progress,
        "say": say,
    }
    for subject in subjects:
        num = _count(subject, reference, request)
        manner = _manner(subject, request)
        subject = subject.settled(manner)  # noqa: PLW2901
        source = subject.source(manner, num, reference)
        facts = _facts(subject, manner, reference)
        wanted = _metrics(request)
        yield subject, evaluate(source, reference, metrics=wanted, num=num, facts=facts, **shared)
    if request.real:
        yield _real(first, reference, origin, num=_count(first, reference, request), shared=shared)


def _real(
    subject: Subject, reference: Reference, origin: Origin, *, num: int, shared: Mapping[str, Any]
) -> tuple[Subject, Evaluation]:
    """Real images in the place of the generated ones: what can be reached."""
    on_training = reference.facts.get("split") == "train"
    data = origin.held_out if on_training else origin.training
    if data is None:
        raise ConfigError(
            "there are no other real images than the reference to score for scale; leave --real out"
        )
    named = f"real images ({'held out' if on_training else 'training'})"
    real = Subject(named, images=data)
    count = min(num, len(data))
    source = real.source(Manner(), count, reference)
    facts = Facts(subject=named)
    return real, evaluate(source, reference, metrics=_SCALE, num=count, facts=facts, **shared)


def _manner(subject: Subject, request: Request) -> Manner:
    chosen = subject.selection.get("checkpoint") == "best"
    return Manner(
        labels=request.labels or "reference",
        statistics=request.statistics or "auto",
        truncation=request.truncation,
        psi=request.psi,
        layers=request.layers,
        seed=request.seed if request.seed is not None else REPORT_SEED if chosen else 0,
    )


def _facts(subject: Subject, manner: Manner, reference: Reference) -> Facts:
    if subject.model is None:
        labels = "as given" if subject.labelled else "none"
        return Facts(subject=subject.name, labels=labels, warnings=subject.warnings)
    return Facts(
        subject=subject.name,
        images_seen=subject.images_seen,
        generator=manner.facts("average"),
        selection=subject.selection,
        labels=subject.rule(manner, reference),
        seed=manner.seed,
        notes=subject.notes,
        warnings=subject.warnings,
    )


def _reference(subject: Subject, request: Request) -> Reference:
    own = subject.config
    if request.reference is None and own is not None:
        return _other_half(open_reference(own, split=request.split), subject)
    named = str(request.reference)
    crop = own.resolution if own is not None else None
    wish = Wish(request.resolution, request.channels, _shape(subject), crop)
    reads = own is not None and own.name not in _NO_FILES
    if own is not None and reads and Path(named).is_dir() and not is_flat(named):
        # The run's own data set at another place: its reader knows its layout.
        try:
            moved = own.model_copy(update={"path": named})
            return _other_half(open_named(moved, request.split, wish), subject)
        except DataError:
            pass
    asked = {name: getattr(wish, name) for name in ("resolution", "channels", "like", "crop")}
    return _other_half(open_reference(named, split=request.split, **asked), subject)


def _shape(subject: Subject) -> Shape:
    return subject.channels, *subject.size


def _other_half(reference: Reference, subject: Subject) -> Reference:
    """Where the state was chosen on half of this very set, the other half."""
    chosen_on = subject.selection.get("selected_on", {})
    if chosen_on.get("part") != HALVES[0] or reference.data is None:
        return reference
    same = half_of(reference, 0).describe()["digest"] == chosen_on.get("digest")
    return half_of(reference, 1) if same else reference


def _origin(subject: Subject, reference: Reference, request: Request) -> Origin:
    """Training and held-out images: those that a person names, a run's own, or the reference's."""
    if request.training is None and request.held_out is None:
        elsewhere = request.reference is not None and subject.config is not None
        return OwnData(subject.config, reference) if elsewhere and subject.config else reference
    # In the shape of the reference, in which all sets are compared.
    shape = reference.shape or _shape(subject)
    asked: dict[str, Any] = {"resolution": shape[1:], "channels": shape[0]}
    training = held_out = None
    if request.training is not None:
        training = _images_of(open_reference(request.training, split="train", **asked))
    if request.held_out is not None:
        held_out = _images_of(open_reference(request.held_out, **asked))
    return Named(reference, training=training, held_out=held_out)


def _images_of(reference: Reference) -> ImageData:
    if reference.data is None:
        raise ConfigError("training and held-out images are needed as images, not as statistics")
    return reference.data


def _check(subject: Subject, request: Request) -> None:
    """What cannot be asked of such a subject."""
    if request.reference is None and subject.config is None:
        raise ConfigError(
            f"{subject.name}: images need a reference: --reference DATA, FOLDER or STATISTICS.npz"
        )
    subject.check_manner({name: getattr(request, name) for name in OF_A_GENERATOR})
    num = request.num
    if num is None:
        return
    if num < 1:
        raise ConfigError(f"num is {num}; allowed: 1 or more")
    if subject.images is not None and num > len(subject.images):
        raise ConfigError(
            f"num is {num:,}, but {subject.name} holds {len(subject.images):,} images"
        )


def _count(subject: Subject, reference: Reference, request: Request) -> int:
    if request.num is not None:
        return request.num
    if subject.images is not None:
        return len(subject.images)
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
    chosen = list(METRICS) if wanted == "all" else wanted
    named = named_options(chosen)
    return {name: {**options.get(name, {}), **held} for name, held in named.items()}
