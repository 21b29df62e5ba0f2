"""Where a model is: a path, a name, or a repository of the Hugging Face hub.

Known names are model folders in ``weights/`` of the package, in ``weights/`` at the root of a checkout,
and in the folder that the environment variable REACGAN_WEIGHTS names; the first match counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError, path_of, suggest, with_home
from reacgan.hub.folder import CONFIG
from reacgan.records import read_json

HUB = "hub:"
"""Prefix of the name of a repository, where a path is possible too."""

FILE_PATTERNS = ("*.safetensors", "*.json", "*.jsonl", "*.md", "*.png")
"""Files that are downloaded and uploaded: no code."""

VARIABLE = "REACGAN_WEIGHTS"
OF_REPOSITORY = (
    "cifar10-reacgan-early",
    "cifar10-small-reacgan",
    "glyphs-reacgan",
    "tiny-32-reacgan",
)
"""Models in weights/ of the repository, which the package does not hold."""

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def weight_folders() -> list[Path]:
    """The existing folders in which models have names, in the order they are searched."""
    package = Path(str(files("reacgan")))
    folders = [package / "weights"]
    root = package.parent.parent
    if package.parent.name == "src" and (root / "pyproject.toml").is_file():
        folders.append(root / "weights")
    if os.environ.get(VARIABLE):
        folders.append(path_of(os.environ[VARIABLE]))
    return [folder for folder in folders if folder.is_dir()]


def known_models() -> dict[str, Path]:
    """The folder of each model that has a name."""
    models: dict[str, Path] = {}
    for weights in weight_folders():
        for folder in sorted(weights.iterdir()):
            if not folder.name.startswith(".") and (folder / CONFIG).is_file():
                models.setdefault(folder.name, folder)
    return models


def pretrained() -> dict[str, str]:
    """Each model that has a name, with one line on what it is; nothing is loaded."""
    return {name: line_of(folder / CONFIG) for name, folder in known_models().items()}


def line_of(file: Path) -> str:
    """One line on what a model is, from its configuration, or that this is not readable."""
    try:
        config = read_json(file)
        experiment, classes = config["experiment"], len(config["class_names"])
        data, head = experiment["data"], _name(experiment["model"]["head"])
        size = data["resolution"]
        sides = size if isinstance(size, list) else [size, size]
        shape = " x ".join(str(side) for side in [*sides, data["channels"]])
        return f"{data['name']}, {shape}, {classes} classes, {head}, {config['images_seen']:,} images seen"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{CONFIG} is not readable"


def _name(component: Any) -> str:
    return str(component["name"] if isinstance(component, Mapping) else component)


def locate(named: str | Path, *, revision: str | None = None, ids: bool = False) -> Path:
    """A model's path: an existing one, that of a known name, or a download from the hub.

    Args:
        named: a path, a name of :func:`known_models`, or ``hub:OWNER/NAME`` (``hub:OWNER/NAME@REVISION``).
        revision: of a repository: a branch, tag or commit.
        ids: whether ``OWNER/NAME`` alone, where no such path exists, is a repository too.

    Returns:
        A path, which may not exist: errors are raised on opening it.

    Raises:
        ConfigError: an unknown name, or a repository that cannot be downloaded.
    """
    text = with_home(str(named))
    path = Path(text).absolute()
    # A save that was interrupted between its two renames leaves the old model under its second name.
    if path.exists() or path.with_name(f".old-{path.name}").exists():
        if revision is not None:
            raise ConfigError(f"revision is {revision!r}, but {text} is a path; leave it out")
        return path.resolve()
    if text.startswith(HUB) or (ids and REPOSITORY.fullmatch(text)):
        repository, _, marked = text.removeprefix(HUB).partition("@")
        return fetch(repository, revision or marked or None)
    if "/" in text or os.sep in text or text in (".", ".."):
        return path
    known = known_models()
    if text in known:
        if revision is not None:
            raise ConfigError(f"revision is {revision!r}, but {text} is here already; leave it out")
        return known[text]
    if text in OF_REPOSITORY:
        raise ConfigError(
            f"{text}: not here; these weights come with the package's repository, in weights/{text}: use a "
            f"checkout of it, or set {VARIABLE}=FOLDER to its folder weights/. Known here: "
            f"{', '.join(known) or 'none'}."
        )
    raise ConfigError(
        f"{text}: no such folder; give a run's folder or a model folder, {HUB}OWNER/NAME for a model of "
        f"the Hugging Face hub, or the name of a model{suggest(text, known)} "
        f"Known: {', '.join(known) or 'none'}."
    )


def fetch(repository: str, revision: str | None = None) -> Path:
    """The folder of a repository's files, downloaded unless they are in the cache.

    Args:
        repository: ``OWNER/NAME``.
        revision: a branch, tag or commit; None for the newest.

    Raises:
        ConfigError: no such repository or revision, no network and nothing in the cache.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import

    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(FILE_PATTERNS),
            cache_dir=os.environ.get("HF_HUB_CACHE"),
            endpoint=os.environ.get("HF_ENDPOINT"),
            library_name="reacgan",
        )
    except Exception as error:  # kinds of errors differ between versions
        at = f" at {revision}" if revision else ""
        raise ConfigError(
            f"{repository}{at}: download from the Hugging Face hub failed ({first_line(error)}); "
            "check the name and the network (a private repository needs HF_TOKEN), or download it "
            "elsewhere and give the folder"
        ) from error
    return Path(folder)


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of its message."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:300]
