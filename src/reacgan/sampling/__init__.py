"""Images and sheets from a generator, and walks through its latent space."""

from reacgan.sampling.grids import (
    class_folders,
    class_sheet,
    picture_of,
    save_image,
    save_png,
    save_sheets,
    seed_heads,
    sheet,
    sheets,
)
from reacgan.sampling.langevin import Langevin, langevin
from reacgan.sampling.latents import COUPLED_CHUNK, chunk_size, latents_for
from reacgan.sampling.passes import Passes
from reacgan.sampling.pixels import NonFiniteImageError, to_uint8
from reacgan.sampling.sample import Sample, generate, sample
from reacgan.sampling.settings import SamplingSettings
from reacgan.sampling.statistics import batch_statistics, standing_statistics, with_statistics
from reacgan.sampling.walks import interpolate, semantic_directions, spherical, walk

__all__ = [
    "COUPLED_CHUNK",
    "Langevin",
    "NonFiniteImageError",
    "Passes",
    "Sample",
    "SamplingSettings",
    "batch_statistics",
    "chunk_size",
    "class_folders",
    "class_sheet",
    "generate",
    "interpolate",
    "langevin",
    "latents_for",
    "picture_of",
    "sample",
    "save_image",
    "save_png",
    "save_sheets",
    "seed_heads",
    "semantic_directions",
    "sheet",
    "sheets",
    "spherical",
    "standing_statistics",
    "to_uint8",
    "walk",
    "with_statistics",
]
