"""The option ``--device``, which all commands spell alike."""

from __future__ import annotations

import re
from typing import Annotated

from cyclopts import Parameter


def _known(kind: type, device: str) -> None:
    from reacgan.config import DEVICES  # noqa: PLC0415

    if re.fullmatch(DEVICES, device) is None:
        raise ValueError("Choose from: auto, cpu, cuda, cuda:0 (and so on), mps.")


Device = Annotated[str, Parameter(validator=_known)]
