"""Networks that images are looked at with, by name."""

from reacgan.extractors.base import Extracted, Extractor

EXTRACTORS: dict[str, type[Extractor]] = {}

__all__ = ["EXTRACTORS", "Extracted", "Extractor"]
