"""A trained generator together with what is needed to use it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from reacgan.config import ConfigError, Experiment, size_of, suggest
from reacgan.files import as_text
from reacgan.models.base import Generator

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
        if self.white is None:
            return ""
        return (
            f"the training images had more than 8 bits, of which 0 to {self.white:,g} became 0 to 255: "
            f"value = pixel / 255 * {self.white:g}, in steps of {self.white / 255:.3g}"
        )

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

    def class_indices(self, classes: Sequence[int | str] | str | int) -> list[int]:
        """Labels from indices, names, a comma-separated mixture of both, or ``"all"``.

        Raises:
            ConfigError: a class that this generator does not know.
        """
        if isinstance(classes, str) and classes.strip() == "all":
            return list(range(len(self.class_names)))
        if isinstance(classes, str):
            # A name may itself hold a comma, so the whole text is tried first.
            classes = as_text(classes)
            named = self._named(classes)
            parts: Sequence[int | str] = classes.split(",") if named is None else [named]
        else:
            parts = [classes] if isinstance(classes, int) else classes
        return [self._index(part) for part in parts]

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

    def _index(self, part: int | str) -> int:
        named = self._named(part) if isinstance(part, str) else None
        if named is not None:
            return named
        part = part.strip() if isinstance(part, str) else part
        last = len(self.class_names) - 1
        try:
            index = int(part)
        except ValueError:
            shown = ", ".join(self.class_names[:12]) + (" ..." if last >= 12 else "")
            hint = suggest(str(part), self.class_names)
            raise ConfigError(
                f"unknown class {part!r}{hint} Known: {shown}; or an index from 0 to {last}, or all."
            ) from None
        if not 0 <= index <= last:
            raise ConfigError(f"class index is {index}; allowed: 0 to {last}, a class name, or all")
        return index


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
