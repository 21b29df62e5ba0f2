"""``reacgan doctor``."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from reacgan import __version__
from reacgan.cli import missing, streams
from reacgan.cli.answers import Json, answer

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PURPOSES = {
    "demo": "scoring the digits run",
    "plots": "curves in reports, t-SNE",
    "extractors": "the extractors dino, dinov2, clip and resnet50",
    "hub": "data sets of the Hugging Face hub",
    "app": "a page to explore a generator",
    "export": "ONNX",
    "formats": "generated data sets as WebDataset, parquet, datasets",
    "video": "walks as MP4",
    "heif": "HEIC and HEIF photos",
    "tensorboard": "TensorBoard",
    "wandb": "Weights & Biases",
    "docs": "building the documentation",
    "cluster": "suites as jobs of SLURM",
}
"""What each extra is for."""
_CORE = ("numpy", "pillow", "pydantic", "cyclopts", "safetensors", "accelerate")


def doctor(*, json_: Json = False) -> int:
    """Report what is installed and where training would run.

    Also which optional packages are missing. Exits with 1 if PyTorch cannot be imported.

    Parameters
    ----------
    json_:
        Print JSON instead of text.
    """
    facts: dict[str, Any] = {
        "reacgan": __version__,
        "python": platform.python_version(),
        "python_supported": _supported_python(),
        "torch": None,
        "torch_supported": _range_of("torch"),
    }
    problem = missing.torch_problem()
    if problem is None:
        facts |= _of_torch()
    facts |= {"packages": {name: _version(name) for name in _CORE}, "extras": _extras()}
    answer(facts, lambda: "\n".join(_lines(facts)), as_json=json_)
    if problem is None:
        return 0
    streams.flush_output()
    streams.complain(problem)
    return 1


def _of_torch() -> dict[str, Any]:
    """The machine, its devices, and the weights of Inception."""
    import torch  # noqa: PLC0415

    from reacgan.devices import describe_machine  # noqa: PLC0415
    from reacgan.extractors.inception import PUBLISHED  # noqa: PLC0415
    from reacgan.extractors.weights import kept_at  # noqa: PLC0415

    mps = torch.backends.mps.is_available()
    kept = kept_at(PUBLISHED)
    return {
        **describe_machine(),
        "cuda": _cuda(torch.cuda.is_available()),
        "mps": "usable" if mps else "not available",
        "trains_on": "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu",
        "inception": str(kept) if kept.is_file() else None,
        "inception_megabytes": round(PUBLISHED.size / 1e6),
    }


def _lines(facts: dict[str, Any]) -> list[str]:
    """What a person reads."""
    own = ("python_supported", "torch_supported", "packages", "extras", "inception",
           "inception_megabytes", "trains_on")  # fmt: skip
    shown = {key: str(value) for key, value in facts.items() if key not in own}
    shown["torch"] = facts["torch"] or "missing"
    for name in ("python", "torch"):
        if facts[f"{name}_supported"]:
            shown[name] += f" (supported: {facts[f'{name}_supported']})"
    shown |= {name: version or "missing" for name, version in facts["packages"].items()}
    if facts["torch"]:
        size = facts["inception_megabytes"]
        shown["trains on"] = f"{facts['trains_on']} (--device auto)"
        shown["inception"] = (
            f"weights in {facts['inception']}"
            if facts["inception"]
            else f"weights not downloaded yet: fetched when first needed ({size} MB)"
        )
    lines = [f"{key:14} {value}" for key, value in shown.items()]
    for extra, state in facts["extras"].items():
        there = ", ".join(f"{name} {version}" for name, version in state["installed"].items())
        absent = f"missing: {', '.join(state['missing'])}; pip install 'reacgan[{extra}]'"
        lines.append(f"{extra:14} {absent if state['missing'] else there}  ({state['purpose']})")
    return lines


def _extras() -> dict[str, dict[str, Any]]:
    """Each extra with its packages: which are here, which are missing or too old."""
    extras: dict[str, dict[str, Any]] = {}
    for needed in _requirements():
        for extra, purpose in PURPOSES.items():
            if needed.marker is None or not needed.marker.evaluate({"extra": extra}):
                continue
            empty: dict[str, Any] = {"purpose": purpose, "installed": {}, "missing": []}
            part = extras.setdefault(extra, empty)
            version = _version(needed.name)
            if version is None:
                part["missing"].append(needed.name)
            elif not needed.specifier.contains(version, prereleases=True):
                part["missing"].append(f"{needed.name} {needed.specifier} (here: {version})")
            else:
                part["installed"][needed.name] = version
    return {extra: extras[extra] for extra in PURPOSES if extra in extras}


def _requirements() -> list[Requirement]:
    """What the installed package names; nothing where it runs from a folder alone."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - not for help pages

    try:
        return [Requirement(text) for text in metadata.requires("reacgan") or ()]
    except metadata.PackageNotFoundError:
        return []


def _range_of(package: str) -> str:
    """Versions of a package that are supported, such as ``>=2.11``; empty where that is unknown."""
    return next((str(n.specifier) for n in _requirements() if n.name == package), "")


def _supported_python() -> str:
    try:
        return str(metadata.metadata("reacgan")["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cuda(usable: bool) -> str:
    import torch  # noqa: PLC0415

    if usable:
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return f"usable: {', '.join(names)}"
    if torch.version.cuda is None:
        return "not available: this torch is a CPU build"
    return "not available: this torch is a CUDA build, but finds no usable device or driver"
