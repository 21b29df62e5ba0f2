"""Networks of a run's checkpoints: the discriminator, and the averaged generator of any state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reacgan.config import ConfigError, Device, parse_experiment
from reacgan.devices import find_device
from reacgan.files import digest_of
from reacgan.hub.folder import (
    CONFIG,
    DISCRIMINATOR,
    check_digest,
    fill,
    model_folder,
    read_config,
    unfilled,
)
from reacgan.hub.models import load
from reacgan.hub.places import locate
from reacgan.models import Discriminator, build_discriminator
from reacgan.models.norm_statistics import fit_statistics
from reacgan.models.trained import TrainedGenerator
from reacgan.records import read_sealed

_STATES = "checkpoints"
_AVERAGE = "average.safetensors"


def list_states(path: str | Path) -> list[int]:
    """Images seen of each state that a run keeps, the fewest first; none for a model folder."""
    run = _run_of(locate(path))
    states = run / _STATES
    if not states.is_dir():
        return []
    return sorted(
        int(state.name) for state in states.iterdir() if state.is_dir() and state.name.isdigit()
    )


def load_state(
    path: str | Path, images_seen: int, *, device: Device = "auto", check: bool = True
) -> TrainedGenerator:
    """The averaged generator of one of a run's states, in evaluation mode.

    Args:
        path: a run's folder, or its ``model``.
        images_seen: which state; :func:`list_states` names them.
        device: as in :func:`reacgan.load`.
        check: whether statistics that do not fit the weights are replaced, as in :func:`reacgan.load`;
            a state stores the averages of training.

    Raises:
        ConfigError: no such state (lists those there are), or a damaged one.
    """
    run = _run_of(locate(path))
    known = list_states(path)
    if images_seen not in known:
        listed = ", ".join(f"{count:,}" for count in known) or "none"
        raise ConfigError(f"{run}: keeps no state at {images_seen:,} images; it keeps: {listed}")
    file = _part(run, images_seen, _AVERAGE)
    if file is None:
        raise ConfigError(f"{run}: its state at {images_seen:,} images is damaged; take another")
    model = load(path, device=device, check=False)
    fill(model.generator, file, CONFIG)
    model.generator.to(find_device(device)).eval().requires_grad_(False)
    loaded = replace(model, images_seen=images_seen, norms=None)
    return fit_statistics(loaded) if check else loaded


def load_discriminator(path: str | Path, *, device: Device = "auto") -> Discriminator:
    """The discriminator of a run or model, in evaluation mode.

    It is stored with a shared generator; a run's is that of its newest complete checkpoint.

    Args:
        path: a run's folder, or its ``model``; a model folder, or a name, as in :func:`reacgan.load`.
        device: as in :func:`reacgan.load`.

    Raises:
        ConfigError: nothing to load there, such as in a model folder without it, or damaged files.
    """
    path = locate(path)
    folder = model_folder(path)
    config = read_config(folder)
    if config.get("discriminator_sha256") is not None:
        file = folder / DISCRIMINATOR
        check_digest(file, config["discriminator_sha256"])
    else:
        file = _newest_discriminator(_run_of(path))
    try:
        experiment = parse_experiment(config["experiment"])
        model = experiment.model
        classes = len(config["class_names"])
        discriminator = unfilled(
            lambda: build_discriminator(
                model.backbone, model.head, experiment.data, classes, model.codes
            )
        )
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from None
    fill(discriminator, file, CONFIG)
    return discriminator.to(find_device(device)).eval().requires_grad_(False)


def _run_of(path: Path) -> Path:
    folder = model_folder(path)
    return folder.parent if (folder.parent / _STATES).is_dir() else path


def _newest_discriminator(run: Path) -> Path:
    for images_seen in reversed(list_states(run)):
        file = _part(run, images_seen, DISCRIMINATOR)
        if file is not None:  # else incomplete or damaged
            return file
    raise ConfigError(
        f"{run}: no whole checkpoint with a discriminator; give the folder of a run. "
        "This model folder holds the generator alone"
    )


def _part(run: Path, images_seen: int, name: str) -> Path | None:
    """A file of a state, if its digest is the recorded one."""
    state = run / _STATES / f"{images_seen:012d}"
    try:
        digests = read_sealed(state / "state.json", required=False)["digests"]
        return state / name if digest_of(state / name) == digests[name] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
