"""Settings for tiny runs through the command line, and the commands that there are."""

from __future__ import annotations

from collections.abc import Iterator

import cyclopts

TINY = [
    "--device", "cpu", "--set", "training.batch=16", "model.generator.width=4",
    "model.backbone.width=4", "model.head.embedding_dim=8",
]  # fmt: skip


def leaves(app: cyclopts.App, before: tuple[str, ...] = ()) -> Iterator[tuple[str, cyclopts.App]]:
    """Every command that does something, with its words."""
    for name in app:
        if not name.startswith("-"):
            below = app[name]
            words = (*before, name)
            if below.default_command is not None:
                yield " ".join(words), below
            yield from leaves(below, words)
