"""Empty modules in place of what the peers import but do not need for a training step.

torch-mimicry (2020) imports tensorflow (for scores), torchvision (for data sets and sheets), requests,
scikit-learn and others, and ``torch._six``, which torch no longer has; torchgan imports torchvision.
None of it is used by the steps that are timed.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from importlib.util import find_spec
from typing import Any

ABSENT = (
    "tensorflow",
    "tensorboard",
    "torch.utils.tensorboard",
    "torchvision",
    "scipy",
    "sklearn",
    "skimage",
    "requests",
    "lmdb",
    "pandas",
    "matplotlib",
    "tqdm",
    "six",
    "PIL",
)


class Anything(types.ModuleType):
    """A module that has whatever it is asked for: further modules, and classes to inherit from."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self.__path__: list[str] = []
        self.__all__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name[0].isupper():
            return type(name, (), {"__init__": lambda self, *args, **options: None})
        return Anything(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **options: Any) -> Any:
        raise RuntimeError(f"{self.__name__} is a stand-in: nothing that is timed may call it")


class _Finder:
    """Finds every module under a stand-in."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if any(name == held or name.startswith(f"{held}.") for held in self.names):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return Anything(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to do."""


def install() -> list[str]:
    """Put stand-ins in the place of what is absent; returns their names."""
    import torch

    six = types.ModuleType("torch._six")
    six.PY3, six.string_classes = True, (str, bytes)  # type: ignore[attr-defined]
    sys.modules["torch._six"] = torch._six = six  # type: ignore[attr-defined]
    missing = {name for name in ABSENT if name != "torch.utils.tensorboard" and not find_spec(name)}
    missing.add("torch.utils.tensorboard")
    sys.meta_path.insert(0, _Finder(missing))  # type: ignore[arg-type]
    return sorted(missing)
