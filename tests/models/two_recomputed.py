"""Started by torchrun from the tests: two processes, with blocks computed again and without."""

from __future__ import annotations

import torch
from test_recompute import STYLES, after, assert_same_bits

from reacgan import distributed
from reacgan.training.engine import Engine

CASES = (
    {"model.backbone.name": "resnet", "model.backbone.norm": "batch"},
    {"penalties": ["r1"], "training.accumulate": 2},
    {"penalties": {"path_length": {"every": 1}}, **STYLES},
)


def main() -> None:
    torch.set_num_threads(1)
    Engine("cpu")
    assert distributed.world_size() == 2
    for changes in CASES:
        assert_same_bits(after(2, **changes), after(2, **changes, **{"training.recompute": True}))
    distributed.leave()


if __name__ == "__main__":
    main()
