"""A trained generator as people use it: loaded, called with a class, moved, saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, overload

from reacgan import hub
from reacgan.config import Device
from reacgan.devices import find_device
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import SampleSequence, SamplingSettings, sample


@dataclass(frozen=True, repr=False)
class Model(TrainedGenerator):
    """A trained generator with its classes: ``model("cat", num=4)`` gives images.

    ``generator`` is the network itself, a plain ``torch.nn.Module`` in evaluation mode, called with
    latents [N, latent_dim] and labels [N]; ``class_names`` says what the labels mean, ``experiment`` how
    it was trained. All that takes a :class:`~reacgan.models.trained.TrainedGenerator` takes this.
    """

    @classmethod
    def of(cls, trained: TrainedGenerator) -> Model:
        """The same generator with these methods."""
        return cls(**{field.name: getattr(trained, field.name) for field in fields(trained)})

    def __call__(
        self, classes: Sequence[int | str] | str | int = "all", num: int = 1, **options: Any
    ) -> SampleSequence:
        """As :meth:`sample`."""
        return self.sample(classes, num, **options)

    def sample(
        self,
        classes: Sequence[int | str] | str | int = "all",
        num: int = 1,
        settings: SamplingSettings | None = None,
        **options: Any,
    ) -> SampleSequence:
        """Images of classes, generated when they are looked at; see :func:`reacgan.sample`.

        Args:
            classes: ``"all"``, a name or an index, or several of them.
            num: images of each class.
            settings: how images are generated.
            options: individual settings: seed, truncation, psi, layers, statistics, precision, langevin.

        Raises:
            ConfigError: an unknown class or setting, or a value out of range.
        """
        return sample(
            self, classes, num, SamplingSettings() if settings is None else settings, **options
        )

    def to(self, device: Device) -> Model:
        """Move the generator itself, as ``torch.nn.Module.to`` does; returns this model.

        Raises:
            ConfigError: no such device here.
        """
        self.generator.to(find_device(device))
        return self

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a model folder, which :func:`reacgan.load` reads; see :func:`reacgan.save`."""
        return hub.save(self, path, **options)


def load(path: str | Path, *, device: Device = "auto", check: bool = True) -> Model:
    """The generator of a run folder, model folder or name, in evaluation mode.

    Args:
        path: a run's folder, its ``model``, or any folder that :func:`reacgan.save` wrote; a name of
            :func:`reacgan.pretrained`; or ``hub:OWNER/NAME``, of the Hugging Face hub.
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        check: False leaves an earlier version's statistics of batch norms as they are stored; else it is
            checked whether they fit the weights, with a thousand generated images.

    Raises:
        ConfigError: nothing to load there, or a file that is damaged or of another version.
    """
    return Model.of(hub.load(path, device=device, check=check))


@overload
def from_pretrained(
    named: str | Path,
    *,
    device: Device = ...,
    revision: str | None = ...,
    discriminator: Literal[False] = ...,
) -> Model: ...


@overload
def from_pretrained(
    named: str | Path,
    *,
    device: Device = ...,
    revision: str | None = ...,
    discriminator: Literal[True],
) -> tuple[Model, Discriminator]: ...


def from_pretrained(
    named: str | Path,
    *,
    device: Device = "auto",
    revision: str | None = None,
    discriminator: bool = False,
) -> Model | tuple[Model, Discriminator]:
    """A trained generator by path, by name, or from the Hugging Face hub, in evaluation mode.

    Args:
        named: the folder of a run or model; a name of :func:`reacgan.pretrained`; or ``OWNER/NAME``, a
            repository of the hub, if no path or name matches.
        device: as in :func:`reacgan.load`.
        revision: of a repository: a branch, tag or commit.
        discriminator: whether to load it too.

    Returns:
        The generator; with ``discriminator`` it and the discriminator.

    Raises:
        ConfigError: nothing there, no network for a repository that is not in the cache, damaged files.
    """
    folder = hub.locate(named, revision=revision, ids=True)
    model = load(folder, device=device)
    return (model, hub.load_discriminator(folder, device=device)) if discriminator else model
