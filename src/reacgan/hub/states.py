"""Networks of a run's checkpoints: the discriminator, and the averaged generator of any state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from reacgan.config import ConfigError, Device, parse_experiment
from reacgan.devices import find_device
from reacgan.hub.building import built
from reacgan.hub.folder import (
    CONFIG,
    DISCRIMINATOR,
    fill,
    model_folder,
    read_config,
    read_weights,
)
from reacgan.hub.models import load
from reacgan.hub.places import locate
from reacgan.hub.rereading import steadily
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
    model, averages = steadily(path, lambda: _with_averages(path, images_seen, device))
    fill(model.generator, averages, _state_of(path, images_seen) / _AVERAGE, CONFIG)
    model.generator.to(find_device(device)).eval().requires_grad_(False)
    loaded = replace(model, images_seen=images_seen, norms=None)
    return fit_statistics(loaded) if check else loaded


def _with_averages(
    path: str | Path, images_seen: int, device: Device
) -> tuple[TrainedGenerator, dict[str, Tensor]]:
    """A run's saved generator, and the averages of one of its states."""
    run, known = _run_of(locate(path)), list_states(path)
    if images_seen not in known:
        listed = ", ".join(f"{count:,}" for count in known) or "none"
        raise ConfigError(
            f"{run}: keeps no state at {images_seen:,} images; it keeps: {listed} (as a run goes on it "
            "removes the older ones)"
        )
    averages = _part(run, images_seen, _AVERAGE)
    if averages is None:
        raise ConfigError(f"{run}: its state at {images_seen:,} images is damaged; take another")
    return load(path, device=device, check=False), averages


def load_discriminator(
    path: str | Path, *, device: Device = "auto", images_seen: int | None = None
) -> Discriminator:
    """The discriminator of a run or model, in evaluation mode.

    It is stored with a shared generator; a run's is that of its newest complete checkpoint.

    Args:
        path: a run's folder, or its ``model``; a model folder, or a name, as in :func:`reacgan.load`.
        device: as in :func:`reacgan.load`.
        images_seen: of which state; None for the stored or newest one.

    Raises:
        ConfigError: nothing to load there, such as in a model folder without it, or damaged files.
    """
    discriminator = steadily(path, lambda: _discriminator(locate(path), images_seen))
    return discriminator.to(find_device(device)).eval().requires_grad_(False)


def _discriminator(path: Path, images_seen: int | None) -> Discriminator:
    folder = model_folder(path)
    config = read_config(folder)
    stored = config.get("discriminator_sha256")
    if stored is not None and images_seen in (None, config["images_seen"]):
        file = folder / DISCRIMINATOR
        tensors = read_weights(file, stored, CONFIG)
    else:
        file, tensors = _newest_discriminator(_run_of(path), images_seen)
    try:
        experiment = parse_experiment(config["experiment"])
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from None
    model, classes = experiment.model, len(config["class_names"])
    discriminator = built(
        lambda: build_discriminator(
            model.backbone, model.head, experiment.data, classes, model.codes
        ),
        tensors,
        folder / CONFIG,
    )
    fill(discriminator, tensors, file, CONFIG)
    return discriminator


def _run_of(path: Path) -> Path:
    folder = model_folder(path)
    return folder.parent if (folder.parent / _STATES).is_dir() else path


def _state_of(path: str | Path, images_seen: int) -> Path:
    return _run_of(locate(path)) / _STATES / f"{images_seen:012d}"


def _newest_discriminator(run: Path, images_seen: int | None) -> tuple[Path, dict[str, Tensor]]:
    wanted = list_states(run) if images_seen is None else [images_seen]
    for seen in reversed(wanted):
        tensors = _part(run, seen, DISCRIMINATOR)
        if tensors is not None:  # else incomplete or damaged
            return run / _STATES / f"{seen:012d}" / DISCRIMINATOR, tensors
    raise ConfigError(
        f"{run}: no whole checkpoint with a discriminator; give the folder of a run. "
        "This model folder holds the generator alone"
    )


def _part(run: Path, images_seen: int, name: str) -> dict[str, Tensor] | None:
    """The tensors of a file of a state, if its digest is the recorded one."""
    state = run / _STATES / f"{images_seen:012d}"
    try:
        digests = read_sealed(state / "state.json", required=False)["digests"]
        return read_weights(state / name, digests[name], "state.json")
    except (OSError, ValueError, KeyError, TypeError):
        return None
