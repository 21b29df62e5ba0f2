"""``reacgan experiments``."""

from __future__ import annotations

import json
from typing import Annotated

import cyclopts
from cyclopts import Parameter


def app() -> cyclopts.App:
    """The commands below ``experiments``."""
    group = cyclopts.App(name="experiments", help="List the experiments, or show one.")
    group.command(list_experiments, name="list")
    group.command(show)
    return group


def list_experiments() -> int:
    """List every experiment by name, with its head and length."""
    from reacgan.experiments import EXPERIMENTS  # noqa: PLC0415

    width = max(len(name) for name in EXPERIMENTS)
    for name, held in EXPERIMENTS.items():
        data, training = held.data, held.training
        print(
            f"{name:{width}}  {data.name} {data.resolution}px  {held.model.head.name}"
            f"{' + ' + held.augment.name if held.augment.name != 'identity' else ''}, "
            f"batch {training.batch} x {training.d_steps}, {training.images:,} images"
        )
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
    from reacgan.config import load_experiment, parse_assignments  # noqa: PLC0415
    from reacgan.experiments import experiment  # noqa: PLC0415
    from reacgan.experiments.describe import describe  # noqa: PLC0415

    is_file = name.endswith((".json", ".yaml", ".yml"))
    found = load_experiment(name) if is_file else experiment(name)
    described = describe(found.replace(**parse_assignments(set_)), num_classes)
    if json_:
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
    return 0
