"""Class-conditional GANs: ReACGAN and its relatives, to train, evaluate and share.

The public names load on first use, so ``import reacgan`` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reacgan.benefit import augment_study
    from reacgan.config import ConfigError, Experiment, load_experiment
    from reacgan.data import inspect_data, open_dataset, prepare_data
    from reacgan.evaluation.evaluate import evaluate
    from reacgan.experiments import EXPERIMENTS, experiment
    from reacgan.experiments.derive import derive_experiment
    from reacgan.generated import GeneratedImages, generate_dataset
    from reacgan.hub import from_pretrained, load, pretrained, push_to_hub, save, save_pretrained
    from reacgan.plugins import register
    from reacgan.sampling.sample import sample
    from reacgan.sharing import publish
    from reacgan.training import train

__version__ = "0.1.0"

_PUBLIC = {
    "Experiment": "reacgan.config",
    "ConfigError": "reacgan.config",
    "load_experiment": "reacgan.config",
    "EXPERIMENTS": "reacgan.experiments",
    "experiment": "reacgan.experiments",
    "evaluate": "reacgan.evaluation.evaluate",
    "derive_experiment": "reacgan.experiments.derive",
    "generate_dataset": "reacgan.generated",
    "GeneratedImages": "reacgan.generated",
    "augment_study": "reacgan.benefit",
    "train": "reacgan.training",
    "register": "reacgan.plugins",
    "load": "reacgan.hub",
    "save": "reacgan.hub",
    "save_pretrained": "reacgan.hub",
    "from_pretrained": "reacgan.hub",
    "pretrained": "reacgan.hub",
    "push_to_hub": "reacgan.hub",
    "publish": "reacgan.sharing",
    "sample": "reacgan.sampling",
    "inspect_data": "reacgan.data",
    "prepare_data": "reacgan.data",
    "open_dataset": "reacgan.data",
}

__all__ = [
    "EXPERIMENTS",
    "ConfigError",
    "Experiment",
    "GeneratedImages",
    "__version__",
    "augment_study",
    "derive_experiment",
    "evaluate",
    "experiment",
    "from_pretrained",
    "generate_dataset",
    "inspect_data",
    "load",
    "load_experiment",
    "open_dataset",
    "prepare_data",
    "pretrained",
    "publish",
    "push_to_hub",
    "register",
    "sample",
    "save",
    "save_pretrained",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reacgan' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
