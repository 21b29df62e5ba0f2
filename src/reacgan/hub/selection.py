"""The states of a run or model folder that can be scored, and how the best one was chosen."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError, Device
from reacgan.hub.folder import CONFIG, holds_generator
from reacgan.hub.models import load
from reacgan.hub.places import known_models, locate
from reacgan.hub.rereading import steadily
from reacgan.hub.states import list_states, load_discriminator, load_state
from reacgan.models.trained import TrainedGenerator, TrainedState
from reacgan.records import SEAL, read_json, read_sealed

BEST = "best"
"""The folder of a run with the best state of its periodic scores."""

_OF_PROTOCOL = ("checkpoint", "rule", "selected_on", "metric")


def find_states(
    path: str | Path, checkpoint: str = "last", device: Device = "auto"
) -> list[TrainedState]:
    """The generators of a path or name; none where it is neither a run nor a model.

    Args:
        path: a run, a model folder, a name of :func:`reacgan.pretrained`, or ``hub:OWNER/NAME``.
        checkpoint: of a run: ``last`` (its saved generator), ``best`` (of its periodic scores), the
            images seen of a state it keeps, or ``all`` those states.
        device: where generators go.

    Raises:
        ConfigError: no such state, or damaged files.
    """
    folder, text = Path(path), str(path)
    if not folder.exists() and (text in known_models() or text.startswith("hub:")):
        folder = locate(text)
    if not holds_generator(folder):
        return []
    if folder.name == BEST and (folder / "selection.json").exists():
        folder, checkpoint = folder.parent, BEST
    if checkpoint == "last":
        return [_state(folder, load(folder, device=device, check=False), folder)]
    if checkpoint == BEST:
        if not (folder / BEST / "config.json").exists():
            raise ConfigError(
                f"{folder}: has no best/ state; train with --set scores.every=N to select one"
            )
        chosen, model = steadily(folder / BEST, lambda: _best(folder, device))
        selection, notes = for_protocol(chosen)
        return [_state(folder, model, folder, selection=selection, notes=notes)]
    if checkpoint != "all":
        if not re.fullmatch(r"[0-9][0-9_,]*", checkpoint):
            raise ConfigError(
                f"checkpoint is {checkpoint!r}; allowed: last, best, all, or the images seen of a state"
            )
        seen = int(re.sub("[_,]", "", checkpoint))
        return [_state(folder, load_state(folder, seen, device=device, check=False))]
    return _whole_states(folder, device)


def _whole_states(folder: Path, device: Device) -> list[TrainedState]:
    """All states that are whole; each other is told of. Raises ConfigError where there is none."""
    kept = list_states(folder)
    if not kept:
        raise ConfigError(f"{folder}: keeps no states; leave --checkpoint at last")
    states, problems = [], []
    for seen in kept:
        try:
            states.append(_state(folder, load_state(folder, seen, device=device, check=False)))
        except ConfigError as error:
            problems.append(error)
    if not states:
        raise problems[0]
    for problem in problems:
        warnings.warn(f"{problem}; this state is left out", stacklevel=3)
    return states


def _best(run: Path, device: Device) -> tuple[dict[str, Any], TrainedGenerator]:
    """How the best state was chosen, and its generator."""
    chosen, model = read_selection(run), load(run / BEST, device=device, check=False)
    if chosen.get("images_seen", model.images_seen) != model.images_seen:
        raise ConfigError(
            f"{run / BEST}: selection.json is of the state at {chosen['images_seen']} images, the "
            f"generator of that at {model.images_seen:,}; resume the run, which chooses anew"
        )
    return chosen, model


def _state(
    folder: Path, model: TrainedGenerator, driver: Path | None = None, **selection: Any
) -> TrainedState:
    """A state with its name; ``driver`` is where the discriminator for Langevin dynamics is."""
    path = folder.resolve()
    device = next(model.generator.parameters()).device
    discriminator = None if driver is None else partial(load_discriminator, driver, device=device)
    name = path.parent.name if path.name == "model" else path.name
    return TrainedState(name, model, load_discriminator=discriminator, **selection)


def read_selection(run: Path) -> dict[str, Any]:
    """How the best state was chosen, as the run wrote it.

    Raises:
        ConfigError: not there, or damaged.
    """
    file = run / BEST / "selection.json"
    try:
        # Both files are of one version, and earlier ones sealed neither.
        beside = read_json(run / BEST / CONFIG)
        return read_sealed(file, required=isinstance(beside, dict) and SEAL in beside)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: not readable ({error})") from None


def for_protocol(selection: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The facts of a selection for a protocol, and a note on it."""
    facts = {key: selection[key] for key in _OF_PROTOCOL if key in selection}
    if "value" not in selection:
        return facts, ()
    on = selection.get("selected_on", {})
    where = f"the {on.get('split')} images ({on.get('part')}, {on.get('images')} of them)"
    return facts, (
        f"the state at {selection['images_seen']:,} images was chosen of {selection['states']} by "
        f"{selection['metric']} {selection['value']:.4g} on {where}",
    )
