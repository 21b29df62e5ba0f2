"""The headers of a set's splits, read together: training images decide on classes and on white."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reacgan.data.dataset import DataError
from reacgan.data.decode import pixel_limit
from reacgan.data.depth import white_problem
from reacgan.data.scan import Scan, scan_listing, with_classes
from reacgan.data.walk import Listing


def scan_listings(
    listings: list[Listing],
    *,
    max_pixels: int | None = None,
    white: float | None = None,
) -> Scan:
    """Scan the last of the listings; one for train that comes before it decides on the classes."""
    most = pixel_limit(max_pixels)
    if white is not None and (problem := white_problem(white)):
        raise DataError(problem)
    scan = scan_listing(listings[0], max_pixels=most, white=white)
    for listing in listings[1:]:
        known = with_classes(listing, scan.class_names)
        scan = scan_listing(known, max_pixels=most, whites=scan.whites, white=white)
    return scan


def with_held_out(
    scan: Scan, list_test: Callable[[], list[Listing]], *, white: float | None = None
) -> Scan:
    """A scan of training images of more than 8 bits, with notes of what held-out ones will lose."""
    if scan.split != "train" or scan.whites is None:
        return scan
    try:
        held_out = with_classes(list_test()[-1], scan.class_names)
        found = scan_listing(held_out, max_pixels=pixel_limit(), whites=scan.whites, white=white)
    except DataError:  # no such split
        return scan
    lost = tuple(f"held-out images: {note}" for note in found.lost)
    return replace(scan, notes=(*scan.notes, *lost))
