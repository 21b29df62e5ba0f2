"""Shared by commands: options, conversion of words to values, the generator to sample from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import cyclopts
from cyclopts import Parameter

from reacgan.cli import streams

if TYPE_CHECKING:
    from reacgan.config import Resolution
    from reacgan.models.trained import TrainedGenerator
    from reacgan.sampling.statistics import Statistics


def _is_device(kind: type, device: str) -> None:
    from reacgan.config import DEVICES  # noqa: PLC0415

    if re.fullmatch(DEVICES, device) is None:
        raise ValueError("Choose from: auto, cpu, cuda, cuda:0 (and so on), mps.")


if TYPE_CHECKING:
    Named = str
else:
    Named = str | Path
    """A path, or a name that is none: text, which shells complete as a path."""

_DEVICES = "cpu, cuda, cuda:1 (and so on) or mps; auto takes CUDA, then MPS, then the CPU."
Device = Annotated[str, Parameter(validator=_is_device, help=_DEVICES)]
DeviceToTrain = Annotated[Device, Parameter(help=f"Where it will be trained: {_DEVICES}")]
DeviceOfPictures = Annotated[Device, Parameter(help=f"For --pictures: {_DEVICES}")]
Model = Annotated[Path, Parameter(help="A run's folder, a model folder, or the name of a model.")]
Quiet = Annotated[bool, Parameter(help="Print the result alone.")]
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)]
Assignments = Annotated[
    tuple[str, ...], Parameter(name="--set", consume_multiple=True, show_default=False)
]
Logs = Annotated[
    tuple[Literal["tensorboard", "wandb", "csv"], ...],
    Parameter(consume_multiple=True, show_default=False, negative=()),
]


def written_out(words: Sequence[str]) -> list[str]:
    """The words with ``~`` as the home folder wherever a path may stand, also in ``--out=~/x``."""
    if not any("~" in word for word in words):
        return list(words)
    from reacgan.config import with_home  # noqa: PLC0415

    return [with_home(word) for word in words]


def convert(hint: Any, tokens: Sequence[cyclopts.Token]) -> Any:
    """As cyclopts does, but integers may be 1000, 1_000 or 1e3, and 2.7 is refused, not rounded."""
    if int in (hint, *get_args(hint)) and len(tokens) == 1:
        return whole_number(tokens[0].value)
    return cyclopts.convert(hint, tokens)


def whole_number(text: str) -> int:
    """The integer that a text holds; raises ValueError with what is needed."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
        whole = int(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r}; needed: a whole number, such as 1000 or 1e3") from None
    if whole != value:
        raise ValueError(
            f"{text}; needed: a whole number, such as {whole} or {whole + (1 if value > 0 else -1)}"
        )
    return whole


def parse_resolution(text: str) -> Resolution:
    """``64``, or ``64x96`` (height first); raises ConfigError."""
    from reacgan.config import ConfigError  # noqa: PLC0415

    parts = [part.strip() for part in text.lower().split("x")]
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--resolution {text!r}: needed: a side or height and width, 64 or 64x96")
    sides = tuple(int(part) for part in parts)
    if min(sides) < 1:
        raise ConfigError(f"--resolution {text!r}: allowed: 1 pixel or more")
    return sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])


def load_generator(model: Path, statistics: Statistics, device: str) -> TrainedGenerator:
    """A generator with the statistics that were asked for."""
    from reacgan.hub import load  # noqa: PLC0415
    from reacgan.sampling import with_statistics  # noqa: PLC0415

    return with_statistics(load(model, device=device, check=False), statistics)


def tell_statistics(model: TrainedGenerator, asked: str) -> None:
    """Say, once the images are made, that ``auto`` did not use the averages of training."""
    from reacgan.models.norm_statistics import statistics_in_words  # noqa: PLC0415

    if asked == "auto" and model.norms is not None and model.norms.kind == "own":
        words = statistics_in_words(model)
        streams.tell(f"note: made with {words}; --statistics moving takes the others")
