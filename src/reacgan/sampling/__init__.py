"""Images and sheets from a generator."""

from reacgan.sampling.grids import class_sheet, picture_of, save_png, sheet
from reacgan.sampling.latents import latents_for
from reacgan.sampling.sample import Sample, generate, sample, to_uint8

__all__ = [
    "Sample",
    "class_sheet",
    "generate",
    "latents_for",
    "picture_of",
    "sample",
    "save_png",
    "sheet",
    "to_uint8",
]
