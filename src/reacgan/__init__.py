"""Class-conditional GANs: ReACGAN and its relatives, to train, judge and share.

The public names load on first use, so ``import reacgan`` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Experiment": "reacgan.config",
    "ConfigError": "reacgan.config",
    "load_experiment": "reacgan.config",
    "EXPERIMENTS": "reacgan.experiments",
    "experiment": "reacgan.experiments",
    "derive_experiment": "reacgan.experiments.derive",
    "train": "reacgan.training",
    "load": "reacgan.hub",
    "save": "reacgan.hub",
    "sample": "reacgan.sampling",
    "inspect_data": "reacgan.data",
    "prepare_data": "reacgan.data",
    "open_dataset": "reacgan.data",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reacgan' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
