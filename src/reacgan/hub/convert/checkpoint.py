"""Conversion of a published checkpoint to a model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

from reacgan.assembly import complete
from reacgan.config import ConfigError, Experiment, path_of
from reacgan.files import digest_of
from reacgan.hub.building import unfilled
from reacgan.hub.card import card
from reacgan.hub.convert.advice import advice
from reacgan.hub.convert.names import OURS_ALONE, Names, names_of, published_layer, with_empty_table
from reacgan.hub.convert.reading import PublishedNetwork, find_files, read_published
from reacgan.hub.models import save
from reacgan.models import Discriminator, Generator, build_discriminator, build_generator
from reacgan.models.norm_statistics import fit_statistics
from reacgan.models.trained import TrainedGenerator

InPlace = bool | Literal["auto"]

MEMBERS = ("biggan", "resnet")
_LISTED = 12

Network = TypeVar("Network", Generator, Discriminator)


def convert_checkpoint(
    path: str | Path,
    experiment: Experiment,
    *,
    out: str | Path,
    class_names: Sequence[str] | None = None,
    discriminator: str | Path | None = None,
    in_place_relu: InPlace = "auto",
    use_average: bool = True,
    unused: Sequence[str] = (),
) -> Path:
    """Convert the published weights of a BigGAN-type generator, and of its discriminator.

    Only tensors are read; no code in the files runs. Every tensor must be known and fit.

    Args:
        path: the generator's ``.pth``, or the folder that holds ``model=G_ema-best-...pth`` and, if
            it is there, ``model=D-best-...pth``.
        experiment: the one with these networks; its sizes and options must match the files.
        out: the model folder to write.
        class_names: one name a class, in the order of the labels; None numbers them. A generator
            without labels needs at least one; all its classes are the same.
        discriminator: its ``.pth``; None takes the one beside the generator in a folder.
        in_place_relu: whether the network was trained with in-place ReLUs, so that shortcuts of the
            discriminator get ReLU(x): option ``preactivated_shortcut`` of the backbone. ``"auto"``
            means yes, as in published code; with batch norm there is no difference.
        use_average: of a folder, the averaged generator instead of the trained one.
        unused: prefixes of names of tensors in the files that no output depends on, such as layers that
            a version of the published code built and never used.

    Returns:
        The model folder, for :func:`reacgan.load` and ``load_discriminator``. Its configuration
        and card hold names and SHA-256 of the files.

    Raises:
        ConfigError: a file that is missing, damaged, holds code, or does not fit the experiment
            (lists what is unknown, missing or of another shape), or a member without published
            counterpart.
    """
    experiment = _with_shortcut(_supported(experiment), in_place_relu)
    generator_file, beside = find_files(path_of(path), use_average=use_average)
    discriminator_file = beside if discriminator is None else path_of(discriminator)
    files = [
        read_published(file) for file in (generator_file, discriminator_file) if file is not None
    ]
    chunked = experiment.model.generator.name == "biggan"
    names = _class_names(files[0], class_names, chunked=chunked)
    if chunked:
        shared_dim = experiment.model.generator.options["shared_dim"]
        tensors = with_empty_table(files[0].tensors, len(names), shared_dim)
        files[0] = replace(files[0], tensors=tensors)
    model, data = experiment.model, experiment.data
    generator = unfilled(lambda: build_generator(model.generator, data, len(names)))
    faults = _fill(generator, files[0], unused)
    network = None
    if len(files) > 1:
        network = unfilled(
            lambda: build_discriminator(model.backbone, model.head, data, len(names))
        )
        faults += _fill(network, files[1], unused)
    if faults:
        hint = advice(files[0].tensors, files[1].tensors if len(files) > 1 else None, experiment)
        raise ConfigError("\n".join([*faults, hint]))
    generator = generator.eval().requires_grad_(False)
    images_seen = _images_seen(files, experiment)
    trained = fit_statistics(TrainedGenerator(generator, experiment, names, images_seen))
    sources = {file.path.name: digest_of(file.path) for file in files}
    return save(
        trained,
        out,
        beside={"README.md": card(trained, sections={"Source": _source(sources)})},
        discriminator=network,
        facts={"converted": {"files": sources, "unused": list(unused)}},
    )


def _source(sources: Mapping[str, str]) -> str:
    files = "\n".join(f"- `{name}`, SHA-256 `{digest}`" for name, digest in sources.items())
    return (
        "These weights were trained and published by others, as the files below, and converted to "
        "this package's names. Their publisher's terms hold. The configuration is the one that they "
        f"were converted with; which images they were trained on, the files do not tell.\n\n{files}"
    )


def _supported(experiment: Experiment) -> Experiment:
    model = experiment.model
    for part, name in (("generator", model.generator.name), ("backbone", model.backbone.name)):
        if name not in MEMBERS:
            raise ConfigError(
                f"model.{part} is {name}, for which no published names are known; known: "
                f"{', '.join(MEMBERS)}"
            )
    experiment = complete(experiment)
    model, data = experiment.model, experiment.data
    network = unfilled(
        lambda: build_discriminator(model.backbone, model.head, data, 2, model.codes)
    )
    try:
        for name in network.head.state_dict():
            layer, _, leaf = name.rpartition(".")
            if leaf != OURS_ALONE:
                published_layer(layer)
    except KeyError as error:
        raise ConfigError(
            f"model.head is {model.head.name}, for which no published names are known (layer {error})"
        ) from None
    return experiment


def _with_shortcut(experiment: Experiment, in_place_relu: InPlace) -> Experiment:
    if in_place_relu not in (True, False, "auto"):
        raise ConfigError(f"in_place_relu is {in_place_relu!r}; allowed: True, False, 'auto'")
    key = "model.backbone.preactivated_shortcut"
    return experiment.replace(**{key: bool(in_place_relu)})


_MOST_CLASSES = 100_000


def _class_names(
    file: PublishedNetwork, given: Sequence[str] | None, *, chunked: bool
) -> tuple[str, ...]:
    """The names, one a class of the generator; ``chunked``: its norms take chunks of z."""
    count = _count_classes(file.tensors, chunked=chunked)
    if count is None and not given:
        raise ConfigError(f"{file.path}: does not tell its classes; give class_names")
    if count is not None and count > _MOST_CLASSES:
        raise ConfigError(f"{file.path}: {count:,} classes; allowed: {_MOST_CLASSES:,} at most")
    if given is None:
        return tuple(str(number) for number in range(count or 0))
    if count is not None and len(given) != count:
        raise ConfigError(
            f"class_names are {len(given)}, but {file.path} is a generator of {count} classes; give "
            "one name for each, in the order of its labels"
        )
    return tuple(given)


def _count_classes(tensors: dict[str, Tensor], *, chunked: bool) -> int | None:
    shared = tensors.get("shared.weight")
    if shared is not None:
        return len(shared)
    if chunked:  # without a table its norms take z alone
        return None
    # Classes enter as one-hot rows.
    for end in ("weight_orig", "weight"):
        gain = tensors.get(f"blocks.0.0.bn1.gain.{end}")
        if gain is not None and gain.dim() == 2:
            return gain.shape[1]
    return None


def _images_seen(files: Sequence[PublishedNetwork], experiment: Experiment) -> int:
    """Images seen, from the steps of the generator; 0 where no file holds them."""
    steps = [file.step for file in files if file.step is not None]
    images = experiment.training.batch * experiment.training.d_steps
    return max(steps, default=0) * images


def _fill(network: Network, file: PublishedNetwork, unused: Sequence[str]) -> list[str]:
    """Load the tensors of a file into a network; returns what does not fit, and then loads none."""
    names: Names = names_of(network)
    needed = {name: value.shape for name, value in network.state_dict().items()}
    taken = {name: file.tensors.get(theirs) for name, theirs in names.of.items()}
    known = {*names.of.values(), *names.passed_over}
    missing, wrong, tensors = [], [], {}
    for name, value in taken.items():
        if value is None:
            missing.append(names.of[name])
        elif value.shape != needed[name]:
            wrong.append(f"{names.of[name]} {list(value.shape)} (needed {list(needed[name])})")
        elif not value.is_floating_point():
            wrong.append(f"{names.of[name]} ({value.dtype}, needed floating point)")
        elif not bool(value.float().isfinite().all()):
            wrong.append(f"{names.of[name]} (NaN or infinity)")
        else:
            tensors[name] = value.float().contiguous().clone()
    unknown = [
        name for name in file.tensors if name not in known and not name.startswith(tuple(unused))
    ]
    kinds = (("missing", missing), ("wrong", wrong), ("unknown", unknown))
    said = [f"{word}: {_some(listed)}" for word, listed in kinds if listed]
    if said:
        role = "generator" if isinstance(network, Generator) else "discriminator"
        return [f"{file.path}: not the experiment's {role}. " + "; ".join(said)]
    for name, shape in needed.items():
        if name.split(".")[-1] == OURS_ALONE:
            tensors[name] = torch.ones(shape)
    network.load_state_dict(tensors, assign=True)
    return []


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
