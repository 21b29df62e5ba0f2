"""Beginning a run with the weights of another one, as far as they fit."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from reacgan import hub
from reacgan.config import ConfigError
from reacgan.hub.folder import DISCRIMINATOR, model_folder
from reacgan.models.norm_statistics import with_moving
from reacgan.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    read_manifest,
    read_part,
)
from reacgan.training.state import TrainState

Tensors = Mapping[str, Tensor]

# What belongs to the moment of a run, not to what a network has learned.
_OF_THE_MOMENT = {"condition_strength"}
_SHOWN = 6
_FACT = "started_from"


@dataclass(frozen=True)
class WeightSource:
    """Weights by network; a model may have no discriminator."""

    path: Path
    generator: Tensors
    average: Tensors
    discriminator: Tensors = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of all weights and their names, hexadecimal."""
        digest = hashlib.sha256()
        for part in (self.generator, self.average, self.discriminator):
            for name in sorted(part):
                tensor = part[name].detach().cpu().contiguous()
                digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
                digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Transfer:
    """What a run took over, and what it begins anew; names are ``network/tensor``."""

    source: Path
    digest: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    """Tensors of this run that the source has not, or has in another shape."""

    def lines(self) -> list[str]:
        """The same for a person."""
        shown = ", ".join(self.new[:_SHOWN])
        more = f" and {len(self.new) - _SHOWN:,} more" if len(self.new) > _SHOWN else ""
        return [
            f"began with {len(self.loaded):,} tensors of {self.source}",
            f"new: {shown}{more}" if self.new else "new: nothing",
        ]


def take_up(
    state: TrainState, path: str | None, resumed: Path | None
) -> tuple[dict[str, str], list[str]]:
    """Start a new run from other weights, or remember what a resumed one started from.

    Args:
        state: of the run.
        path: ``training.start_from``.
        resumed: the checkpoint that the state was loaded from; then the source is not needed.

    Returns:
        What the run's facts are to hold, and lines for a person.

    Raises:
        ConfigError: see :func:`start_from`.
    """
    if path is None:
        return {}, []
    if resumed is None:
        transfer = start_from(state, path)
        return {_FACT: transfer.digest}, transfer.lines()
    known = read_manifest(resumed)["facts"].get(_FACT)
    if not isinstance(known, str):
        raise CheckpointError(f"{resumed}: does not say what this run began with ({_FACT})")
    return {_FACT: known}, []


def start_from(state: TrainState, path: str | Path) -> Transfer:
    """Load what fits of another run's weights into a state that has not been trained yet.

    A layer is taken over where all its tensors are there under the same name and in the same shape;
    else it stays as it was drawn (Mo, Cho, Shin 2020, "Freeze the discriminator"). So tables of
    class vectors for another number of classes begin anew. Optimisers and what adapts do, too.

    Args:
        state: the new run's; changed in place.
        path: a run's folder (its newest whole checkpoint, else its model), a checkpoint's, or a
            model's, or the name of a model (``reacgan weights list``). A model holds the averaged
            generator, with which G begins; where it has no discriminator beside it, D begins anew.

    Raises:
        ConfigError: nothing to load there, nothing of it fits, or a stage that ``freeze_d`` keeps
            as it is was not taken over.
    """
    source = read_source(path)
    loaded: dict[str, Tensor] = {}
    new: list[str] = []
    for part in ("generator", "discriminator", "average"):
        took, left = _load_what_fits(getattr(state, part), getattr(source, part))
        loaded |= {f"{part}/{name}": tensor for name, tensor in took.items()}
        new += [f"{part}/{name}" for name in left]
    if all(tensor.dim() < 2 for tensor in loaded.values()):  # lone numbers always fit
        raise ConfigError(
            f"training.start_from: nothing of {source.path} fits this experiment; it needs the same "
            "generator or backbone, with the same options and resolution"
        )
    _check_frozen(state.discriminator, source, set(new))
    return Transfer(source.path, source.digest, tuple(loaded), tuple(new))


def read_source(path: str | Path) -> WeightSource:
    """Read the weights below a run's, checkpoint's or model's folder.

    Raises:
        ConfigError: there are none, or they are damaged.
    """
    folder = _located(path)
    if not folder.is_dir():
        raise ConfigError(
            f"training.start_from is {str(path)!r}: no such folder; give the folder of a run, of a "
            "checkpoint or of a model"
        )
    if (folder / "state.json").is_file():
        return _read_checkpoint(folder)
    problems = []
    for checkpoint in reversed(list_checkpoints(folder / "checkpoints")):
        try:
            return _read_checkpoint(checkpoint)
        except CheckpointError as error:
            problems.append(str(error))
    try:
        model = with_moving(hub.load(folder, device="cpu", check=False))
        weights = model.generator.state_dict()
        stored = (model_folder(folder) / DISCRIMINATOR).is_file()
        discriminator = hub.load_discriminator(folder, device="cpu") if stored else None
    except ConfigError as error:
        raise ConfigError("\n".join([f"training.start_from: {error}", *problems])) from None
    return WeightSource(
        folder, weights, weights, {} if discriminator is None else discriminator.state_dict()
    )


def _located(path: str | Path) -> Path:
    """The folder, given by its path, by the name of a model or as ``hub:OWNER/NAME``."""
    try:
        return hub.locate(path)
    except ConfigError as error:
        raise ConfigError(f"training.start_from is {str(path)!r}: {error}") from None


def _read_checkpoint(folder: Path) -> WeightSource:
    read_manifest(folder)
    parts = [read_part(folder, part) for part in ("generator", "average", "discriminator")]
    return WeightSource(folder, *parts)


def _load_what_fits(network: nn.Module, source: Tensors) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors that were loaded, by name, and the names of those that were not."""
    own = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name.rpartition(".")[2] not in _OF_THE_MOMENT
    }
    # A spectral layer's u and v belong to its weight, a batch norm's mean to its variance.
    broken = {
        name.rpartition(".")[0]
        for name, tensor in own.items()
        if name not in source or source[name].shape != tensor.shape
    }
    loaded: dict[str, Tensor] = {}
    new: list[str] = []
    for name, tensor in own.items():
        if name.rpartition(".")[0] in broken:
            new.append(name)
        else:
            tensor.copy_(source[name])
            loaded[name] = tensor
    return loaded, new


def _check_frozen(discriminator: nn.Module, source: WeightSource, new: set[str]) -> None:
    for name, parameter in discriminator.named_parameters():
        if not parameter.requires_grad and f"discriminator/{name}" in new:
            there = source.discriminator.get(name)
            has = "has none of it" if there is None else f"has it as {list(there.shape)}"
            if not source.discriminator:
                has = "has no discriminator"
            raise ConfigError(
                f"training.freeze_d keeps {name} {list(parameter.shape)} as it is, but {source.path} "
                f"{has}; set training.freeze_d=0, or take networks of its kind: "
                f"reacgan new IMAGES --from {shlex.quote(str(source.path))} writes such a plan"
            )
