"""Settings of sampling, from the command line to a score's protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from reacgan.config import ConfigError, check_choice, check_kind, check_real, check_whole, suggest
from reacgan.models import Generator
from reacgan.models.norm_statistics import BOUND, IMAGES, statistics_in_words
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.langevin import Langevin
from reacgan.sampling.latents import COUPLED_CHUNK, check_seed, check_truncation
from reacgan.sampling.moves import Moves
from reacgan.sampling.statistics import Statistics, with_statistics

SamplingPrecision: TypeAlias = Literal["auto", "float32", "bfloat16"]
LABELS = ("reference", "balanced", "uniform")
_CHAIN = (
    "Langevin(discriminator, steps=2) of reacgan.sampling; the discriminator of a run is "
    "reacgan.hub.load_discriminator(RUN)"
)
_MOVES = "Moves(...) of reacgan.sampling, or parse_moves(toward, along)"


@dataclass(frozen=True)
class SamplingSettings:
    """Everything that images depend on besides the generator, the class and the index.

    None leaves a value to the caller.

    Raises:
        ConfigError: a value out of range, or ``layers`` without ``psi``.
    """

    truncation: float | None = None
    """Largest absolute value of z; see :func:`reacgan.sampling.latents_for`."""
    psi: float | None = None
    """0 to 1: moves styles w towards their mean (generators with styles only)."""
    layers: int | None = None
    """Number of first layers that psi applies to; None for all."""
    statistics: Statistics | None = None
    """Of batch norms, see :func:`reacgan.sampling.with_statistics`; None for the model's own."""
    labels: str | None = None
    """Classes to score: with the reference's frequencies, balanced, or uniformly drawn."""
    seed: int | None = None
    """The first seed, 0 or more."""
    precision: SamplingPrecision | None = None
    """Of the generator's convolutions and matrix products; None is float32, which published protocols
    and all scores take unless another is asked for. ``auto`` is bfloat16 on a GPU that has it, float32
    elsewhere. A class and a seed are one image in each precision on one kind of device. Of a trained
    CIFAR-10 generator 99 % of the values agree within 1 of 255 grey levels, and all within 6."""
    langevin: Langevin | None = None
    """Moves z by Langevin dynamics before generation."""
    moves: Moves | None = None
    """Moves z towards other seeds and along directions before that."""

    def __post_init__(self) -> None:
        check_truncation(self.truncation)
        if self.seed is not None:
            check_seed(self.seed)
        check_choice("precision", self.precision, get_args(SamplingPrecision), optional=True)
        check_choice("statistics", self.statistics, get_args(Statistics), optional=True)
        check_choice("labels", self.labels, LABELS, optional=True)
        check_real(
            "psi",
            self.psi,
            "0 (the mean style) to 1 (no truncation)",
            least=0,
            most=1,
            optional=True,
        )
        check_whole("layers", self.layers, least=0, optional=True)
        if self.psi is None and self.layers is not None:
            raise ConfigError(f"layers is {self.layers}, but psi is not given; layers needs psi")
        if self.langevin is not None:
            check_kind("langevin", self.langevin, Langevin, _CHAIN)
        if self.moves is not None:
            check_kind("moves", self.moves, Moves, _MOVES)

    def changed(self, **options: Any) -> SamplingSettings:
        """The same with these values; raises ConfigError for an unknown name."""
        known = [field.name for field in fields(self)]
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"{name}: unknown setting{suggest(name, known)} Known: {', '.join(known)}."
                )
        return replace(self, **options)

    def named(self) -> dict[str, Any]:
        """The values that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def refuse(self, *names: str, by: str) -> None:
        """Raise ConfigError where one of these is set but would be ignored."""
        values = self.named()
        for name in names:
            if name in values:
                raise ConfigError(
                    f"{name} is {values[name]!r}, which {by} does not take; leave it out"
                )

    def precision_on(self, device: torch.device) -> Literal["float32", "bfloat16"]:
        """The precision on a device, ``auto`` decided; ``float32`` is the type of the weights."""
        if self.precision != "auto":
            return self.precision or "float32"
        able = (
            device.type == "cuda"
            and torch.cuda.is_available()
            and torch.cuda.is_bf16_supported(including_emulation=False)
        )
        return "bfloat16" if able else "float32"

    def on(self, device: torch.device) -> SamplingSettings:
        """The same with the precision decided for a device."""
        return replace(self, precision=self.precision_on(device))

    def prepared(self, model: TrainedGenerator) -> TrainedGenerator:
        """The model with the requested statistics of batch norms."""
        return model if self.statistics is None else with_statistics(model, self.statistics)

    def network(self, generator: Generator) -> Callable[[Tensor, Tensor], Tensor]:
        """(z, labels) -> images in [-1, 1], with styles truncated by ``psi``."""
        if self.psi is None:
            return generator
        return partial(generator.truncated, psi=self.psi, layers=self.layers)

    def facts(self, weights: str = "average") -> dict[str, Any]:
        """The part ``generator`` of a score's protocol; ``weights`` names those of a run."""
        facts: dict[str, Any] = {"weights": weights, "batch_norm": self.statistics}
        if self.statistics == "batch":
            facts["batch"] = COUPLED_CHUNK
        if self.statistics == "auto":
            facts["auto"] = {"bound": BOUND, "images": IMAGES}
        if self.statistics == "own":
            facts["own"] = {"images": IMAGES}
        named = self.named()
        if self.precision not in (None, "float32"):
            facts["precision"] = self.precision
        facts |= {name: named[name] for name in ("truncation", "psi", "layers") if name in named}
        if self.moves is not None:
            facts["moves"] = self.moves.facts()
        return facts if self.langevin is None else {**facts, "langevin": self.langevin.facts()}

    def notes_on(self, model: TrainedGenerator) -> tuple[str, ...]:
        """Notes for a score where the moving averages of training did not fit the generator."""
        own = self.statistics == "auto" and model.norms is not None and model.norms.kind == "own"
        if not own:
            return ()
        return (
            f"made with {statistics_in_words(model)}; usual early in a training, no reason to worry",
        )


def check_settings(settings: Any) -> None:
    """See that something is SamplingSettings; raises ConfigError that says how they are given."""
    check_kind(
        "settings",
        settings,
        SamplingSettings,
        "reacgan.SamplingSettings(seed=3, ...), or the single values by their names: seed=3",
    )
