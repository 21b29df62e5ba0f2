"""Shards for WebDataset: tar files of images, labels and facts, read in sequence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from reacgan.data.shards.tar import check_writer
from reacgan.generated.forms.base import Encoded, Item, SetForm, appearing, rows_of
from reacgan.generated.sequence import Order


class WebDatasetForm(SetForm):
    """``shard-000000.tar``, ...: of each image ``.png``, ``.cls`` (its label) and ``.json``.

    Without classes in turn a reader, who mixes only the next few thousand, would see one class at a time:
    the usual order is shuffled.
    """

    order: ClassVar[Order] = "shuffled"
    sharded: ClassVar[bool] = True

    @classmethod
    def check(cls, channels: int) -> None:
        """The package has to be there."""
        super().check(channels)
        check_writer()

    @property
    def pattern(self) -> str:
        """All shards as WebDataset wants them named."""
        return str(self.out / f"shard-{{000000..{self.parts - 1:06d}}}.tar")

    def has(self, part: int) -> bool:
        """Whether the shard is there."""
        return self._shard(part).is_file()

    def write(self, part: int, items: Iterable[Item]) -> None:
        """A shard."""
        with (
            appearing(self._shard(part)) as temporary,
            temporary.open("wb") as stream,
            check_writer()(stream, user="", group="", mtime=0, mode=0o644) as writer,
        ):
            for row in rows_of(items):
                writer.write(self._sample(row))

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """The shards are there; only the manifest is missing."""
        self.write_manifest(manifest)

    def _sample(self, row: Encoded) -> dict[str, Any]:
        """An image and its facts by the ends of their files' names."""
        facts = {"class": self.class_names[row.label], "label": row.label, "seed": row.seed}
        return {
            "__key__": f"{row.label:05d}_{row.seed:09d}",
            row.suffix[1:]: row.content,
            "cls": str(row.label).encode(),
            "json": json.dumps(facts, ensure_ascii=False).encode(),
        }

    def _shard(self, part: int) -> Path:
        return self.out / f"shard-{part:06d}.tar"
