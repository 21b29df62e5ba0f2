"""Published networks through the library ``transformers`` (an extra, imported on first use).

Images are made RGB, stretched to the network's own size (never cropped), scaled to 0..1, and
normalised with the mean and deviation of the network's training. Networks run in float32.
Weights are read from safetensors only; ``weights`` names a repository of the Hugging Face Hub or a
folder in the same layout (``config.json``, ``model.safetensors``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from reacgan.config import ConfigError, Device, path_of, with_home
from reacgan.devices import find_device
from reacgan.extractors.arithmetic import exact
from reacgan.extractors.base import Extracted, Extractor
from reacgan.extractors.resize import RESIZERS, Filter, friendly, to_rgb
from reacgan.tensors import tensors_digest

Resizer = Literal["clean", "friendly", "legacy"]
Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue, of pixels in 0..1."""

IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: Normalisation = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
_SIZE = 224


class Pretrained(Extractor):
    """Base of the published networks; a member sets its class, weights and normalisation.

    Args:
        weights: a repository of the Hub or a local folder; None for the member's own repository.
        revision: of the repository: a branch, tag or commit.
        resizer: ``friendly`` with the filter that the network was trained with, ``clean`` bicubic,
            both antialiased; ``legacy`` bilinear without.

    Raises:
        ConfigError: ``transformers`` is missing, or the weights are unavailable or of another
            network.
    """

    any_size = True
    hub: ClassVar[str]
    """The member's own repository."""
    architecture: ClassVar[str]
    """A class of ``transformers``."""
    arguments: ClassVar[Mapping[str, Any]] = {}
    """Of its constructor."""
    normalisation: ClassVar[Normalisation] = IMAGENET
    filter: ClassVar[Filter] = "bicubic"
    """Filter of the network's training and published evaluation, used by ``friendly``."""
    takes: ClassVar[str] = "features"
    """The output that is the feature, for protocols."""

    def __init__(
        self,
        *,
        weights: str | None = None,
        revision: str | None = None,
        resizer: Resizer = "friendly",
    ) -> None:
        self._resizer = resizer
        self._device = torch.device("cpu")
        network, self._origin = self.load(weights, revision)
        self._network = network.float().eval().requires_grad_(False)
        self._digest = tensors_digest(self._network.state_dict(), named=False)
        self._size = int(self.input_size(self._network.config))
        self.features_dim = self.dimension(self._network.config)

    def to(self, device: Device) -> None:
        """Move the network."""
        device = find_device(device)
        self._network.to(device)
        self._device = device

    def __call__(self, images: Tensor) -> Extracted:
        """Features [N, D] of uint8 images; grey, RGB or RGBA of any size."""
        with exact(self._device):
            return self.outputs(self._prepared(images))

    def describe(self) -> dict[str, Any]:
        """What features depend on."""
        mean, deviation = self.normalisation
        return {
            "name": self.name,
            "weights": self._digest,
            **self._origin,
            "features": self.takes,
            "resizer": self._resizer,
            "filter": {"friendly": self.filter, "clean": "bicubic"}.get(self._resizer, "bilinear"),
            "size": self._size,
            "shape": "stretched to a square, no crop",
            "scale": f"(x / 255 - {list(mean)}) / {list(deviation)}",
            "channels": "grey repeated three times, RGBA on white",
            "type": "float32",
        }

    @abstractmethod
    def outputs(self, pixels: Tensor) -> Extracted:
        """Features (and logits) of normalised images [N, 3, S, S]."""

    @abstractmethod
    def dimension(self, config: Any) -> int:
        """Length of a feature."""

    def input_size(self, config: Any) -> int:
        """Side of the square input, pixels."""
        del config
        return _SIZE

    def load(self, weights: str | None, revision: str | None) -> tuple[Any, dict[str, Any]]:
        """The network, and its source as plain JSON without local paths."""
        return self.fetch(weights or self.hub, revision)

    def fetch(self, weights: str, revision: str | None) -> tuple[Any, dict[str, Any]]:
        """The network with the weights of a folder or repository, which must be complete."""
        transformers = library(self.name)
        local = path_of(weights).is_dir()
        try:
            with _quiet(transformers):
                network, report = getattr(transformers, self.architecture).from_pretrained(
                    with_home(weights) if local else weights,
                    revision=revision or "main",
                    use_safetensors=True,
                    output_loading_info=True,
                    dtype=torch.float32,
                    **self.arguments,
                )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
            raise ConfigError(_refused(self, weights, revision, error, local)) from None
        wrong = sorted(map(str, (*report["missing_keys"], *report["mismatched_keys"])))
        if wrong:
            raise ConfigError(
                f"{weights}: not the weights of {self.name!r} ({self.architecture} of transformers): "
                f"{wrong[0]} is missing or of another shape"
            )
        origin = {"model": self.architecture}
        if not local:
            origin |= {"hub": weights, "revision": _commit(transformers, weights, revision)}
        return network, origin

    def _prepared(self, images: Tensor) -> Tensor:
        rgb = to_rgb(images)
        if self._resizer == "friendly":
            pixels = friendly(rgb, self._size, by=self.filter)
        else:
            pixels = RESIZERS[self._resizer](rgb, self._size)
        mean, deviation = (
            torch.tensor(part, device=pixels.device)[:, None, None] for part in self.normalisation
        )
        return (pixels / 255 - mean) / deviation


class ResNet50(Pretrained):
    """ResNet-50 of ImageNet's labels (He et al. 2016, stride in the 3x3): spatial mean, 2048.

    Logits are those of ImageNet's 1,000 classes.
    """

    name = "resnet50"
    hub = "microsoft/resnet-50"
    architecture = "ResNetForImageClassification"
    takes = "mean over places before the linear layer"

    def outputs(self, pixels: Tensor) -> Extracted:
        """Features [N, 2048] and logits [N, 1000]."""
        hidden = self._network.resnet(pixel_values=pixels).pooler_output
        return Extracted(hidden.flatten(1), self._network.classifier(hidden))

    def dimension(self, config: Any) -> int:
        """Channels of the last stage."""
        return int(config.hidden_sizes[-1])


class _Transformer(Pretrained):
    """A vision transformer: the class token after the last normalisation."""

    takes = "class token after the last layer norm"

    def outputs(self, pixels: Tensor) -> Extracted:
        """The first token."""
        return Extracted(self._network(pixel_values=pixels).last_hidden_state[:, 0])

    def dimension(self, config: Any) -> int:
        """Width of a token."""
        return int(config.hidden_size)


class Dino(_Transformer):
    """ViT-S/8 of DINO (Caron et al. 2021), self-supervised: class token, 384."""

    name = "dino"
    hub = "facebook/dino-vits8"
    architecture = "ViTModel"
    arguments: ClassVar[Mapping[str, Any]] = {"add_pooling_layer": False}  # it would be random

    def input_size(self, config: Any) -> int:
        """Size of the position embeddings."""
        return int(config.image_size)


class DinoV2(_Transformer):
    """ViT-B/14 of DINOv2 (Oquab et al. 2023): class token, 768, at 224 pixels.

    Stein et al. 2023 measure FD-DINOv2 with ViT-L/14: ``weights="facebook/dinov2-large"``.
    """

    name = "dinov2"
    hub = "facebook/dinov2-base"
    architecture = "Dinov2Model"


class Clip(Pretrained):
    """ViT-B/32 of CLIP (Radford et al. 2021): the image's embedding, projected, 512.

    ``weights="openai/clip-vit-large-patch14"`` is ViT-L/14, 768.
    """

    name = "clip"
    hub = "openai/clip-vit-base-patch32"
    architecture = "CLIPVisionModelWithProjection"
    normalisation = CLIP
    takes = "projected image embedding, not normalised"

    def outputs(self, pixels: Tensor) -> Extracted:
        """The projected embedding."""
        return Extracted(self._network(pixel_values=pixels).image_embeds)

    def dimension(self, config: Any) -> int:
        """Dimension of the joint embedding of images and texts."""
        return int(config.projection_dim)

    def input_size(self, config: Any) -> int:
        """Size of the position embeddings."""
        return int(config.image_size)


def library(extractor: str) -> Any:
    """The package ``transformers``; raises ConfigError where it is missing."""
    try:
        import transformers  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise ConfigError(
            f"the extractor {extractor!r} needs the package transformers ({error}): "
            "pip install 'reacgan[extractors]'"
        ) from None
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Silence reports of unused tensors; missing ones are refused anyway."""
    logs = transformers.utils.logging
    before = logs.get_verbosity()
    logs.set_verbosity_error()
    try:
        yield
    finally:
        logs.set_verbosity(before)


def _refused(
    member: Pretrained, weights: str, revision: str | None, error: Exception, local: bool
) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0]
    if local:
        return (
            f"{weights}: not a {member.architecture} of transformers ({first}); needed: a folder with "
            "config.json and model.safetensors, as save_pretrained writes it"
        )
    at = f" --revision {revision}" if revision else ""
    return (
        f"the extractor {member.name!r} has no weights from {weights!r} ({first}). Fetch them where "
        f"there is a network, with: hf download {weights}{at}. Or give weights=FOLDER, which holds "
        "config.json and model.safetensors as transformers saves them"
    )


def _commit(transformers: Any, weights: str, revision: str | None) -> str:
    """The commit of a revision in the local cache."""
    config_file = transformers.utils.cached_file(
        weights, "config.json", revision=revision or "main", local_files_only=True
    )
    return Path(config_file).parent.name
