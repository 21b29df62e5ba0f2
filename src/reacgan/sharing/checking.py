"""Whether a shared model is whole, described, and gives the images that it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError

from reacgan import hub
from reacgan.config import ConfigError
from reacgan.hub.folder import DISCRIMINATOR, check_digests, model_folder, read_config
from reacgan.hub.remote import KINDS
from reacgan.sharing import samples
from reacgan.sharing.card import missing
from reacgan.tensors import read_tensors


@dataclass(frozen=True)
class Finding:
    """What one look said."""

    what: str
    good: bool
    told: str


def check(model: str | Path) -> list[Finding]:
    """Look at a model folder, or at that of a name: files, digests, networks, samples, card.

    Raises:
        ConfigError: there is no model.
    """
    folder = model_folder(hub.locate(model))
    looks: dict[str, Callable[[Path], str]] = {
        "files": _files,
        "digests": _digests,
        "generator": _generator,
        "discriminator": _discriminator,
        "samples": _samples,
        "card": _card,
    }
    return [_look(what, look, folder) for what, look in looks.items()]


def _look(what: str, look: Callable[[Path], str], folder: Path) -> Finding:
    try:
        return Finding(what, True, look(folder))
    except (ConfigError, OSError, SafetensorError, UnicodeDecodeError) as error:
        return Finding(what, False, str(error))


def _files(folder: Path) -> str:
    names = sorted(one.name for one in folder.iterdir())
    foreign = [one for one in names if not any(fnmatch(one, kind) for kind in KINDS)]
    if foreign:
        raise ConfigError(f"not of a kind that is shared: {', '.join(foreign)}; delete them")
    return f"{len(names)}, {sum(one.stat().st_size for one in folder.iterdir()):,} bytes"


def _digests(folder: Path) -> str:
    return f"as recorded: {', '.join(check_digests(folder, read_config(folder)))}"


def _generator(folder: Path) -> str:
    model = hub.load(folder, device="cpu")
    return f"{len(model.class_names)} classes, {model.images_seen:,} images seen"


def _discriminator(folder: Path) -> str:
    if not (folder / DISCRIMINATOR).exists():
        return "none stored"
    if read_config(folder).get("discriminator_sha256") is None:
        raise ConfigError(f"{folder / DISCRIMINATOR}: has no recorded digest; publish the run anew")
    hub.load_discriminator(folder, device="cpu")
    return "loads"


def _samples(folder: Path) -> str:
    file = folder / samples.FILE
    if not file.exists():
        raise ConfigError(f"{samples.FILE} is not there to compare with; publish the run anew")
    model = hub.load(folder, device="cpu")
    model.generator.float()
    largest, share = samples.difference(model, read_tensors(file))
    told = f"differ by at most {largest} of 255 in {share:.2%} of pixel values"
    if largest > samples.TOLERANCE:
        raise ConfigError(f"{told}; allowed: {samples.TOLERANCE}")
    return f"{told} (allowed: {samples.TOLERANCE})"


def _card(folder: Path) -> str:
    lacking = missing((folder / "README.md").read_text(encoding="utf-8"))
    if lacking:
        raise ConfigError(
            f"lacks {', '.join(lacking)}; `reacgan weights publish` writes a whole one"
        )
    return "complete"
