"""A generator written in another tool's format, and compared with the generator it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from reacgan.config import (
    ConfigError,
    check_choice,
    check_kind,
    check_whole,
    lookup,
    path_of,
    refuse_unwritable,
)
from reacgan.exporting.metadata import Metadata, metadata_of
from reacgan.exporting.onnx_file import OPSET, check_opset, onnx_unread, read_onnx, write_onnx
from reacgan.exporting.plain import Output, PlainGenerator, Runner, as_it_is, plain_generator
from reacgan.exporting.torch_files import (
    read_program,
    read_torchscript,
    write_program,
    write_torchscript,
)
from reacgan.files import flush_to_disk, naming, replacing, scratch_folder
from reacgan.hub import load
from reacgan.hub.single_file import write_single
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.images import generate
from reacgan.sampling.latents import latents_for
from reacgan.sampling.statistics import Statistics, with_statistics

BATCHES = (1, 3, 8)
"""Sizes of batch at which a file is checked."""
TOLERANCE = 1e-4
"""Largest difference allowed, of images from -1 to 1."""
HALF_TOLERANCE = 0.05
"""The same with float16: six of 255 grey levels. Trained generators differ by about a tenth of it."""


@dataclass(frozen=True)
class Exporter:
    """A format: how its file is written and run again."""

    suffix: str
    write: Callable[..., None]
    """(plain, path, metadata); ONNX also ``opset``."""
    read: Callable[[Path], Runner]
    unread: Callable[[], str | None] = lambda: None
    """Why its files cannot be run here."""


EXPORTERS: Mapping[str, Exporter] = {
    "onnx": Exporter(".onnx", write_onnx, read_onnx, onnx_unread),
    "torchscript": Exporter(".torchscript", write_torchscript, read_torchscript),
    "torch-export": Exporter(".pt2", write_program, read_program),
}
"""Formats that hold a network; ``safetensors`` holds weights alone."""
SUFFIXES = {
    **{name: kind.suffix for name, kind in EXPORTERS.items()},
    "safetensors": ".safetensors",
}
_FORMAT_OF = {suffix: name for name, suffix in SUFFIXES.items()}
_ALSO = {"torchscript": (".pt", ".ts")}
"""Other usual endings, which say too little by themselves: they need ``to``."""
FORMATS = tuple(SUFFIXES)


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    to: str
    metadata: Metadata
    tolerance: float
    """Largest difference allowed; images are from -1 to 1, bytes from 0 to 255."""
    batches: tuple[int, ...] = BATCHES
    """Sizes of batch at which it was compared."""
    difference: float | None = None
    """The largest there was; None where the file could not be run here."""
    unchecked: str | None = None
    """Why it could not."""
    latents: Path | None = None
    """The table of latents, where one was asked for."""


def export(
    model: TrainedGenerator | str | Path,
    to: str | None = None,
    out: str | Path | None = None,
    *,
    output: Output = "float32",
    half: bool = False,
    psi: bool = False,
    statistics: Statistics | None = None,
    opset: int = OPSET,
    latents: int = 0,
    overwrite: bool = False,
) -> Exported:
    """Write a generator as a file of another tool, then run it and compare.

    ONNX, TorchScript and ``torch.export`` files hold the network with constant weights: inputs ``z``
    float32 [batch, latent_dim] and ``class`` int64 [batch], output ``images`` [batch, C, H, W], any size
    of batch. safetensors holds the weights, for :func:`reacgan.load`. A file that differs from its
    generator by more than the tolerance is not kept.

    Args:
        model: from :func:`reacgan.load`, or what that takes.
        to: onnx, torchscript, torch-export or safetensors; None for that of the suffix of ``out``, or
            onnx where there is none.
        out: the file, or an existing folder for it; by default the model's name and the format's suffix,
            in this folder.
        output: images from -1 to 1, or bytes (uint8, 0 to 255).
        half: float16 convolutions and products (safetensors: weights); inputs and output stay float32.
        psi: whether truncation of styles is a third input, float32 [1].
        statistics: of batch norms, as :func:`reacgan.sample` takes them; None for the model's own, from a
            folder those that fit (auto).
        opset: of ONNX: version of the operators, 18 to 23.
        latents: also write the z and images of so many seeds as ``<out>.latents.npz``.
        overwrite: whether an existing file is replaced.

    Raises:
        ConfigError: an unknown format or suffix, or one that contradicts the other; an option that it has
            not; an existing file, or one that cannot be written; a package that is not installed; a file
            that differs.
    """
    to = to or _format_of(out)
    _check(to, output, psi=psi, opset=opset, latents=latents, half=half, overwrite=overwrite)
    if isinstance(model, TrainedGenerator):
        loaded, name = model, model.experiment.name.replace("/", "-")
    else:
        loaded, name = load(model, device="cpu", check=statistics is None), _name_of(Path(model))
    loaded = loaded if statistics is None else with_statistics(loaded, statistics)
    path = _path(to, out, name)
    table = path.with_name(f"{path.name}.latents.npz") if latents else None
    for file in filter(None, (path, table)):
        if file.is_dir() or (file.exists() and not overwrite):
            raise ConfigError(f"{file}: exists already; give another file (--out), or --overwrite")
    plain = plain_generator(loaded.generator, output=output, half=half, psi=psi)
    metadata = metadata_of(loaded, plain, half=half, name=name)
    metadata |= {"opset": opset} if to == "onnx" else {}
    metadata |= {"precision": "float16 weights"} if to == "safetensors" and half else {}
    reference = as_it_is(loaded.generator, output=output, psi=psi)
    with _in_place_of(path) as writing:
        if to == "safetensors":
            write_single(loaded, writing, metadata, half=half)
            reader: Callable[[Path], Runner] = _read_weights
            unread = None
        else:
            exporter = EXPORTERS[to]
            options: dict[str, Any] = {"opset": opset} if to == "onnx" else {}
            exporter.write(plain, writing, metadata, **options)
            reader, unread = exporter.read, exporter.unread()
        done = Exported(path, to, metadata, _tolerance(output, half), unchecked=unread)
        if unread is None:
            done = replace(done, difference=_difference(reader(writing), reference))
            _refuse_different(done)
    if table is not None:
        _write_latents(loaded, latents, table)
    return replace(done, latents=table)


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """A file of this name in a folder of its own; what is there comes to ``path`` when the block ends."""
    with naming(path), scratch_folder(path, ".exporting-") as folder:
        yield folder / path.name
        written = [file for file in folder.iterdir() if file.name.startswith(path.name)]
        for file in sorted(written, reverse=True):  # weights apart before their network
            flush_to_disk(file)
            file.replace(path.with_name(file.name))


def _check(to: str, output: str, *, psi: bool, opset: int, latents: int, **flags: bool) -> None:
    lookup("format", dict.fromkeys(FORMATS), to)
    check_choice("output", output, get_args(Output))
    for name, flag in flags.items():
        check_kind(name, flag, bool, "True or False")
    check_whole("latents", latents, least=0, most=1_000_000)
    check_kind("psi", psi, bool, "True (psi becomes an input) or False")
    if to == "safetensors" and (psi or output != "float32"):
        raise ConfigError(
            "safetensors holds weights and no network, so output and psi are nothing to it; leave them out"
        )
    if to == "onnx":
        check_opset(opset)
    elif opset != OPSET:
        raise ConfigError(f"opset is {opset}, but {to} has none; leave it out, or choose onnx")


def _name_of(path: Path) -> str:
    """Of a model that was given by its path or name."""
    name = path.name if path.name not in ("", ".", "..") else path.resolve().name
    if name in ("model", "best") and path.resolve().parent.name:
        name = path.resolve().parent.name
    return name.removesuffix(".safetensors").rpartition(":")[2]


def _path(to: str, out: str | Path | None, name: str) -> Path:
    """Where to write; raises ConfigError where it cannot be, or the suffix is another format's."""
    path = Path(f"{name}{SUFFIXES[to]}") if out is None else path_of(out)
    if _is_folder(path):
        path /= f"{name}{SUFFIXES[to]}"
    suffix = path.suffix.lower()
    other = _FORMAT_OF.get(suffix, to)
    if other != to:
        raise ConfigError(
            f"{path}: its suffix is that of {other}, but the format is {to}; choose {SUFFIXES[to]}, or "
            f"--to {other}"
        )
    endings = (SUFFIXES[to], *_ALSO.get(to, ()))
    return refuse_unwritable(path, "file", endings=endings if suffix else ())


def _format_of(out: str | Path | None) -> str:
    """By the suffix of a file; raises ConfigError where it is no format's."""
    path = Path() if out is None else path_of(out)
    suffix = path.suffix.lower()
    if not suffix or _is_folder(path):
        return "onnx"
    if suffix not in _FORMAT_OF:
        formats = ", ".join(f"{ending} ({name})" for ending, name in _FORMAT_OF.items())
        raise ConfigError(
            f"{out}: the ending {suffix} is no format's; allowed: {formats}, or choose one by --to"
        )
    return _FORMAT_OF[suffix]


def _is_folder(path: Path) -> bool:
    with suppress(OSError):  # a name that no file can have is told of later
        return path.is_dir()
    return False


def _tolerance(output: Output, half: bool) -> float:
    allowed = HALF_TOLERANCE if half else TOLERANCE
    return allowed if output == "float32" else max(round(allowed * 127.5), 1)


def _read_weights(path: Path) -> Runner:
    return as_it_is(load(path, device="cpu", check=False).generator)


@torch.no_grad()
def _difference(run: Runner, reference: PlainGenerator) -> float:
    """The largest over batches of several sizes, of other latents each; infinity where shapes differ."""
    largest = 0.0
    for count in BATCHES:
        inputs = reference.example(count, seed=count)
        actual, expected = run(*inputs), reference(*inputs)
        if actual.shape != expected.shape or actual.dtype != expected.dtype:
            return float("inf")
        apart = (actual.double() - expected.double()).abs().max()
        largest = max(largest, float(apart) if apart.isfinite() else float("inf"))
    return largest


def _refuse_different(done: Exported) -> None:
    if done.difference is not None and done.difference > done.tolerance:
        raise ConfigError(
            f"{done.path}: not written: its images differ from the generator's by {done.difference:.2g}, "
            f"allowed is {done.tolerance:.2g}; choose another format"
            + (", or full precision (without --half)" if done.tolerance >= HALF_TOLERANCE else "")
        )


def _write_latents(model: TrainedGenerator, count: int, path: Path) -> None:
    """Seeds 0 on, classes in turn: z, class, and the image that :func:`reacgan.sample` makes."""
    seeds = list(range(count))
    z = latents_for(seeds, model.latent_dim)
    labels = torch.arange(count) % len(model.class_names)
    images = generate(model.generator, z, labels)
    arrays: dict[str, Any] = {"seed": np.array(seeds), "z": z.numpy(), "class": labels.numpy()}
    with replacing(path) as writing, writing.open("wb") as file:
        np.savez(file, **arrays, images=images.numpy())
