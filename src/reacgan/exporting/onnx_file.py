"""ONNX: written by PyTorch's exporter, checked by onnx, run by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reacgan import __version__
from reacgan.config import ConfigError
from reacgan.exporting.metadata import Metadata, as_text
from reacgan.exporting.plain import PlainGenerator, Runner

OPSET = 18
"""Read by onnxruntime since 1.14, of early 2023."""
OPSETS = range(18, 24)
LARGEST = 2**31 - 2**20
"""Bytes of a file; a larger model keeps its weights in a second file beside it."""


def package(name: str) -> Any:
    """A package of the extra ``export``; raises ConfigError where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"ONNX needs the package {error.name}, which is not installed: pip install 'reacgan[export]'"
        ) from None


def check_opset(opset: int) -> None:
    """Raise ConfigError unless it is one that can be written."""
    if opset not in OPSETS:
        raise ConfigError(
            f"opset is {opset}; allowed: {OPSETS[0]} to {OPSETS[-1]} ({OPSET} is read by the most programs)"
        )


def write_onnx(
    plain: PlainGenerator,
    path: Path,
    metadata: Metadata,
    *,
    opset: int = OPSET,
    largest: int = LARGEST,
) -> None:
    """Write an ONNX file with any size of batch, and have onnx check it.

    Args:
        plain: what is written.
        path: the file; weights of more than ``largest`` bytes are in ``<path>.data``.
        metadata: its metadata.
        opset: version of the operators.
        largest: see :data:`LARGEST`.

    Raises:
        ConfigError: a package is not installed, or an opset that cannot be written.
    """
    check_opset(opset)
    onnx = package("onnx")
    package("onnxscript")
    names = plain.input_names
    with _without_chatter():
        program: Any = torch.onnx.export(
            plain,
            plain.example(2),
            input_names=list(names),
            output_names=["images"],
            dynamic_shapes=tuple({} if name == "psi" else {0: "batch"} for name in names),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    written = {entry.domain: entry.version for entry in model.opset_import}.get("", 0)
    if written != opset:
        raise ConfigError(f"opset is {opset}, but PyTorch wrote {written}; choose {written}")
    _clean(model.graph)
    for function in model.functions:
        _clean(function)
    model.producer_name, model.producer_version = "reacgan", __version__
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, as_text(metadata))
    size = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    apart = {"save_as_external_data": True, "location": f"{path.name}.data"}
    onnx.save_model(model, str(path), **(apart if size > largest else {}))
    onnx.checker.check_model(str(path), full_check=True)


def _clean(part: Any) -> None:
    """Remove where in the source each operation came from, with paths of this machine."""
    for entry in (*part.node, *part.value_info):
        del entry.metadata_props[:]
        if hasattr(entry, "doc_string"):
            entry.doc_string = ""
    del part.metadata_props[:]


@contextmanager
def _without_chatter() -> Iterator[None]:
    """The exporter says that torchvision is missing, and what of its own is going to change."""
    exporter = logging.getLogger("torch.onnx")
    before = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(before)


def read_onnx(path: Path) -> Runner:
    """What an ONNX file makes of z, classes and maybe psi, by onnxruntime on the CPU."""
    session = package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> Tensor:
        fed = zip(session.get_inputs(), inputs, strict=True)
        images = session.run(["images"], {entry.name: value.numpy() for entry, value in fed})[0]
        return torch.from_numpy(images)

    return run


def onnx_unread() -> str | None:
    """Why a file cannot be run here; None where it can."""
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed: pip install 'reacgan[export]'"
    return None
