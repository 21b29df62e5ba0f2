"""Pictures of a trained run, each with numbers."""

from reacgan.pictures.discriminator_view import (
    class_purity,
    discriminator_features,
    projection_tsne,
)
from reacgan.pictures.frequencies import spectra, spectrum
from reacgan.pictures.near import neighbours, search
from reacgan.pictures.samples import Picture, interpolations, sheet
from reacgan.pictures.writing import PICTURES, pictures

__all__ = [
    "PICTURES",
    "Picture",
    "class_purity",
    "discriminator_features",
    "interpolations",
    "neighbours",
    "pictures",
    "projection_tsne",
    "search",
    "sheet",
    "spectra",
    "spectrum",
]
