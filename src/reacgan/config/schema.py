"""The schema of an experiment: one frozen, strict tree of plain values.

Nothing here imports torch or any other part of the package, so a configuration can be read,
checked and printed anywhere. A family's member (a head, a generator, an augmentation, ...) is a
:class:`Component`: its registered ``name`` and the keyword options of its constructor. The options
are checked against that constructor's own signature by :func:`check_options`, so a new member
needs no change here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reacgan.config.registry import ConfigError, explain, suggest

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
UnitFloat = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["float32", "bfloat16", "float64"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class Schema(BaseModel):
    """Base of every section: frozen, unknown keys are errors, fields are documented for ``--help``."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Component(Schema):
    """A registered member of a family and the options of its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: str
    """The member's name in its family's table."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        # As in Python, so that an experiment equals what is read back from its JSON.
        if not isinstance(values, dict):
            return values
        return {
            key: tuple(held) if isinstance(held, list) else held for key, held in values.items()
        }

    @property
    def options(self) -> dict[str, Any]:
        """The keyword options beside the name."""
        return dict(self.model_extra or {})


def component(name: str, **options: Any) -> Component:
    """A component by name and options, for experiments written in Python."""
    return Component.model_validate({"name": name, **options})


class DataConfig(Schema):
    """Which labelled images, and how they reach the model."""

    name: str = "folder"
    """Registered data set: digits, folder, archive, cifar10, cifar100, tiny_imagenet."""
    path: str | None = None
    """Where the images are; None downloads (where the data set allows it) or uses the embedded copy."""
    resolution: Annotated[int, Field(ge=8, le=256)] = 32
    """Side of the square images, pixels: a power of two from 8 to 256."""
    channels: Annotated[int, Field(ge=1, le=3)] = 3
    """1 for grey, 3 for RGB."""
    flip: bool = True
    """Mirror half of the real images horizontally (turn off for digits, text, anything with a left)."""
    crop: Annotated[int, Field(ge=0, le=64)] = 0
    """Shift real images by up to this many pixels at random (edges repeated)."""

    @model_validator(mode="after")
    def _power_of_two(self) -> DataConfig:
        if self.resolution & (self.resolution - 1):
            raise ValueError(
                f"resolution is {self.resolution}; allowed: 8, 16, 32, 64, 128, 256. "
                "Images of any size are resized to it."
            )
        return self


class ModelConfig(Schema):
    """Generator, discriminator backbone and head."""

    generator: Component = Component(name="biggan")
    backbone: Component = Component(name="biggan")
    head: Component = Component(name="d2dce")


class LossConfig(Schema):
    """How the terms are put together: adversarial + conditioning_weight x the head's own loss."""

    adversarial: str = "hinge"
    """hinge, non_saturating, least_squares or wasserstein."""
    conditioning_weight: NonNegativeFloat = 1.0
    """Weight of the head's conditioning loss (lambda of the papers) for both D and G."""


class OptimizerConfig(Schema):
    """Adam for one network."""

    lr: PositiveFloat = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: PositiveFloat = 1e-6
    decay_from: NonNegativeFloat | None = None
    """Images seen at which the learning rate starts to fall linearly; None keeps it constant."""
    decay_to: NonNegativeFloat | None = None
    """Images seen at which it reaches zero; needed with decay_from."""

    @model_validator(mode="after")
    def _decay_has_both_ends(self) -> OptimizerConfig:
        if (self.decay_from is None) != (self.decay_to is None):
            raise ValueError("decay_from and decay_to go together: give both or neither")
        if self.decay_from is not None and self.decay_to is not None:
            if self.decay_to <= self.decay_from:
                raise ValueError(
                    f"decay_to ({self.decay_to:g}) must lie after decay_from ({self.decay_from:g})"
                )
        return self


class EmaConfig(Schema):
    """Exponential moving average of the generator, in images so that batch size does not matter."""

    half_life: PositiveFloat = 500_000
    """Images seen after which an old weight counts half."""
    start: NonNegativeFloat = 0
    """Before this many images the average is a plain copy."""
    ramp: UnitFloat | None = 0.05
    """Never longer than this share of the images seen so far (StyleGAN2's ramp-up); None for none."""


class TrainingConfig(Schema):
    """Length, batch and randomness of a run. The only clock is real images seen."""

    images: PositiveInt = 1_000_000
    """Real images shown to the discriminator before the run ends."""
    batch: PositiveInt = 64
    """Real images in a discriminator step, over all processes."""
    d_steps: PositiveInt = 1
    """Discriminator steps before each generator step."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    precision: Precision = "float32"
    """Precision of the convolutions; losses, spectral norm, Adam and EMA never go below float32."""


class ReportConfig(Schema):
    """What is written while a run goes on, in images seen."""

    journal_every: PositiveInt = 10_000
    """A line of losses and speed."""
    samples_every: PositiveInt = 100_000
    """A sheet of generated images."""
    checkpoint_every: PositiveInt = 100_000
    """A resumable state."""
    checkpoint_minutes: PositiveFloat = 10
    """A state at least this often, by the clock, so that a crash of a slow run costs little."""
    keep_checkpoints: PositiveInt = 2
    """How many of the latest states stay on disk."""


class Experiment(Schema):
    """A complete, named configuration: everything that a run depends on."""

    name: str
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: Component = Component(name="identity")
    g_optimizer: OptimizerConfig = OptimizerConfig()
    d_optimizer: OptimizerConfig = OptimizerConfig()
    ema: EmaConfig = EmaConfig()
    training: TrainingConfig = TrainingConfig()
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _one_batch_at_least(self) -> Experiment:
        cycle = self.training.batch * self.training.d_steps
        if self.training.images < cycle:
            raise ValueError(
                f"training.images is {self.training.images}, less than one cycle of "
                f"{self.training.d_steps} x {self.training.batch} images; raise it to {cycle} or more"
            )
        return self

    @property
    def cycle_images(self) -> int:
        """Real images seen between two generator steps."""
        return self.training.batch * self.training.d_steps

    def replace(self, **changes: Any) -> Experiment:
        """Return a copy with dotted values changed: ``replace(**{"training.batch": 32})``."""
        return with_overrides(self, changes)

    def to_json(self) -> str:
        """Readable JSON of the whole tree; :func:`load_experiment` reads it back."""
        return json.dumps(self.model_dump(), indent=2) + "\n"


def known_keys(path: str) -> list[str]:
    """The keys allowed beside the last part of a dotted path of :class:`Experiment`."""
    section: Any = Experiment
    for part in path.split(".")[:-1]:
        field = getattr(section, "model_fields", {}).get(part)
        if field is None:
            return []
        section = field.annotation
    return sorted(getattr(section, "model_fields", {}))


def parse_experiment(values: Mapping[str, Any]) -> Experiment:
    """Check a plain tree of values; raises :class:`ConfigError` with one line for each mistake."""
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, known_keys=known_keys)) from None


_PRINTED_BESIDE = ("out", "num_classes", "parameters")


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment from a JSON or YAML file of this schema."""
    import yaml  # noqa: PLC0415 - JSON is YAML, so one reader serves both; loaded only when asked

    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give a JSON or YAML file of an experiment")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML or JSON: {error}") from None
    if isinstance(values, dict):  # what `experiments show` and `train --dry-run` print beside it
        values = {key: held for key, held in values.items() if key not in _PRINTED_BESIDE}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, needed: a mapping of sections")
    return parse_experiment({"name": path.stem, **values})


def with_overrides(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """A copy with dotted keys changed; naming another member drops the old member's options."""
    tree = experiment.model_dump()
    for key, value in sorted(changes.items(), key=lambda change: not change[0].endswith(".name")):
        *parents, leaf = key.split(".")
        section = tree
        for depth, part in enumerate(parents):
            if not isinstance(section.get(part), dict):
                known = [name for name, held in section.items() if isinstance(held, dict)]
                place = ".".join(parents[: depth + 1])
                if part in section:
                    raise ConfigError(f"{key}: {place} is a value, which has no parts")
                raise ConfigError(
                    f"{place}: unknown section{suggest(part, known)} "
                    f"Allowed: {', '.join(known) or 'none'}."
                )
            section = section[part]
        if leaf == "name" and parents and section.get("name") != value:
            if parents[-1] in {"generator", "backbone", "head", "augment"}:
                section.clear()
        section[leaf] = value
    return parse_experiment(tree)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``["training.batch=32", "model.head.name=projection"]`` as a mapping; values are YAML scalars."""
    import yaml  # noqa: PLC0415

    changes: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {text!r}: needed: key=value, such as training.batch=32")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text!r}: the value is not readable") from None
        # YAML takes 1e6 and 2e-4, which have no dot, for words.
        is_number = isinstance(parsed, str) and re.fullmatch(r"[+-]?[\d.]+e[+-]?\d+", parsed, re.I)
        changes[key.strip()] = float(parsed) if is_number else parsed
    return changes
