"""The schema of an experiment: one frozen, strict tree of plain values.

Nothing here imports torch or any other part of the package, so a configuration can be read,
checked and printed anywhere. A family's member (a head, a generator, an augmentation, ...) is a
:class:`Component`: its registered ``name`` and the keyword options of its constructor. The options
are checked against that constructor's own signature by :func:`check_options`, so a new member
needs no change here.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError, model_validator

from reacgan.config.home import path_of
from reacgan.config.members import (
    PARTS,
    check_member_options,
    check_members,
    check_some_member_takes,
)
from reacgan.config.reading import read_scalar, read_values
from reacgan.config.registry import ConfigError, explain
from reacgan.config.reporting import ReportConfig, ScoresConfig, WatchConfig
from reacgan.config.resolution import neighbours
from reacgan.config.sections import (
    ApaConfig,
    Component,
    Components,
    DataConfig,
    EmaConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    Schema,
    SpeedConfig,
    TrainingConfig,
    named_options,
)
from reacgan.config.synonyms import key_meaning


class Experiment(Schema):
    """A complete, named configuration: everything that a run depends on."""

    name: str
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    penalties: Components = Field(default_factory=dict)
    """Terms that need gradients or statistics of D: r1, gradient_penalty, lecam, path_length, ..."""
    consistency: Components = Field(default_factory=dict)
    """Terms that compare what D says of two views: cr, bcr, zcr, feature_matching."""
    augment: Component = Component(name="identity")
    """What D's images go through: identity, diffaug, ada."""
    apa: ApaConfig | None = None
    """Fakes that pose as real; None for none."""
    g_optimizer: OptimizerConfig = OptimizerConfig()
    d_optimizer: OptimizerConfig = OptimizerConfig()
    ema: EmaConfig = EmaConfig()
    training: TrainingConfig = TrainingConfig()
    report: ReportConfig = ReportConfig()
    watch: WatchConfig = WatchConfig()
    scores: ScoresConfig = ScoresConfig()
    speed: SpeedConfig = SpeedConfig()

    @model_validator(mode="after")
    def _one_batch_at_least(self) -> Experiment:
        cycle = self.training.batch * self.training.d_steps
        if self.training.images < cycle:
            raise ValueError(
                f"training.images is {self.training.images}, less than one cycle of "
                f"{self.training.d_steps} x {self.training.batch} images; raise it to {cycle} or more"
            )
        return self

    @model_validator(mode="after")
    def _whole_parts(self) -> Experiment:
        if self.training.batch % self.training.accumulate:
            raise ValueError(
                f"training.batch is {self.training.batch}, which training.accumulate "
                f"({self.training.accumulate}) does not divide; take a batch such as "
                f"{neighbours(self.training.batch, self.training.accumulate)}"
            )
        in_parts = self.training.accumulate > 1 or self.training.per_process is not None
        if in_parts and self.loss.latent_optimisation is not None:
            raise ValueError(
                "loss.latent_optimisation does not work with training.accumulate and training.per_process: "
                "each move of z would need the whole batch; set them to 1 and null"
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
        choices = (field.annotation, *get_args(field.annotation))  # a section, or None
        section = next((choice for choice in choices if hasattr(choice, "model_fields")), None)
    return sorted(getattr(section, "model_fields", {}))


def known_paths(section: Any = Experiment, prefix: str = "") -> list[str]:
    """The dotted paths of all values of an experiment, options of members left out."""
    paths: list[str] = []
    for name, field in section.model_fields.items():
        choices = (field.annotation, *get_args(field.annotation))  # a section, or None
        inner = next((choice for choice in choices if hasattr(choice, "model_fields")), None)
        if inner is None or inner is Component:
            paths.append(prefix + name)
        else:
            paths += known_paths(inner, f"{prefix}{name}.")
    return paths


def parse_experiment(values: Mapping[str, Any]) -> Experiment:
    """Check a plain tree of values; raises :class:`ConfigError` with one line for each mistake."""
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> ConfigError:
    return ConfigError(explain(error, known_keys=known_keys, paths=known_paths()))


_COMPONENTS = ("penalties", "consistency", "scores.metrics")
_PRINTED_BESIDE = ("out", "num_classes", "parameters", "published", "notes", "memory")


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment from a JSON or YAML file of this schema.

    Raises:
        ConfigError: no such file, or one that cannot be used; options of members are checked by name,
            except those of members that are registered later.
    """
    experiment = read_experiment(path)
    with _naming(path):
        check_member_options(experiment, paths=known_paths())
    return experiment


def read_experiment(path: str | Path) -> Experiment:
    """As :func:`load_experiment`, but members may have options that they do not take here.

    For what a run has recorded, perhaps with another version.

    Raises:
        ConfigError: no such file, or one that is no experiment.
    """
    path = path_of(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give a JSON or YAML file of an experiment")
    values = read_values(path)
    if isinstance(values, dict):  # what `experiments show` and `train --dry-run` print beside it
        values = {key: values[key] for key in values if key not in _PRINTED_BESIDE}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, needed: a mapping of sections")
    with _naming(path):
        return parse_experiment({"name": path.stem, **values})


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """What is wrong with a file's values is said with the file's name."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def with_overrides(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """A copy with dotted keys changed; naming another member drops the old member's options.

    The order of the changes does not matter: sections come before their parts, names before options.

    Raises:
        ConfigError: an unknown key, a member that nobody has registered, or an option that it does not
            take.
    """
    changed = parse_experiment(_changed(experiment, changes))
    check_members(changed, experiment, paths=known_paths())
    return changed


def check_changes(changes: Mapping[str, Any]) -> None:
    """See that values can be set, whatever experiment they will be set in; takes no time.

    What depends on other values (a batch, and the parts it is worked off in) is left to
    :func:`with_overrides`, and so are the values of options of members.

    Raises:
        ConfigError: an unknown key, member or option, or a value outside its range.
    """
    fixed: dict[str, Any] = {}
    for key, value in changes.items():
        part, _, option = key.rpartition(".")
        owner = "data" if part == "data.options" else part.removesuffix(".over")
        decided = {part, owner, f"{owner}.name", f"{part}.name"} & changes.keys()
        if part in PARTS and option != "name" and not decided:
            check_some_member_takes(part, option, paths=known_paths())
        else:
            fixed[key] = value
    usual = Experiment(name="new")
    try:
        changed = Experiment.model_validate(_changed(usual, fixed))
    except ValidationError as error:
        if error.errors()[0]["loc"]:  # else of the whole, of which other values may still change
            raise _explained(error) from None
        return
    check_members(changed, usual, paths=known_paths())


def _changed(experiment: Experiment, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of an experiment with dotted keys changed, not yet checked."""
    tree = experiment.model_dump()
    for key in sorted(changes, key=lambda key: (key.count("."), not key.endswith(".name"))):
        *parents, leaf = key.split(".")
        value = copy.deepcopy(changes[key])
        if key in _COMPONENTS:
            with suppress(ValueError):  # what is wrong with it is said of the whole tree, below
                value = named_options(value)
        section = tree
        for depth, part in enumerate(parents):
            if depth == 1 and parents[0] in _COMPONENTS:  # naming a member adds it
                section.setdefault(part, {})
            elif part == "over" and parents[:2] == ["model", "head"]:  # a name, or the default one
                over = section.get("over") or {}
                section[part] = {"name": over} if isinstance(over, str) else over
            elif isinstance(section, dict) and section.get(part, 0) is None:  # and so do values
                section[part] = {}
            if not isinstance(section.get(part), dict):
                known = [name for name, values in section.items() if isinstance(values, dict)]
                path = ".".join(parents[: depth + 1])
                if part in section:
                    raise ConfigError(f"{key}: {path} is a value, which has no parts")
                hint = key_meaning(part, known, ())
                raise ConfigError(
                    f"{path}: unknown section{hint} Allowed: {', '.join(known) or 'none'}."
                )
            section = section[part]
        if leaf == "name" and parents and section.get("name") != value:
            if parents[-1] in {"generator", "backbone", "head", "augment", "over"}:
                section.clear()
            if parents == ["data"]:
                section["options"] = {}
        section[leaf] = value
    return tree


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``["training.batch=32", "model.head.name=projection"]`` as a mapping; values are YAML scalars."""
    changes: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {text!r}: needed: key=value, such as training.batch=32")
        try:
            changes[key.strip()] = read_scalar(value)
        except ConfigError as error:
            raise ConfigError(f"--set {text!r}: {error}") from None
    return changes
