"""Sharing a generator: safetensors, its configuration, a card, and digests. Never a pickle.

A model folder holds ``model.safetensors`` (the averaged generator, with the statistics that fit it),
``config.json`` (the experiment, class names and images seen, which statistics these are, and the digest
of the weights), ``README.md`` (the card), and maybe ``moving.safetensors`` (the statistics that did not
fit), ``discriminator.safetensors`` and further files.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from reacgan import __version__
from reacgan.config import ConfigError, Device, parse_experiment, path_of
from reacgan.devices import find_device
from reacgan.files import flush_entry, flush_folder, naming, own_folder
from reacgan.hub.building import built
from reacgan.hub.card import card
from reacgan.hub.folder import (
    CONFIG,
    DISCRIMINATOR,
    FORMAT,
    MOVING,
    WEIGHTS,
    digest,
    fill,
    model_folder,
    read_config,
    read_weights,
)
from reacgan.hub.places import locate
from reacgan.hub.rereading import steadily
from reacgan.hub.single_file import read_single
from reacgan.models import Discriminator, Generator, build_generator
from reacgan.models.norm_statistics import fit_statistics, statistics_in_words, with_moving
from reacgan.models.trained import NormStatistics, TrainedGenerator
from reacgan.records import sealed
from reacgan.tensors import write_tensors

_LOG = logging.getLogger(__name__)

Stored = Literal["float32", "bfloat16"]
"""How weights are stored; buffers, such as moving averages and singular vectors, stay float32."""


def save(
    model: TrainedGenerator,
    folder: str | Path,
    *,
    beside: Mapping[str, str | bytes] | None = None,
    dtype: Stored | None = None,
    discriminator: Discriminator | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder; an existing one is replaced as a whole.

    Args:
        model: the generator with its configuration and class names, and whether the statistics of its
            batch norms fit (``model.norms``; None is checked on loading).
        folder: where to.
        beside: further files by name, text or bytes; a ``README.md`` replaces the card.
        dtype: of the stored weights: float32, or bfloat16, half as large, which keeps 8 bits of each
            number (buffers stay float32, and loading gives float32 again); None as they are.
        discriminator: stored too, for :func:`load_discriminator`.
        facts: further keys of ``config.json``, plain JSON.

    Raises:
        ConfigError: the folder exists and is something else than a model folder; an unknown dtype;
            another process is writing the same folder.
        OSError: the disk is full or read-only; the folder is as it was.
    """
    folder = path_of(folder).resolve()
    other = folder.exists() and not folder.is_dir()
    if other or (folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).exists()):
        raise ConfigError(f"{folder}: exists and is not a model folder; choose another place")
    if dtype not in (None, *get_args(Stored)):
        raise ConfigError(f"dtype is {dtype!r}; allowed: {', '.join(get_args(Stored))}")
    if model.norms is not None and model.norms.kind == "batch":
        model = with_moving(model)  # a batch's statistics are not stored
    writing = _writing(folder)
    try:
        with own_folder(writing):
            _fill_folder(model, folder, beside or {}, dtype, discriminator, facts or {})
            with naming(folder):
                _put_in_place(writing, folder)
    except BlockingIOError:
        raise ConfigError(
            f"{folder}: another process is writing it at this moment, and its model stays; this one was "
            "not written. Choose another place, or do it again once the other is done, to replace it"
        ) from None
    return folder


def _writing(folder: Path) -> Path:
    return folder.with_name(f".writing-{folder.name}")


def _fill_folder(
    model: TrainedGenerator,
    folder: Path,
    beside: Mapping[str, str | bytes],
    dtype: Stored | None,
    discriminator: Discriminator | None,
    facts: Mapping[str, Any],
) -> None:
    """Write all files of ``folder`` beside it, and to the disk."""
    writing = _writing(folder)
    config: dict[str, Any] = {
        "format": FORMAT,
        "reacgan": __version__,
        "experiment": model.experiment.model_dump(),
        "class_names": list(model.class_names),
        "images_seen": model.images_seen,
        "sha256": _write(stored(model.generator, dtype), WEIGHTS, writing, folder),
    }
    if model.white is not None:
        config["white"] = model.white
    config |= _store_statistics(model.norms, writing, folder)
    if discriminator is not None:
        tensors = stored(discriminator, dtype)
        config["discriminator_sha256"] = _write(tensors, DISCRIMINATOR, writing, folder)
    config = {**facts, **config, **({"dtype": dtype} if dtype else {})}
    files = {"README.md": card(model), **beside}
    files[CONFIG] = json.dumps(sealed(config), indent=2) + "\n"
    for name, content in files.items():
        # A class name can be a folder's name, which may hold bytes that are no UTF-8.
        text = content if isinstance(content, bytes) else content.encode(errors="replace")
        with naming(folder / name):
            (writing / name).write_bytes(text)
    with naming(folder):
        flush_folder(writing)


def _write(tensors: Mapping[str, Tensor], name: str, writing: Path, folder: Path) -> str:
    """Write a file of tensors; returns its digest. Errors name the file in ``folder``."""
    with naming(folder / name):
        write_tensors(tensors, writing / name)
    return digest(writing / name)


def _store_statistics(
    norms: NormStatistics | None, writing: Path, folder: Path
) -> dict[str, object]:
    """The configuration's entries on statistics; other kinds also store the averages of training."""
    if norms is None:
        return {}
    apart = None if norms.distance is None else round(norms.distance, 6)
    facts: dict[str, object] = {"statistics": {"kind": norms.kind, "distance": apart}}
    if norms.moving:
        on_cpu = {name: value.cpu() for name, value in norms.moving.items()}
        facts["moving_sha256"] = _write(on_cpu, MOVING, writing, folder)
    return facts


def stored(network: nn.Module, dtype: Stored | None) -> dict[str, Tensor]:
    """A network's state as it is stored, on the CPU."""
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    learned = {name for name, _ in network.named_parameters()}
    tensors = {}
    for name, value in network.state_dict().items():
        kind = value.dtype
        if dtype is not None and value.is_floating_point():
            kind = kinds[dtype] if name in learned else torch.float32
        tensors[name] = value.detach().to("cpu", kind).contiguous()
    return tensors


def _put_in_place(writing: Path, folder: Path) -> None:
    """Replace a folder by two renames: if interrupted, the old or the new one is complete."""
    old = folder.with_name(f".old-{folder.name}")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        writing.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    flush_entry(folder)
    shutil.rmtree(old, ignore_errors=True)


def settle(folder: Path) -> None:
    """Undo or finish what a killed :func:`save` has left of a model folder; no other may write there."""
    old, writing = (folder.with_name(f".{word}-{folder.name}") for word in ("old", "writing"))
    with suppress(OSError):
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(writing, ignore_errors=True)


def load(path: str | Path, *, device: Device = "auto", check: bool = True) -> TrainedGenerator:
    """The generator of a run folder, model folder or name, in evaluation mode.

    A folder of an earlier version does not say whether the statistics of its batch norms fit its
    weights: that is checked here with a thousand generated images
    (:func:`reacgan.models.norm_statistics.fit_statistics`).

    Args:
        path: a run's folder, its ``model``, or any folder that :func:`save` wrote; a file of
            ``reacgan export --to safetensors``; a name of :func:`reacgan.pretrained`; or
            ``hub:OWNER/NAME``, of the Hugging Face hub.
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        check: False leaves an earlier version's statistics as they are stored.

    Raises:
        ConfigError: nothing to load there, or a file that is damaged or of another version.
    """
    target = find_device(device)
    where, loaded = steadily(path, lambda: _loaded(locate(path)))
    loaded.generator.to(target).eval().requires_grad_(False)
    if not check:
        return loaded
    fitted = fit_statistics(loaded)
    if loaded.norms is None and fitted.norms is not None and fitted.norms.kind == "own":
        _LOG.warning("%s: made with %s", where, statistics_in_words(fitted))
    return fitted


def _loaded(path: Path) -> tuple[Path, TrainedGenerator]:
    """Where the generator of a path is, and it; raises ConfigError."""
    if path.is_file():
        config, tensors, moving = read_single(path)
        file, described_in, at = path, "metadata", path
    else:
        path = model_folder(path)
        config, file, described_in, at = read_config(path), path / WEIGHTS, CONFIG, path / CONFIG
        tensors = read_weights(file, config["sha256"], described_in)
        moving = _moving(path, config)
    facts, norms = config.get("statistics"), None
    if facts is not None:  # else of an earlier version
        norms = NormStatistics(facts["kind"], facts["distance"], moving)
    names = tuple(config["class_names"])

    def build() -> Generator:
        model, data = experiment.model, experiment.data
        return build_generator(model.generator, data, len(names), model.codes)

    try:
        experiment = parse_experiment(config["experiment"])
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}") from None
    generator = built(build, tensors, at)
    fill(generator, tensors, file, described_in)
    return path, TrainedGenerator(
        generator, experiment, names, config["images_seen"], norms, config.get("white")
    )


def _moving(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The averages of training, where the weights hold other statistics; else none."""
    facts = config.get("statistics")
    if facts is None or facts["kind"] == "moving":
        return {}
    return read_weights(folder / MOVING, config.get("moving_sha256"), CONFIG)
