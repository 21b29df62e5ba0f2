"""``reacgan experiments``."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from reacgan.cli import suites
from reacgan.cli.options import Assignments

if TYPE_CHECKING:
    from reacgan.config import Experiment


def app() -> cyclopts.App:
    """The commands below ``experiments``."""
    group = cyclopts.App(
        name="experiments",
        help="List or show experiments; run suites of them, such as the paper's.",
    )
    group.command(list_experiments, name="list")
    group.command(list_methods, name="methods")
    group.command(show)
    group.command(suites.list_suites, name="suites")
    group.command(suites.run)
    group.command(suites.report)
    return group


def list_experiments(prefix: str = "", /) -> int:
    """List the experiments by name, with networks and terms, length, and published scores.

    Parameters
    ----------
    prefix:
        Only names that begin with this, such as cifar10/.
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
    for name, experiment in chosen.items():
        training = experiment.training
        scores = [
            f"; published FID {fid_of(score)} [{score.protocol}]" for score in published_for(name)
        ]
        print(
            f"{name:{width}}  {_what_is_special(experiment)}; "
            f"batch {training.batch} x {training.d_steps}, {training.images:,} images{''.join(scores)}"
        )
    if any(asterisk(score) for name in chosen for score in published_for(name)):
        sys.stdout.flush()
        print(
            "* The published run differs from this experiment: "
            "`reacgan experiments show NAME` says how.",
            file=sys.stderr,
        )
    return 0


def _what_is_special(experiment: Experiment) -> str:
    augment = experiment.augment.name if experiment.augment.name != "identity" else ""
    extras = (
        augment,
        "apa" if experiment.apa else "",
        *experiment.penalties,
        *experiment.consistency,
    )
    return " + ".join(
        filter(None, (experiment.model.generator.name, experiment.model.head.name, *extras))
    )


def list_methods() -> int:
    """List the methods by their names in the literature, with paper and experiment."""
    from reacgan.experiments.methods import METHODS  # noqa: PLC0415

    widths = [max(len(getattr(method, part)) for method in METHODS) for part in ("title", "paper")]
    for method in METHODS:
        print(f"{method.title:{widths[0]}}  {method.paper:{widths[1]}}  {method.experiment}")
    return 0


def show(
    name: str,
    *,
    set_: Assignments = (),
    num_classes: int | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Show an experiment's resolved configuration and its numbers of parameters.

    Parameters
    ----------
    name:
        An experiment, or a JSON or YAML file of one.
    set_:
        Change values first, as in train.
    num_classes:
        Classes to count parameters for, where the data set is a folder.
    json_:
        As JSON.
    """
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.experiments import named_or_file  # noqa: PLC0415
    from reacgan.experiments.describe import describe  # noqa: PLC0415
    from reacgan.experiments.notes import asterisk, notes  # noqa: PLC0415
    from reacgan.experiments.published import PROTOCOLS, published_for  # noqa: PLC0415

    named = named_or_file(name)
    chosen = named.replace(**parse_assignments(set_))
    described = describe(chosen, num_classes)
    published = [dataclasses.asdict(score) for score in published_for(named.name)]
    remarks = notes(chosen)
    if json_:
        noted = [dataclasses.asdict(note) for note in remarks]
        described = {**described, "published": published, "notes": noted}
        print(json.dumps(described, indent=2))
        return 0
    for key, value in described.items():
        if not isinstance(value, dict):
            print(f"{key}: {value}")
            continue
        print(f"{key}:")
        for inner, part in value.items():
            text = f"{part:,}" if type(part) is int else str(part)
            if isinstance(part, dict):
                text = ", ".join(f"{option}={setting}" for option, setting in part.items())
            print(f"  {inner}: {text}")
    for score in published_for(named.name):
        print("published:")
        for key, value in dataclasses.asdict(score).items():
            shown = PROTOCOLS[value] if key == "protocol" else value
            print(f"  {key}: {shown}{asterisk(score) if key == 'fid' else ''}")
    if remarks:
        print("notes:")
    for note in remarks:
        print(f"  {'*' if note.differs else '-'} {note.text}")
    return 0
