"""Data sets of generated images: written in the forms that other tools read, or as a stream."""

from reacgan.generated.counts import Distribution, class_counts
from reacgan.generated.dataset import GeneratedSet, generate_dataset
from reacgan.generated.forms import FORMS
from reacgan.generated.sequence import Order, digest_of, sequence
from reacgan.generated.stream import GeneratedImages

__all__ = [
    "FORMS",
    "Distribution",
    "GeneratedImages",
    "GeneratedSet",
    "Order",
    "class_counts",
    "digest_of",
    "generate_dataset",
    "sequence",
]
