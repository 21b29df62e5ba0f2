"""A trained generator together with what is needed to use it."""

from __future__ import annotations

import operator
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from reacgan.config import ConfigError, Experiment, check_kind, size_of, suggest
from reacgan.files import as_text
from reacgan.models.base import Generator
from reacgan.outlook import white_in_words
from reacgan.tensors import tensors_digest
from reacgan.text import one_line

if TYPE_CHECKING:
    from reacgan.models.discriminator import Discriminator


@dataclass(frozen=True)
class NormStatistics:
    """Which statistics the batch norms of a generator use."""

    kind: Literal["moving", "own", "batch", "standing"]
    """The averages of training; those of the generator's own weights; those of each batch; or standing
    statistics."""
    distance: float | None
    """Distance of the averages of training from its own
    (:func:`reacgan.models.norm_statistics.distance`); None where its own are not finite, or were not
    computed."""
    moving: Mapping[str, Tensor] = field(default_factory=dict)
    """With other kinds than ``moving``: the averages of training, by their names in the state."""


@dataclass(frozen=True, repr=False)
class TrainedGenerator:
    """The averaged generator of a run, in evaluation mode, and what its labels mean."""

    generator: Generator
    experiment: Experiment
    class_names: tuple[str, ...]
    images_seen: int
    norms: NormStatistics | None = None
    """None until it was checked whether the stored statistics fit the weights."""
    white: float | None = None
    """The value that became 255 where the training images had more than 8 bits, such as 4095."""

    @property
    def values_in_words(self) -> str:
        """How pixels map back to the values of such training images; empty for others."""
        return white_in_words(self.white)

    def __repr__(self) -> str:
        data = self.experiment.data
        size = " x ".join(map(str, (data.channels, *size_of(data.resolution))))
        names = ", ".join(self.class_names[:5]) + (", ..." if len(self.class_names) > 5 else "")
        noun = "class" if len(self.class_names) == 1 else "classes"
        return (
            f"<{type(self).__name__} {self.experiment.name}: {len(self.class_names)} {noun} ({names}), "
            f"{size} pixels, {self.images_seen:,} images seen, on {self.device}>"
        )

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.generator.parameters()).device

    @property
    def latent_dim(self) -> int:
        """Length of z."""
        length: Any = self.generator.latent_dim
        return int(length)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over names, types, shapes and values of the generator's tensors.

        The same weights have the same digest in whatever file and at whatever time they are loaded: it
        is what generated data sets and exported files name as their model.
        """
        return tensors_digest(self.generator.state_dict())

    def class_indices(self, classes: Sequence[int | str] | str | int) -> list[int]:
        """Labels from indices, names, a comma-separated mixture of both, or ``"all"``.

        Raises:
            ConfigError: a class that this generator does not know, or none at all.
        """
        if isinstance(classes, str) and classes.strip() == "all":
            return list(range(len(self.class_names)))
        if isinstance(classes, str):
            # A name may itself hold a comma, so the whole text is tried first.
            classes = as_text(classes)
            named = self._named(classes)
            parts: Iterable[Any] = split_names(classes) if named is None else [named]
        else:
            parts = classes if isinstance(classes, Iterable) else [classes]
        indices = [self._index(part) for part in parts]
        if not indices:
            raise ConfigError(f"classes is {classes!r}, which names none; {self._known()}")
        return indices

    def _named(self, text: str) -> int | None:
        """The index of a class name: an exact match first, then without outer spaces and Unicode form."""
        for form in (text, text.lstrip(), text.strip()):
            if form in self.class_names:
                return self.class_names.index(form)
        composed = [unicodedata.normalize("NFC", name) for name in self.class_names]
        for form in (text, text.lstrip(), text.strip()):
            wanted = unicodedata.normalize("NFC", form)
            if composed.count(wanted) == 1:
                return composed.index(wanted)
        return None

    def _known(self) -> str:
        last = len(self.class_names) - 1
        shown = ", ".join(map(one_line, self.class_names[:12])) + (" ..." if last >= 12 else "")
        return f"Known: {shown}; or an index from 0 to {last}, or all"

    def _index(self, part: Any) -> int:
        named = self._named(part) if isinstance(part, str) else None
        if named is not None:
            return named
        part = part.strip() if isinstance(part, str) else part
        last = len(self.class_names) - 1
        try:
            index = int(part) if isinstance(part, str) else operator.index(part)
        except (TypeError, ValueError):
            hint = suggest(str(part), self.class_names)
            raise ConfigError(f"unknown class {part!r}{hint} {self._known()}.") from None
        if isinstance(part, bool) or not 0 <= index <= last:
            raise ConfigError(f"class index is {part}; allowed: 0 to {last}, a class name, or all")
        return index


def check_model(model: Any) -> None:
    """See that something is a trained generator; raises ConfigError that says how to get one."""
    check_kind("model", model, TrainedGenerator, "a trained generator, such as reacgan.load(RUN)")


def split_names(text: str) -> list[str]:
    """Names between commas; a comma at the end says nothing more.

    Raises:
        ConfigError: two commas with nothing between them, or one at the beginning.
    """
    parts = text.split(",")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    if not all(part.strip() for part in parts):
        raise ConfigError(
            f"classes is {text!r}, with nothing before a comma; needed: names or indices separated by "
            "commas, such as 3,7, or all"
        )
    return parts


@dataclass(frozen=True)
class TrainedState:
    """A state of a run, or the generator of a model folder, and how it was chosen."""

    name: str
    """Of the run or model, for people."""
    model: TrainedGenerator
    selection: Mapping[str, Any] = field(default_factory=lambda: {"checkpoint": "as it is"})
    """For protocols; by default a state that no score has chosen."""
    notes: tuple[str, ...] = ()
    load_discriminator: Callable[[], Discriminator] | None = None
