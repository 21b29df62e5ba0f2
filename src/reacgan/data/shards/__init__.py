"""Sets of shards: tar files of images beside an index, on a disk or elsewhere, read while they are used."""

from __future__ import annotations

from reacgan.data.shards.finding import is_shards
from reacgan.data.shards.opening import open_shards, shape_of_shards, survey_shards
from reacgan.data.shards.writing import prepare_shards

__all__ = ["is_shards", "open_shards", "prepare_shards", "shape_of_shards", "survey_shards"]
