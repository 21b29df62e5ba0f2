"""What images are as they lie there, before they are brought to one size and number of channels."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import NamedTuple

from reacgan.data.decode import MAX_PIXELS
from reacgan.data.listed import scan_listings
from reacgan.data.pack import cache_folder, cache_key, stamps_of
from reacgan.data.walk import Listing
from reacgan.files import write_text


class OwnShape(NamedTuple):
    """What images are before anything is done to them."""

    sizes: tuple[tuple[int, int], ...]
    """Each (height, width) that one of them has; empty where they are made at any size."""
    channels: int
    """1 where all are grey, 3 for pictures, or the arrays' own."""


def own_shape(listings: list[Listing]) -> OwnShape:
    """What the usable files of the last listing are by themselves; kept, since every header is read.

    Raises:
        DataError: no usable image.
    """
    kept = cache_folder() / f"{cache_key('own shape', MAX_PIXELS, stamps_of(listings))}.json"
    try:
        sizes, channels = json.loads(kept.read_text(encoding="utf-8"))
        return OwnShape(tuple((int(one), int(other)) for one, other in sizes), int(channels))
    except (OSError, ValueError, TypeError):
        pass
    scan = scan_listings(listings)
    found = OwnShape(tuple(sorted({(high, wide) for wide, high in scan.sizes})), scan.channels)
    with suppress(OSError):
        write_text(kept, json.dumps(found))
    return found
