"""``reacgan experiments``."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from reacgan.cli import suites

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
    """List the experiments by name, with what is special about each, its length, and what is published.

    Parameters
    ----------
    prefix:
        Only those whose name begins with this, such as cifar10/.
    """
    from reacgan.config import ConfigError, load_plugins, suggest  # noqa: PLC0415
    from reacgan.experiments import EXPERIMENTS  # noqa: PLC0415
    from reacgan.experiments.notes import asterisk, fid_of  # noqa: PLC0415
    from reacgan.experiments.published import published_for  # noqa: PLC0415

    load_plugins()
    chosen = {name: held for name, held in EXPERIMENTS.items() if name.startswith(prefix)}
    if not chosen:
        groups = sorted({name.partition("/")[0] + "/" for name in EXPERIMENTS})
        raise ConfigError(
            f"no experiment begins with {prefix!r}{suggest(prefix, groups)} "
            f"Groups: {', '.join(groups)}."
        )
    width = max(len(name) for name in chosen)
    for name, held in chosen.items():
        training = held.training
        scores = [f"; published FID {fid_of(one)} [{one.protocol}]" for one in published_for(name)]
        print(
            f"{name:{width}}  {_what_is_special(held)}; "
            f"batch {training.batch} x {training.d_steps}, {training.images:,} images{''.join(scores)}"
        )
    if any(asterisk(one) for name in chosen for one in published_for(name)):
        sys.stdout.flush()
        print(_ASTERISK, file=sys.stderr)
    return 0


_ASTERISK = (
    "* The published run is not this experiment to the letter: "
    "`reacgan experiments show NAME` says in what."
)


def _what_is_special(held: Experiment) -> str:
    augment = held.augment.name if held.augment.name != "identity" else ""
    extras = (augment, "apa" if held.apa else "", *held.penalties, *held.consistency)
    return " + ".join(filter(None, (held.model.generator.name, held.model.head.name, *extras)))


def list_methods() -> int:
    """List the methods by their names in the literature, with paper and experiment."""
    from reacgan.experiments.methods import METHODS  # noqa: PLC0415

    widths = [max(len(getattr(held, part)) for held in METHODS) for part in ("title", "paper")]
    for held in METHODS:
        print(f"{held.title:{widths[0]}}  {held.paper:{widths[1]}}  {held.experiment}")
    return 0


def show(
    name: str,
    *,
    set_: Annotated[
        tuple[str, ...], Parameter(name="--set", consume_multiple=True, show_default=False)
    ] = (),
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

    found = named_or_file(name)
    chosen = found.replace(**parse_assignments(set_))
    described = describe(chosen, num_classes)
    published = [dataclasses.asdict(held) for held in published_for(found.name)]
    told = notes(chosen)
    if json_:
        held_notes = [dataclasses.asdict(note) for note in told]
        described = {**described, "published": published, "notes": held_notes}
        print(json.dumps(described, indent=2))
        return 0
    for key, value in described.items():
        if not isinstance(value, dict):
            print(f"{key}: {value}")
            continue
        print(f"{key}:")
        for inner, held in value.items():
            if isinstance(held, dict):
                held = ", ".join(f"{part}={one}" for part, one in held.items())  # noqa: PLW2901
            print(f"  {inner}: {held:,}" if type(held) is int else f"  {inner}: {held}")
    for score in published_for(found.name):
        print("published:")
        for key, value in dataclasses.asdict(score).items():
            shown = PROTOCOLS[value] if key == "protocol" else value
            print(f"  {key}: {shown}{asterisk(score) if key == 'fid' else ''}")
    if told:
        print("notes:")
    for note in told:
        print(f"  {'*' if note.differs else '-'} {note.text}")
    return 0
