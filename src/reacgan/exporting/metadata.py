"""What a file says of itself: classes, inputs, output, origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from reacgan import __version__
from reacgan.config import size_of
from reacgan.exporting.plain import PlainGenerator
from reacgan.hub.licences import licence_of, terms_of
from reacgan.models.norm_statistics import statistics_in_words
from reacgan.models.stylegan2 import StyleGAN2Generator
from reacgan.models.trained import TrainedGenerator

Metadata = Mapping[str, Any]
"""Plain JSON."""

Z_OF_A_SEED = (
    "u: latent_dim numbers (x & 0xffffff) / 2**24, x the 32-bit outputs of the Mersenne twister MT19937 "
    "(init_genrand) seeded with the low 32 bits of h >> 1, h the little-endian 64-bit integer of "
    "blake2b('SEED/sample/0', digest_size=8); z = inverse of the normal distribution at u + 2**-25. With "
    "truncation t: at 0.5 + (u + 2**-25 - 0.5) erf(t / sqrt 2). A class and a seed are then the image of "
    "reacgan sample"
)
_COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}


def metadata_of(
    model: TrainedGenerator, plain: PlainGenerator, *, half: bool, name: str
) -> dict[str, Any]:
    """What every format's file holds, plain JSON.

    Args:
        model: the generator.
        plain: what is written of it.
        half: whether its convolutions are in float16.
        name: of the model, for people.
    """
    data = model.experiment.data
    terms = terms_of(data)
    licence, own_name = licence_of(terms.named)
    height, width = size_of(data.resolution)
    facts = {
        "name": name,
        "generator": model.experiment.model.generator.name,
        "class_names": list(model.class_names),
        "latent_dim": plain.latent_dim,
        "inputs": list(plain.input_names),
        "z": f"float32 [batch, {plain.latent_dim}], standard normal",
        "class": f"int64 [batch], 0 to {plain.num_classes - 1}, in the order of class_names",
        "height": height,
        "width": width,
        "channels": data.channels,
        "colours": _COLOURS.get(data.channels, "channels"),
        "images": _images_in_words(plain, f"[batch, {data.channels}, {height}, {width}]"),
        "precision": "float16 convolutions" if half else "float32",
        "seed_to_z": Z_OF_A_SEED,
    }
    if "psi" in plain.input_names:
        facts["psi"] = "float32 [1], 0 to 1: truncation of styles towards their mean; 1 is none"
    if any(isinstance(part, StyleGAN2Generator) for part in model.generator.modules()):
        facts["noise"] = "constant in each layer: z and class determine an image"
    if model.white is not None:
        facts |= {"white": model.white, "values": model.values_in_words}
    return {
        **facts,
        "images_seen": model.images_seen,
        "statistics": statistics_in_words(model),
        "licence": own_name or licence,
        "data": f"{terms.title}. {terms.licence}",
        "model_digest": model.digest,
        "reacgan": __version__,
        "torch": torch.__version__,
    }


def _images_in_words(plain: PlainGenerator, shape: str) -> str:
    if plain.output == "uint8":
        return f"uint8 {shape}, 0 to 255"
    return f"float32 {shape}, -1 to 1; pixel = round(127.5 (image + 1))"


def as_text(metadata: Metadata) -> dict[str, str]:
    """Each value as text; lists as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in metadata.items()
    }
