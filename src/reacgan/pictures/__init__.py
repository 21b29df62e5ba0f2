"""Pictures of a trained run with the numbers behind them, since a figure alone proves nothing."""

from reacgan.pictures.drawing import Picture
from reacgan.pictures.features import class_purity, discriminator_features
from reacgan.pictures.frequencies import spectra, spectrum
from reacgan.pictures.near import neighbours, search
from reacgan.pictures.projection import projection_tsne
from reacgan.pictures.samples import interpolations, sheet
from reacgan.pictures.writing import NUMBERS, PICTURES, pictures

__all__ = [
    "NUMBERS",
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
