"""``reacgan doctor``."""

from __future__ import annotations

from importlib import metadata

# What each optional package is for, and the extra that brings it.
_OPTIONAL = {
    "sklearn": ("scikit-learn", "scoring the digits run", "demo"),
    "matplotlib": ("matplotlib", "plots in reports", "plots"),
    "transformers": (
        "transformers",
        "the extractors dino, dinov2, clip and resnet50",
        "extractors",
    ),
    "datasets": ("datasets", "data sets of the Hugging Face hub", "hub"),
}
_CORE = ("pillow", "pydantic", "cyclopts", "safetensors", "accelerate")


def doctor() -> int:
    """Report what is installed, where training would run, and which optional packages are missing."""
    import importlib.util  # noqa: PLC0415

    import torch  # noqa: PLC0415

    from reacgan.devices import describe_machine  # noqa: PLC0415

    for key, value in describe_machine().items():
        print(f"{key:14} {value}")
    for name in _CORE:
        print(f"{name:14} {metadata.version(name)}")
    print(f"{'cuda':14} {_cuda(torch.cuda.is_available())}")
    print(f"{'mps':14} {'usable' if torch.backends.mps.is_available() else 'not available'}")
    train_on = "cuda" if torch.cuda.is_available() else "cpu"
    train_on = "mps" if torch.backends.mps.is_available() else train_on
    print(f"{'trains on':14} {train_on} (--device auto)")
    for module, (package, purpose, extra) in _OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            print(f"{package:14} missing: needed for {purpose}; pip install 'reacgan[{extra}]'")
        else:
            print(f"{package:14} {metadata.version(package)}")
    print(f"{'inception':14} {_inception()}")
    return 0


def _inception() -> str:
    from reacgan.extractors.inception import PUBLISHED  # noqa: PLC0415
    from reacgan.extractors.weights import kept_at  # noqa: PLC0415

    kept = kept_at(PUBLISHED)
    if kept.is_file():
        return f"weights in {kept}"
    return f"weights not downloaded yet: fetched when first needed ({PUBLISHED.size / 1e6:.0f} MB)"


def _cuda(usable: bool) -> str:
    import torch  # noqa: PLC0415

    if usable:
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return f"usable: {', '.join(names)}"
    if torch.version.cuda is None:
        return "not available: this torch is a CPU build"
    return "not available: this torch is a CUDA build, but finds no usable device or driver"
