"""Settings for tiny runs through the command line."""

from __future__ import annotations

TINY = [
    "--device", "cpu", "--set", "training.batch=16", "model.generator.width=4",
    "model.backbone.width=4", "model.head.embedding_dim=8",
]  # fmt: skip
