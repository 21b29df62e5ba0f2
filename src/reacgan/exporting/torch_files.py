"""TorchScript and ``torch.export``: files that PyTorch runs without this package."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reacgan.exporting.metadata import Metadata
from reacgan.exporting.plain import PlainGenerator, Runner

METADATA = "metadata.json"
"""Name of the metadata among a file's extra files."""


def write_torchscript(plain: PlainGenerator, path: Path, metadata: Metadata) -> None:
    """Write a TorchScript file: ``torch.jit.load(path)(z, labels)``."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and people still load it
        recorded: Any = torch.jit.trace(plain, plain.example(2), check_trace=False)
        extra = {METADATA: json.dumps(metadata, ensure_ascii=False)}
        torch.jit.save(recorded, str(path), _extra_files=extra)


def read_torchscript(path: Path) -> Runner:
    """What a TorchScript file runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(str(path), map_location="cpu")

    return _without_gradient(module)


def write_program(plain: PlainGenerator, path: Path, metadata: Metadata) -> None:
    """Write a file of ``torch.export``: ``torch.export.load(path).module()(z, labels)``."""
    batch = {0: torch.export.Dim("batch")}
    shapes = tuple({} if name == "psi" else batch for name in plain.input_names)
    with torch.no_grad():
        program = torch.export.export(plain, plain.example(2), dynamic_shapes=shapes)
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # paths of this machine
    extra = {METADATA: json.dumps(metadata, ensure_ascii=False)}
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files=extra)


def read_program(path: Path) -> Runner:
    """What a file of ``torch.export`` runs."""
    with path.open("rb") as file:
        module = torch.export.load(file).module()

    return _without_gradient(module)


def _without_gradient(module: Any) -> Runner:
    def run(*inputs: Tensor) -> Tensor:
        with torch.no_grad():
            images: Tensor = module(*inputs)
        return images

    return run
