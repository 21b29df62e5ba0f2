"""An experiment with every option, and the numbers of parameters of its networks."""

from __future__ import annotations

from typing import Any

from reacgan.config import ConfigError, DataConfig, Experiment

_CLASSES = {
    "digits": 10,
    "cifar10": 10,
    "cifar100": 100,
    "tiny_imagenet": 200,
    "imagenet": 1000,
    "cub200": 200,
    "afhq": 3,
    "ffhq": 1,
}


def _classes(data: DataConfig) -> int | None:
    if data.name == "glyphs":
        path = data.path or "100"
        return int(path) if path.isdecimal() else None
    return _CLASSES.get(data.name)


def describe(experiment: Experiment, num_classes: int | None = None) -> dict[str, Any]:
    """The resolved configuration and ``"parameters": {"generator": ..., "discriminator": ...}``.

    Raises:
        ConfigError: an invalid value, or a number of classes that depends on a folder and was not
            given.
    """
    import torch  # noqa: PLC0415

    from reacgan.assembly import complete  # noqa: PLC0415
    from reacgan.models import (  # noqa: PLC0415
        build_discriminator,
        build_generator,
        count_parameters,
    )

    full = complete(experiment)
    classes = num_classes or _classes(full.data)
    if num_classes is not None and num_classes < 1:
        raise ConfigError(f"num_classes is {num_classes}; allowed: 1 or more")
    if classes is None:
        raise ConfigError(f"data.name is {full.data.name}: give --num-classes to count parameters")
    with torch.device("meta"):  # shapes only, without allocation
        generator = build_generator(full.model.generator, full.data, classes, full.model.codes)
        discriminator = build_discriminator(
            full.model.backbone, full.model.head, full.data, classes, full.model.codes
        )
    parameters = {
        "generator": count_parameters(generator),
        "discriminator": count_parameters(discriminator),
    }
    return {**full.model_dump(), "num_classes": classes, "parameters": parameters}
