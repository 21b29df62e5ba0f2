"""All that changes while a run trains, as one named object."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reacgan.augment import PseudoAugment, build_augment
from reacgan.config import ConfigError, Experiment, OptimizerConfig
from reacgan.hub.building import fitting_memory
from reacgan.losses import build_terms
from reacgan.models import (
    Discriminator,
    Generator,
    build_discriminator,
    build_generator,
    set_switches,
)
from reacgan.randomness import derive_seed
from reacgan.training.engine import Engine


class Adaptive(nn.Module):
    """What adapts beside the networks: the augmentation, the further terms, APA."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.augment = build_augment(experiment.augment)
        terms = build_terms(experiment.penalties, experiment.consistency)
        self.terms: Any = nn.ModuleDict(terms)
        apa = experiment.apa
        self.apa = PseudoAugment(**apa.model_dump()) if apa is not None else None
        goes_back = experiment.watch.action == "roll_back"
        self.rollbacks: Tensor | None
        self.register_buffer("rollbacks", torch.zeros((), dtype=torch.int64) if goes_back else None)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """As of any module; ``rollbacks`` need not have been counted, and are remembered if so."""
        tensors = dict(state_dict)
        if "rollbacks" in tensors and self.rollbacks is None:
            self.rollbacks = torch.zeros_like(tensors["rollbacks"])
        elif self.rollbacks is not None:
            tensors.setdefault("rollbacks", torch.zeros_like(self.rollbacks))
        return super().load_state_dict(tensors, *args, **options)


@dataclass
class TrainState:
    """Networks, averaged generator, what else adapts, both optimisers, and the clock."""

    generator: Generator
    discriminator: Discriminator
    average: Generator
    adaptive: Adaptive
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    images_seen: int = 0
    lr_scale: float = 1.0
    """Factor of both learning rates, a function of ``rollbacks``: below 1 once a run has gone back."""

    @classmethod
    def build(cls, experiment: Experiment, num_classes: int, engine: Engine) -> TrainState:
        """A new state; weights depend on the experiment's seed alone."""
        with torch.random.fork_rng(devices=[]), fitting_memory():
            torch.manual_seed(derive_seed(experiment.training.seed, "initial weights", 0))
            model, data = experiment.model, experiment.data
            generator = build_generator(model.generator, data, num_classes, model.codes)
            discriminator = build_discriminator(
                model.backbone, model.head, data, num_classes, model.codes
            )
        engine.prepare(generator).train()
        engine.prepare(discriminator).train()
        for network in (generator, discriminator):
            set_switches(network, recompute=experiment.training.recompute)
        for stage in _first_stages(discriminator, experiment.training.freeze_d):
            _freeze(stage)
        average = copy.deepcopy(generator).eval().requires_grad_(False)
        return cls(
            generator,
            discriminator,
            average,
            Adaptive(experiment).to(engine.device),
            _adam(generator, experiment.g_optimizer, fused=engine.speed.fused_optimizer),
            _adam(discriminator, experiment.d_optimizer, fused=engine.speed.fused_optimizer),
        )

    @property
    def rollbacks(self) -> int:
        """How often this run has gone back to an earlier state; waits for the device."""
        count = self.adaptive.rollbacks
        return 0 if count is None else int(count)

    @rollbacks.setter
    def rollbacks(self, count: int) -> None:
        if self.adaptive.rollbacks is not None:
            self.adaptive.rollbacks.fill_(count)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Everything but the clock, by part and name; what a checkpoint holds."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "adaptive": self.adaptive.state_dict(),
            "g_optimizer": _flatten(self.g_optimizer),
            "d_optimizer": _flatten(self.d_optimizer),
        }

    def load_tensors(self, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put back what :meth:`tensors` gave; nothing is changed unless all of it fits.

        Raises:
            ValueError: a part or tensor is missing, too many, or of another shape or type (names it).
        """
        for part, expected in self.expected(untrained=_is_untrained(parts)).items():
            if part not in parts:
                raise ValueError(f"{part} is missing")
            _compare(part, expected, parts[part])
        for name in ("generator", "discriminator", "average", "adaptive"):
            getattr(self, name).load_state_dict(parts[name], strict=True)
        _unflatten(self.g_optimizer, parts["g_optimizer"])
        _unflatten(self.d_optimizer, parts["d_optimizer"])

    def expected(self, *, untrained: bool = False) -> dict[str, dict[str, Expected]]:
        """Shape and type of every tensor that a checkpoint of this state holds, by part and name.

        Args:
            untrained: before the first step, when optimisers have no moments.
        """
        parts = {
            part: {name: (value.shape, value.dtype) for name, value in tensors.items()}
            for part, tensors in self.tensors().items()
            if not part.endswith("_optimizer")
        }
        for part in ("g_optimizer", "d_optimizer"):
            parts[part] = {} if untrained else _moments(getattr(self, part))
        return parts

    def non_finite(self) -> list[str]:
        """Names (``part/tensor``) of what holds NaN or infinity; waits for the device once."""
        named = {
            f"{part}/{name}": value
            for part, tensors in self.tensors().items()
            for name, value in tensors.items()
            if value.is_floating_point()
        }
        return [
            name
            for name, doubtful in zip(named, sums_not_finite(named.values()), strict=True)
            # A sum may also be too large for its type.
            if doubtful and not bool(torch.isfinite(named[name]).all())
        ]


Expected = tuple[torch.Size, torch.dtype]

_OPTIONAL = ("adaptive", "rollbacks")
"""It counts how often a run went back, which need not have been counted; see :class:`Adaptive`."""


def _compare(part: str, expected: Mapping[str, Expected], tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where tensors are not those expected; an optimiser would write beyond them."""
    for name, (shape, kind) in expected.items():
        if name not in tensors:
            if (part, name) != _OPTIONAL:
                raise ValueError(f"{part}: {name} is missing")
        elif tensors[name].shape != shape:
            raise ValueError(
                f"{part}: {name} has the shape {list(tensors[name].shape)}, needed: {list(shape)}"
            )
        elif tensors[name].dtype != kind:
            raise ValueError(f"{part}: {name} is of {tensors[name].dtype}, needed: {kind}")
    unknown = [name for name in tensors if name not in expected and (part, name) != _OPTIONAL]
    if unknown:
        raise ValueError(f"{part}: {unknown[0]} is unknown to this experiment")


def _is_untrained(parts: Mapping[str, Mapping[str, Tensor]]) -> bool:
    return not parts.get("g_optimizer", True) and not parts.get("d_optimizer", True)


def _moments(optimizer: torch.optim.Adam) -> dict[str, Expected]:
    """What Adam keeps of each parameter once it has taken a step."""
    kept: dict[str, Expected] = {}
    for index, parameter in enumerate(optimizer.param_groups[0]["params"]):
        kept[f"{index}/step"] = (torch.Size(), torch.float32)
        for moment in ("exp_avg", "exp_avg_sq"):
            kept[f"{index}/{moment}"] = (parameter.shape, parameter.dtype)
    return kept


@torch.no_grad()
def sums_not_finite(tensors: Iterable[Tensor]) -> list[bool]:
    """Whether each tensor's sum is NaN or infinite, as it is where one of its elements is.

    A twelfth of the time of looking at each element, and one transfer for all tensors of a kind.
    """
    sums = [value.sum() for value in tensors]
    kinds: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for index, value in enumerate(sums):
        kinds.setdefault((value.device, value.dtype), []).append(index)
    flags = [False] * len(sums)
    for indices in kinds.values():
        finite = torch.isfinite(torch.stack([sums[index] for index in indices])).tolist()
        for index, is_finite in zip(indices, finite, strict=True):
            flags[index] = not is_finite
    return flags


def _first_stages(discriminator: Discriminator, count: int) -> Sequence[nn.Module]:
    if count == 0:
        return ()
    stages = discriminator.backbone.stages()
    if count > len(stages):
        raise ConfigError(
            f"training.freeze_d is {count}; allowed: 0 to {len(stages)}, the stages of the backbone"
        )
    return stages[:count]


def _freeze(stage: nn.Module) -> None:
    """Neither weights, nor running statistics, nor power iterations move from now on (FreezeD)."""
    stage.requires_grad_(False)
    for layer in stage.modules():
        for switch in ("track", "iterate"):
            if hasattr(layer, switch):
                setattr(layer, switch, False)


def trained_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that an optimiser changes: all that are not kept as they are."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _adam(module: nn.Module, config: OptimizerConfig, *, fused: bool) -> torch.optim.Adam:
    parameters = trained_parameters(module)
    betas = (config.beta1, config.beta2)
    options: dict[str, Any] = {"lr": config.lr, "betas": betas, "eps": config.eps}
    if not fused:
        return torch.optim.Adam(parameters, foreach=False, **options)
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(parameters, fused=fused, **options)


def _flatten(optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": value for index, slots in state.items() for name, value in slots.items()
    }


def _unflatten(optimizer: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    parameters = optimizer.param_groups[0]["params"]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        moment = value.clone()
        if value.shape == parameters[int(index)].shape:
            # Files hold rows first; the fused update needs the parameter's own memory order.
            moment = torch.empty_like(parameters[int(index)]).copy_(value)
        state.setdefault(int(index), {})[name] = moment
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
