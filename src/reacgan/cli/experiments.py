"""``reacgan experiments``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import cyclopts

from reacgan.cli import streams, suites
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments

if TYPE_CHECKING:
    from reacgan.config import Experiment
    from reacgan.experiments.notes import Note
    from reacgan.experiments.published import PublishedScore


def app() -> cyclopts.App:
    """The commands below ``experiments``."""
    group = cyclopts.App(
        name="experiments",
        help="Experiments and suites of them: list, show, run.",
    )
    group.command(list_experiments, name="list")
    group.command(list_methods, name="methods")
    group.command(show)
    group.command(suites.list_suites, name="suites")
    group.command(suites.run)
    group.command(suites.report)
    return group


def list_experiments(prefix: str = "", /, *, json_: Json = False) -> int:
    """List the experiments, with networks, length and published scores.

    Parameters
    ----------
    prefix:
        Only names that begin with this, such as cifar10/.
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import ConfigError, load_plugins, suggest  # noqa: PLC0415
    from reacgan.experiments import EXPERIMENTS  # noqa: PLC0415
    from reacgan.experiments.notes import asterisk, fid_of  # noqa: PLC0415
    from reacgan.experiments.published import published_for  # noqa: PLC0415

    load_plugins()
    chosen = {name: entry for name, entry in EXPERIMENTS.items() if name.startswith(prefix)}
    if not chosen:
        groups = sorted({name.partition("/")[0] + "/" for name in EXPERIMENTS})
        raise ConfigError(
            f"no experiment begins with {prefix!r}{suggest(prefix, groups)} "
            f"Groups: {', '.join(groups)}."
        )
    width = max(len(name) for name in chosen)
    listed, lines = [], []
    for name, experiment in chosen.items():
        training = experiment.training
        published = published_for(name)
        parts = _parts(experiment)
        listed.append(
            {"name": name, "parts": parts, "batch": training.batch, "d_steps": training.d_steps,
             "images": training.images, "published": published}
        )  # fmt: skip
        scores = [f"; published FID {fid_of(score)} [{score.protocol}]" for score in published]
        lines.append(
            f"{name:{width}}  {' + '.join(parts)}; "
            f"batch {training.batch} x {training.d_steps}, {training.images:,} images{''.join(scores)}"
        )
    answer({"experiments": listed}, "\n".join(lines), as_json=json_)
    if any(asterisk(score) for name in chosen for score in published_for(name)):
        streams.flush_output()
        streams.tell(
            "* The published run differs from this experiment: "
            "`reacgan experiments show NAME` says how."
        )
    return 0


def _parts(experiment: Experiment) -> list[str]:
    """Networks, head and further terms by name."""
    augment = experiment.augment.name if experiment.augment.name != "identity" else ""
    extras = (
        augment,
        "apa" if experiment.apa else "",
        *experiment.penalties,
        *experiment.consistency,
    )
    return [
        name
        for name in (experiment.model.generator.name, experiment.model.head.name, *extras)
        if name
    ]


def list_methods(*, json_: Json = False) -> int:
    """List the methods of the literature, with paper and experiment.

    Parameters
    ----------
    json_:
        Print JSON instead of text.
    """
    from reacgan.experiments.methods import METHODS  # noqa: PLC0415

    widths = [max(len(getattr(method, part)) for method in METHODS) for part in ("title", "paper")]
    lines = [
        f"{method.title:{widths[0]}}  {method.paper:{widths[1]}}  {method.experiment}"
        for method in METHODS
    ]
    named = [
        {"title": method.title, "paper": method.paper, "experiment": method.experiment}
        for method in METHODS
    ]
    answer({"methods": named}, "\n".join(lines), as_json=json_)
    return 0


def show(
    name: str,
    *,
    set_: Assignments = (),
    num_classes: int | None = None,
    json_: Json = False,
) -> int:
    """Show an experiment: its configuration, numbers of parameters.

    Parameters
    ----------
    name:
        An experiment, or a JSON or YAML file of one.
    set_:
        Change values first, as in train.
    num_classes:
        Classes to count parameters for, where the data set is a folder.
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.experiments import named_or_file  # noqa: PLC0415
    from reacgan.experiments.describe import describe  # noqa: PLC0415
    from reacgan.experiments.notes import notes  # noqa: PLC0415
    from reacgan.experiments.published import published_for  # noqa: PLC0415

    named = named_or_file(name)
    chosen = named.replace(**parse_assignments(set_))
    described = describe(chosen, num_classes)
    published, remarks = published_for(named.name), notes(chosen)
    facts = {**described, "published": published, "notes": remarks}
    answer(facts, lambda: "\n".join(_lines(described, published, remarks)), as_json=json_)
    return 0


def _lines(
    described: Mapping[str, Any], published: tuple[PublishedScore, ...], remarks: tuple[Note, ...]
) -> Iterator[str]:
    """What a person reads of an experiment."""
    from reacgan.experiments.notes import asterisk  # noqa: PLC0415
    from reacgan.experiments.published import PROTOCOLS  # noqa: PLC0415

    for key, value in described.items():
        if not isinstance(value, dict):
            yield f"{key}: {value}"
            continue
        yield f"{key}:"
        for inner, part in value.items():
            text = f"{part:,}" if type(part) is int else str(part)
            if isinstance(part, dict):
                text = ", ".join(f"{option}={setting}" for option, setting in part.items())
            yield f"  {inner}: {text}"
    for score in published:
        yield "published:"
        for key, value in dataclasses.asdict(score).items():
            shown = PROTOCOLS[value] if key == "protocol" else value
            yield f"  {key}: {shown}{asterisk(score) if key == 'fid' else ''}"
    if remarks:
        yield "notes:"
    for note in remarks:
        yield f"  {'*' if note.differs else '-'} {note.text}"
