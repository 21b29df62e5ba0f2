"""Images and sheets from a generator, and walks through its latent space."""

from reacgan.sampling.enlarging import Enlarging
from reacgan.sampling.films import Film
from reacgan.sampling.grids import (
    class_folders,
    class_sheet,
    encoded,
    picture_of,
    save_image,
    save_png,
    save_sheets,
    seed_heads,
    share_heads,
    sheet,
    sheets,
)
from reacgan.sampling.images import generate
from reacgan.sampling.langevin import Langevin, langevin
from reacgan.sampling.latents import COUPLED_CHUNK, chunk_size, latents_for
from reacgan.sampling.moves import Moves, parse_moves, semantic_directions, spherical
from reacgan.sampling.passes import Passes
from reacgan.sampling.pixels import NonFiniteImageError, to_uint8
from reacgan.sampling.sample import sample
from reacgan.sampling.samples import Sample, SampleSequence
from reacgan.sampling.settings import SamplingSettings
from reacgan.sampling.statistics import batch_statistics, standing_statistics, with_statistics
from reacgan.sampling.walks import interpolate, walk

__all__ = [
    "COUPLED_CHUNK",
    "Enlarging",
    "Film",
    "Langevin",
    "Moves",
    "NonFiniteImageError",
    "Passes",
    "Sample",
    "SampleSequence",
    "SamplingSettings",
    "batch_statistics",
    "chunk_size",
    "class_folders",
    "class_sheet",
    "encoded",
    "generate",
    "interpolate",
    "langevin",
    "latents_for",
    "parse_moves",
    "picture_of",
    "sample",
    "save_image",
    "save_png",
    "save_sheets",
    "seed_heads",
    "semantic_directions",
    "share_heads",
    "sheet",
    "sheets",
    "spherical",
    "standing_statistics",
    "to_uint8",
    "walk",
    "with_statistics",
]
