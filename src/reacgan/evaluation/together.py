"""What several processes do together in an evaluation; alone, each call is plain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from reacgan import distributed
from reacgan.metrics.base import Keep, Need


def kept_together(
    keep: Keep | None, name: str, make: Callable[[], dict[str, Tensor]], device: torch.device
) -> Mapping[str, Tensor] | None:
    """What is kept, on the main process; where it is not there, all processes make it together."""
    if keep is None:
        made = make()
        return made if distributed.is_main() else None
    if distributed.world_size() == 1:
        return keep(name, make)
    if distributed.is_main():
        asked = False

        def together() -> dict[str, Tensor]:
            nonlocal asked
            asked = True
            distributed.share_text("make", device)
            return make()

        kept = keep(name, together)
        if not asked:
            distributed.share_text("kept", device)
        return kept
    if distributed.share_text(None, device) == "make":
        make()
    return None


def agreed(lacking: dict[Need, str], device: torch.device) -> dict[Need, str]:
    """What the main process has found out, on every process."""
    if distributed.world_size() > 1:
        found: dict[Need, str] = json.loads(distributed.share_text(json.dumps(lacking), device))
        return found
    return lacking
