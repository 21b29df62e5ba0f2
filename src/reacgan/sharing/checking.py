"""Whether a shared model is complete, documented, and reproduces its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError

from reacgan import hub
from reacgan.config import ConfigError
from reacgan.files import read_text
from reacgan.hub.folder import DISCRIMINATOR, check_digests, model_folder, read_config
from reacgan.hub.places import FILE_PATTERNS
from reacgan.sharing import samples
from reacgan.sharing.card import missing
from reacgan.tensors import read_tensors


@dataclass(frozen=True)
class CheckResult:
    """The result of one check."""

    name: str
    passed: bool
    message: str
    applies: bool = True
    """False for what a published folder alone has, in a run or a model that was only saved."""


def check(model: str | Path) -> list[CheckResult]:
    """Check a model folder, or that of a name: files, digests, networks, samples, card.

    Of a run, and of a model that was saved but not published, what is there is checked: samples to
    compare with and a whole card come with :func:`publish`.

    Raises:
        ConfigError: there is no model.
    """
    folder = model_folder(hub.locate(model))
    results = []
    for name, run in _CHECKS.items():
        if name in _OF_PUBLISHED and not _is_published(folder):
            results.append(CheckResult(name, True, _UNPUBLISHED, applies=False))
            continue
        try:
            results.append(CheckResult(name, True, run(folder)))
        except (ConfigError, OSError, SafetensorError, UnicodeDecodeError) as error:
            results.append(CheckResult(name, False, str(error)))
    return results


_OF_PUBLISHED = ("samples", "card")
_UNPUBLISHED = "not published: `reacgan weights publish RUN --out FOLDER` makes it"


def _is_published(folder: Path) -> bool:
    """Whether :func:`publish` made the folder; also where its configuration is not readable."""
    try:
        config = read_config(folder)
    except (ConfigError, OSError):
        return True
    return any(key in config for key in ("name", "samples"))


def _files(folder: Path) -> str:
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    foreign = [name for name in sizes if not any(fnmatch(name, kind) for kind in FILE_PATTERNS)]
    if foreign:
        raise ConfigError(f"not of a kind that is shared: {', '.join(foreign)}; delete them")
    return f"{len(sizes)}, {sum(sizes.values()):,} bytes"


def _digests(folder: Path) -> str:
    return f"as recorded: {', '.join(check_digests(folder, read_config(folder)))}"


def _generator(folder: Path) -> str:
    model = hub.load(folder, device="cpu")
    return f"{len(model.class_names)} classes, {model.images_seen:,} images seen, digest {model.digest}"


def _discriminator(folder: Path) -> str:
    if not (folder / DISCRIMINATOR).exists():
        return "none stored"
    if read_config(folder).get("discriminator_sha256") is None:
        raise ConfigError(
            f"{folder / DISCRIMINATOR}: has no recorded digest; publish the run again"
        )
    hub.load_discriminator(folder, device="cpu")
    return "loads"


def _samples(folder: Path) -> str:
    file = folder / samples.FILE
    if not file.exists():
        raise ConfigError(f"{samples.FILE} is not there to compare with; publish the run again")
    model = hub.load(folder, device="cpu")
    model.generator.float()
    largest, share = samples.difference(model, read_tensors(file))
    message = f"differ by at most {largest} of 255 in {share:.2%} of pixel values"
    if largest > samples.TOLERANCE:
        raise ConfigError(f"{message}; allowed: {samples.TOLERANCE}")
    return f"{message} (allowed: {samples.TOLERANCE})"


def _card(folder: Path) -> str:
    lacking = missing(read_text(folder / "README.md"))
    if lacking:
        raise ConfigError(
            f"lacks {', '.join(lacking)}; `reacgan weights publish` writes a whole one"
        )
    return "complete"


_CHECKS: Mapping[str, Callable[[Path], str]] = {
    "files": _files,
    "digests": _digests,
    "generator": _generator,
    "discriminator": _discriminator,
    "samples": _samples,
    "card": _card,
}
