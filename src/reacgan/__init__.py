"""Class-conditional GANs: ReACGAN and its relatives, to train, evaluate and share.

The public names load on first use, so ``import reacgan`` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reacgan.api import Model, from_pretrained, load
    from reacgan.benefit import augment_study
    from reacgan.config import ConfigError, Experiment, load_experiment
    from reacgan.data import inspect_data, open_dataset, prepare_data
    from reacgan.evaluation.evaluate import evaluate
    from reacgan.experiments import EXPERIMENTS, experiment
    from reacgan.experiments.derive import derive_experiment
    from reacgan.generated import GeneratedImages, generate_dataset
    from reacgan.history import journal
    from reacgan.hub import pretrained, push_to_hub, save, save_pretrained
    from reacgan.pictures.reporting import Report, report
    from reacgan.planning import propose
    from reacgan.plugins import register
    from reacgan.sampling.sample import sample
    from reacgan.sharing import publish
    from reacgan.training import Callback, CallbackError, StopTraining, train

__version__ = "0.1.0"

_PUBLIC = {
    "Experiment": "reacgan.config",
    "ConfigError": "reacgan.config",
    "load_experiment": "reacgan.config",
    "EXPERIMENTS": "reacgan.experiments",
    "experiment": "reacgan.experiments",
    "evaluate": "reacgan.evaluation.evaluate",
    "derive_experiment": "reacgan.experiments.derive",
    "propose": "reacgan.planning",
    "generate_dataset": "reacgan.generated",
    "GeneratedImages": "reacgan.generated",
    "augment_study": "reacgan.benefit",
    "train": "reacgan.training",
    "Callback": "reacgan.training",
    "CallbackError": "reacgan.training",
    "StopTraining": "reacgan.training",
    "journal": "reacgan.history",
    "report": "reacgan.pictures.reporting",
    "Report": "reacgan.pictures.reporting",
    "register": "reacgan.plugins",
    "export": "reacgan.exporting",
    "Model": "reacgan.api",
    "load": "reacgan.api",
    "save": "reacgan.hub",
    "save_pretrained": "reacgan.hub",
    "from_pretrained": "reacgan.api",
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
    "Callback",
    "CallbackError",
    "ConfigError",
    "Experiment",
    "GeneratedImages",
    "Model",
    "Report",
    "StopTraining",
    "__version__",
    "augment_study",
    "derive_experiment",
    "evaluate",
    "experiment",
    "export",
    "from_pretrained",
    "generate_dataset",
    "inspect_data",
    "journal",
    "load",
    "load_experiment",
    "open_dataset",
    "prepare_data",
    "pretrained",
    "propose",
    "publish",
    "push_to_hub",
    "register",
    "report",
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
