"""Options that the shapes in a file imply, where they differ from the experiment."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from reacgan.config import Experiment, grid_of
from reacgan.hub.convert.names import (
    ATTENTION_GATE,
    EMBEDDED,
    LAST_NORM,
    LINEAR,
    SCORE,
    SHARED,
)
from reacgan.models.residual import BACKBONE_STAGES, GENERATOR_STAGES

State = dict[str, Tensor]


def advice(generator: State, discriminator: State | None, experiment: Experiment) -> str:
    """A sentence with the options to set, or with what to check where shapes imply none."""
    square = grid_of(experiment.data.resolution).square
    model = experiment.model
    said = {"model.generator": _of_generator(generator, square)}
    if discriminator is not None:
        said["model.backbone"] = _of_backbone(discriminator, square)
        said["model.head"] = said["model.head.over"] = _of_head(discriminator)
    has = {
        "model.generator": model.generator.options,
        "model.backbone": model.backbone.options,
        "model.head": model.head.options,
        "model.head.over": model.head.options.get("over", {}),
    }
    wrong = [
        f"{part}.{option}={_written(value)} (here {_written(has[part][option])})"
        for part, read in said.items()
        for option, value in read.items()
        if option in has[part] and has[part][option] != value
    ]
    if discriminator is not None and model.backbone.name == "biggan" and _has_norms(discriminator):
        wrong.append("model.backbone.name=resnet, model.backbone.norm=batch (here biggan, without)")
    if wrong:
        return f"Its shapes say: {', '.join(wrong)}; change the experiment, or take another"
    return (
        "Take the experiment with the same resolution, networks, attention, normalisation and head; "
        "names of layers that no output depends on go into unused"
    )


def _of_generator(state: State, square: int) -> dict[str, Any]:
    options = _attention_and_norm(state)
    features = _size(state, f"{LAST_NORM}.running_mean", 0)
    if square in GENERATOR_STAGES and features:
        options["width"] = features // GENERATOR_STAGES[square][-1]
    inputs = _size(state, f"{LINEAR}.weight", 1)
    if f"{SHARED}.weight" in state:
        options["shared_dim"] = _size(state, f"{SHARED}.weight", 1)
        inputs = inputs and inputs * (_blocks(state) + 1)
    if inputs:
        options["latent_dim"] = inputs
    return options


def _of_backbone(state: State, square: int) -> dict[str, Any]:
    options = _attention_and_norm(state)
    options["norm"] = "batch" if _has_norms(state) else "spectral"
    features = _size(state, f"{SCORE}.weight", 1)
    if square in BACKBONE_STAGES and features:
        options["width"] = features // BACKBONE_STAGES[square][0][-1]
    return options


def _of_head(state: State) -> dict[str, Any]:
    length = _size(state, f"{EMBEDDED}.weight", 0)
    return {"embedding_dim": length} if length else {}


def _attention_and_norm(state: State) -> dict[str, Any]:
    return {
        "attention_after": _attention_after(state),
        "spectral_norm": any(name.endswith(".weight_orig") for name in state),
    }


def _has_norms(state: State) -> bool:
    return any(name.endswith(".running_mean") for name in state)


def _attention_after(state: State) -> tuple[int, ...]:
    gates = [name for name in state if name.endswith(f".{ATTENTION_GATE}")]
    lists = sorted(int(name.split(".")[1]) for name in gates if name.startswith("blocks."))
    return tuple(position - before for before, position in enumerate(lists))


def _blocks(state: State) -> int:
    ends = (".0.conv2d1.weight", ".0.conv2d1.weight_orig")
    return sum(name.startswith("blocks.") and name.endswith(ends) for name in state)


def _size(state: State, name: str, dim: int) -> int | None:
    """A dimension of a tensor, spectrally normalised or not; None where it is missing."""
    value = state.get(name, state.get(f"{name}_orig"))
    return int(value.shape[dim]) if value is not None and value.dim() > dim else None


def _written(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value).lower()
