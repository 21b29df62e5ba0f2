"""Tables of images for the Hugging Face ``datasets`` library: parquet as on the hub, or Arrow files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from reacgan.config import ConfigError
from reacgan.generated.forms.base import Encoded, Item, SetForm, appearing, rows_of
from reacgan.generated.sequence import Order

_ROWS = 100
"""Rows of a group, as the hub advises for images: readers take a group at once."""


class _Table(SetForm):
    """Columns ``image`` (decoded by ``datasets``), ``label`` (with its names) and ``seed``."""

    order: ClassVar[Order] = "shuffled"
    pictures_only: ClassVar[bool] = True

    @classmethod
    def check(cls, channels: int) -> None:
        """The packages have to be there."""
        super().check(channels)
        _library()

    @property
    def features(self) -> Any:
        """The columns, as ``datasets`` describes them."""
        datasets = _library()
        return datasets.Features(
            {
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=list(self.class_names)),
                "seed": datasets.Value("int64"),
            }
        )

    def batches(self, items: Iterable[Item]) -> Iterator[Any]:
        """The rows as record batches."""
        import pyarrow  # noqa: PLC0415 - checked before

        schema, rows = self.features.arrow_schema, rows_of(items)
        while group := list(islice(rows, _ROWS)):
            yield pyarrow.RecordBatch.from_pylist([_record(row) for row in group], schema)


class ParquetForm(_Table):
    """``data/train-00000-of-00004.parquet``: the layout of the hub, with the card that it reads."""

    sharded: ClassVar[bool] = True

    def has(self, part: int) -> bool:
        """Whether the shard is there."""
        return self._shard(part).is_file()

    def write(self, part: int, items: Iterable[Item]) -> None:
        """A shard."""
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - checked before

        schema = self.features.arrow_schema
        with appearing(self._shard(part)) as temporary, ParquetWriter(temporary, schema) as writer:
            for batch in self.batches(items):
                writer.write_batch(batch)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the card and the manifest."""
        with appearing(self.out / "README.md") as temporary:
            temporary.write_text(_card(manifest), encoding="utf-8")
        self.write_manifest(manifest)

    def _shard(self, part: int) -> Path:
        return self.out / "data" / f"train-{part:05d}-of-{self.parts:05d}.parquet"


class HfForm(_Table):
    """What ``datasets.load_from_disk`` opens: memory-mapped Arrow files.

    Parts wait in the folder of the state until the library itself writes them as a data set.
    """

    def has(self, part: int) -> bool:
        """Whether it waits to be saved."""
        return self._waiting(part).is_file()

    def write(self, part: int, items: Iterable[Item]) -> None:
        """An Arrow file of its own."""
        from pyarrow import ipc  # noqa: PLC0415 - checked before

        schema = self.features.arrow_schema
        with (
            appearing(self._waiting(part)) as temporary,
            ipc.new_stream(str(temporary), schema) as writer,
        ):
            for batch in self.batches(items):
                writer.write_batch(batch)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Save the parts as a data set."""
        datasets = _library()
        saved = self.state / "saved"
        waiting = [datasets.Dataset.from_file(str(self._waiting(n))) for n in range(self.parts)]
        whole = datasets.concatenate_datasets(waiting)
        info = datasets.DatasetInfo(
            description="Images of a generator; see manifest.json.", features=self.features
        )
        # Without a fingerprint of ours the library draws one, and no two writings are equal.
        whole = datasets.Dataset(whole.data, info=info, fingerprint=manifest["digest"][:16])
        with _without_bars(datasets):
            whole.save_to_disk(str(saved))
        del whole, waiting
        for path in sorted(saved.iterdir()):
            path.replace(self.out / path.name)
        self.write_manifest(manifest)

    def _waiting(self, part: int) -> Path:
        return self.state / f"part-{part:06d}.arrow"


def _record(row: Encoded) -> dict[str, Any]:
    name = f"{row.label:05d}_{row.seed:09d}{row.suffix}"
    return {
        "image": {"bytes": row.content, "path": name},
        "label": row.label,
        "seed": row.seed,
    }


def _card(manifest: Mapping[str, Any]) -> str:
    """The card: where the hub finds the files, and what they are."""
    model = manifest["model"]
    names = ", ".join(entry["name"] for entry in manifest["classes"][:20])
    more = " ..." if len(manifest["classes"]) > 20 else ""
    return f"""---
task_categories:
- image-classification
tags:
- synthetic
- reacgan
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
---

# Generated images

{manifest["images"]:,} images that a generator made, none of them a photograph: {names}{more}.

Made by reacgan {manifest["made_with"]["reacgan"]} with `{model["experiment"]}`
(weights {model["digest"][:16]}). `manifest.json` has every setting, the seed of each image and the digest
of the whole. `datasets.load_dataset(THIS_FOLDER)` opens it.
"""


def _library() -> Any:
    try:
        import datasets  # noqa: PLC0415 - optional, and slow to import
        import pyarrow  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        raise ConfigError(
            f"tables of images need the package {error.name}, which is not installed: "
            "pip install 'reacgan[formats]'"
        ) from None
    return datasets


@contextmanager
def _without_bars(datasets: Any) -> Iterator[None]:
    """Within the block, the library shows no progress of its own."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
