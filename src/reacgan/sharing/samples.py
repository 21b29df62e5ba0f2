"""Images that a shared generator must reproduce on any machine, within a tolerance."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import latents_for
from reacgan.sampling.images import generate

FILE = "samples.safetensors"
COUNT = 16
TOLERANCE = 2
"""Of 255 grey values, for any pixel: processors sum in different orders, which changes roundings."""


def fixed_samples(model: TrainedGenerator) -> dict[str, Tensor]:
    """``images`` uint8 [16, C, H, W] with seeds 0 to 15, their ``labels`` spread over the classes.

    Args:
        model: in float32 on the CPU, so that other machines make the same images.

    Raises:
        ConfigError: it is on another device, or of another type.
    """
    weight = next(model.generator.parameters())
    if (weight.device.type, weight.dtype) != ("cpu", torch.float32):
        raise ConfigError(
            f"the generator is {weight.dtype} on {weight.device}; needed: float32 on the CPU"
        )
    classes = len(model.class_names)
    seeds = torch.arange(COUNT)
    labels = seeds % classes if classes <= COUNT else seeds * classes // COUNT
    z, names = latents_for(seeds.tolist(), model.latent_dim), model.class_names
    images = generate(model.generator, z, labels, seeds=seeds.tolist(), class_names=names)
    return {"images": images, "labels": labels, "seeds": seeds}


def difference(model: TrainedGenerator, recorded: dict[str, Tensor]) -> tuple[int, float]:
    """The largest difference of a pixel from the recorded samples, of 255; the share that differ.

    Raises:
        ConfigError: the recorded samples are not of this model.
    """
    made = fixed_samples(model)

    def shapes(tensors: dict[str, Tensor]) -> dict[str, object]:
        return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}

    if shapes(recorded) != shapes(made):
        raise ConfigError(f"{FILE} does not hold the samples of this model")
    if any(not torch.equal(recorded[name], made[name]) for name in ("labels", "seeds")):
        raise ConfigError(f"{FILE} holds other classes or seeds than this version makes")
    apart = (made["images"].int() - recorded["images"].int()).abs()
    return int(apart.max()), float((apart > 0).float().mean())
