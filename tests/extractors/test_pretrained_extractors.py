"""Published networks through ``transformers``, at random weights and small: every line but the download."""

from __future__ import annotations

import json
import logging
import sys
from logging.handlers import BufferingHandler

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.extractors import build_extractor
from reacgan.extractors.resize import friendly
from reacgan.extractors.swav import torchvision_name
from reacgan.tensors import tensors_digest

transformers = pytest.importorskip(
    "transformers", reason="the extra reacgan[extractors] is not installed"
)

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SMALL_VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
SMALL_RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [16, 24],
    "depths": [1, 2],
    "layer_type": "bottleneck",
}


def network_of(name):
    """A small network of the architecture that the extractor asks for."""
    torch.manual_seed(0)
    if name == "resnet50":
        config = transformers.ResNetConfig(**SMALL_RESNET, num_labels=7)
        return transformers.ResNetForImageClassification(config)
    if name == "swav":
        return transformers.ResNetModel(transformers.ResNetConfig(**SMALL_RESNET))
    if name == "dino":
        config = transformers.ViTConfig(**SMALL_VIT, image_size=32, patch_size=8)
        return transformers.ViTModel(config, add_pooling_layer=False)
    if name == "dinov2":
        # As published: position embeddings of a larger image than is looked at.
        config = transformers.Dinov2Config(**SMALL_VIT, image_size=266, patch_size=14)
        return transformers.Dinov2Model(config)
    config = transformers.CLIPVisionConfig(
        **SMALL_VIT, image_size=32, patch_size=8, projection_dim=10
    )
    return transformers.CLIPVisionModelWithProjection(config)


MEMBERS = {"resnet50": 24, "swav": 24, "dino": 24, "dinov2": 24, "clip": 10}
SIZES = {"resnet50": 224, "swav": 224, "dino": 32, "dinov2": 224, "clip": 32}
FILTERS = {"swav": "bilinear"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    for name in MEMBERS:
        network_of(name).save_pretrained(root / name)
    return root


def images_of(count, channels=3, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, size, size + 4)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", MEMBERS)
def test_features_are_those_of_the_network(name, folders):
    """Resize, scale and normalise written once more, then the library's own output."""
    made = build_extractor(name, {"weights": str(folders / name)})
    images = images_of(3)
    pixels = friendly(images, SIZES[name], by=FILTERS.get(name, "bicubic")) / 255
    mean, deviation = CLIP if name == "clip" else IMAGENET
    for channel in range(3):
        pixels[:, channel] = (pixels[:, channel] - mean[channel]) / deviation[channel]
    with torch.inference_mode():
        network = network_of(name).eval()
        if name == "resnet50":
            expected = network.resnet(pixels).pooler_output[:, :, 0, 0]
            logits = network(pixels).logits
        else:
            output = network(pixels)
            expected = {
                "swav": lambda: output.pooler_output[:, :, 0, 0],
                "dino": lambda: output.last_hidden_state[:, 0],
                "dinov2": lambda: output.pooler_output,
                "clip": lambda: output.image_embeds,
            }[name]()
            logits = None
    seen = made(images)
    assert seen.features.shape == (3, MEMBERS[name]) == (3, made.features_dim)
    torch.testing.assert_close(seen.features, expected, rtol=1e-4, atol=1e-5)
    if logits is None:
        assert seen.logits is None
    else:
        torch.testing.assert_close(seen.logits, logits, rtol=1e-4, atol=1e-5)
    alone = torch.cat([made(image[None]).features for image in images])
    torch.testing.assert_close(alone, seen.features, rtol=1e-4, atol=1e-5)
    assert not seen.features.requires_grad


@pytest.mark.parametrize("name", MEMBERS)
def test_what_it_says_of_itself(name, folders, tmp_path):
    made = build_extractor(name, {"weights": str(folders / name), "resizer": "clean"})
    said = json.loads(json.dumps(made.describe()))
    assert (
        said
        == build_extractor(name, {"weights": str(folders / name), "resizer": "clean"}).describe()
    )
    assert (said["name"], said["resizer"], said["size"]) == (name, "clean", SIZES[name])
    assert str(folders) not in json.dumps(said)
    network = network_of(name)
    next(network.parameters()).data[0] += 1e-3
    network.save_pretrained(tmp_path)
    other = build_extractor(name, {"weights": str(tmp_path), "resizer": "clean"}).describe()
    assert other["weights"] != said["weights"]
    assert {**other, "weights": 0} == {**said, "weights": 0}


def test_the_digest_does_not_depend_on_names():
    """The library renames parts from one version to the next."""
    one, other = torch.arange(6.0), torch.arange(6.0, 12)
    renamed = tensors_digest({"b": one, "a": other}, named=False)
    assert renamed == tensors_digest({"a": one, "b": other}, named=False)
    assert renamed != tensors_digest({"a": one.reshape(2, 3), "b": other}, named=False)
    assert renamed != tensors_digest({"a": one, "b": one}, named=False)
    assert tensors_digest({"a": one, "b": other}) != tensors_digest({"b": one, "a": other})


def test_clip_is_read_out_of_the_whole_model(tmp_path):
    """The published files hold the tower of texts beside it."""
    torch.manual_seed(1)
    vision = {**SMALL_VIT, "image_size": 32, "patch_size": 8, "projection_dim": 10}
    text = {**SMALL_VIT, "vocab_size": 9, "max_position_embeddings": 5}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=10)
    whole = transformers.CLIPModel(config).eval()
    whole.save_pretrained(tmp_path)
    images = images_of(2)
    pixels = friendly(images, 32, by="bicubic") / 255
    mean, deviation = (torch.tensor(part)[:, None, None] for part in CLIP)
    with torch.inference_mode():
        seen = whole.vision_model(pixel_values=(pixels - mean) / deviation).pooler_output
        expected = whole.visual_projection(seen)
    told = logging.getLogger("transformers")
    heard = BufferingHandler(100)
    told.addHandler(heard)
    made = build_extractor("clip", {"weights": str(tmp_path)})
    told.removeHandler(heard)
    assert heard.buffer == []
    torch.testing.assert_close(made(images).features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resizer", ["clean", "friendly", "legacy"])
def test_each_resizer_and_kind_of_image(resizer, folders):
    made = build_extractor("clip", {"weights": str(folders / "clip"), "resizer": resizer})
    grey = images_of(2, channels=1, size=64)
    colour = made(grey.repeat(1, 3, 1, 1)).features
    torch.testing.assert_close(made(grey).features, colour)
    opaque = torch.cat([grey.repeat(1, 3, 1, 1), torch.full_like(grey, 255)], 1)
    torch.testing.assert_close(made(opaque).features, colour)
    with pytest.raises(ConfigError, match="5 channels"):
        made(images_of(2, channels=5))


def test_resizers_differ(folders):
    images = images_of(2, size=64)
    seen = [
        build_extractor("dino", {"weights": str(folders / "dino"), "resizer": resizer})(images)
        for resizer in ("clean", "legacy")
    ]
    assert not torch.allclose(seen[0].features, seen[1].features, atol=1e-3)


def test_a_missing_or_foreign_tensor_is_refused(folders, tmp_path):
    """The library would draw it at random and only warn."""
    network = network_of("dino")
    network.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    gone = sorted(tensors)[3]
    short = {name: value for name, value in tensors.items() if name != gone}
    save_file(short, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="is missing or of another shape"):
        build_extractor("dino", {"weights": str(tmp_path)})
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ConfigError, match="as save_pretrained writes it"):
        build_extractor("dino", {"weights": str(tmp_path)})
    file.unlink()
    with pytest.raises(ConfigError, match="as save_pretrained writes it"):
        build_extractor("dino", {"weights": str(tmp_path)})
    with pytest.raises(ConfigError, match="not the weights of 'clip'|as save_pretrained"):
        build_extractor("clip", {"weights": str(folders / "dino")})


@pytest.mark.parametrize("name", [name for name in MEMBERS if name != "swav"])
def test_without_a_network_it_says_what_to_fetch(name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"Fetch them where.*hf download \w+/.*weights=FOLDER"):
        build_extractor(name, {"revision": "abc"} if name == "clip" else {})


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'reacgan\[extractors\]'"):
        build_extractor("dinov2")


# SwAV's published file


def resnet50_features(tensors, images):
    """ResNet-50 by torchvision's names, in plain functions (He et al. 2016, stride in the 3x3)."""

    def norm(hidden, name):
        mean, var, weight, bias = (
            tensors[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(hidden, mean, var, weight, bias)

    def conv(hidden, name, stride=1, padding=0):
        return F.conv2d(hidden, tensors[f"{name}.weight"], stride=stride, padding=padding)

    hidden = F.relu(norm(conv(images, "conv1", 2, 3), "bn1"))
    hidden = F.max_pool2d(hidden, 3, stride=2, padding=1)
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for block in range(depth):
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            inner = F.relu(norm(conv(hidden, f"{at}.conv1"), f"{at}.bn1"))
            inner = F.relu(norm(conv(inner, f"{at}.conv2", stride, 1), f"{at}.bn2"))
            inner = norm(conv(inner, f"{at}.conv3"), f"{at}.bn3")
            if block == 0:
                hidden = norm(conv(hidden, f"{at}.downsample.0", stride), f"{at}.downsample.1")
            hidden = F.relu(hidden + inner)
    return hidden.mean((2, 3))


def swav_file(folder):
    """Random weights in the layout of the published file."""
    generator = torch.Generator().manual_seed(0)
    held = {}

    def norm(name, width):
        held[f"{name}.weight"] = torch.rand(width, generator=generator) + 0.5
        held[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
        held[f"{name}.running_mean"] = torch.randn(width, generator=generator) * 0.1
        held[f"{name}.running_var"] = torch.rand(width, generator=generator) + 0.5
        held[f"{name}.num_batches_tracked"] = torch.tensor(9)

    def conv(name, out, into, side):
        spread = (2 / (into * side * side)) ** 0.5
        shape = (out, into, side, side)
        held[f"{name}.weight"] = torch.randn(shape, generator=generator) * spread

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    before = 64
    for stage, (width, depth) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), 1):
        for block in range(depth):
            at = f"layer{stage}.{block}"
            for step, (out, into, side) in enumerate(
                ((width, before, 1), (width, width, 3), (4 * width, width, 1)), start=1
            ):
                conv(f"{at}.conv{step}", out, into, side)
                norm(f"{at}.bn{step}", out)
            if block == 0:
                conv(f"{at}.downsample.0", 4 * width, before, 1)
                norm(f"{at}.downsample.1", 4 * width)
            before = 4 * width
    for name, shape in (("0.weight", (2048, 2048)), ("3.weight", (128, 2048))):
        held[f"projection_head.{name}"] = torch.zeros(shape)
    held["projection_head.0.bias"], held["projection_head.3.bias"] = (
        torch.zeros(2048),
        torch.zeros(128),
    )
    norm("projection_head.1", 2048)
    held["prototypes.weight"] = torch.zeros(3000, 128)
    path = folder / "swav_800ep_pretrain.pth.tar"
    torch.save({f"module.{name}": value for name, value in held.items()}, path)
    return path, held


@pytest.mark.slow
def test_the_published_file_of_swav(tmp_path):
    path, tensors = swav_file(tmp_path)
    made = build_extractor("swav", {"weights": str(path)})
    images = images_of(2, size=64)
    pixels = friendly(images, 224, by="bilinear") / 255
    mean, deviation = (torch.tensor(part)[:, None, None] for part in IMAGENET)
    expected = resnet50_features(tensors, (pixels - mean) / deviation)
    seen = made(images).features
    assert seen.shape == (2, 2048) and float(expected.std()) > 0.01
    assert (seen - expected).abs().max() < 1e-4 * expected.abs().max()
    del tensors["layer3.5.bn2.bias"]
    torch.save({f"module.{name}": value for name, value in tensors.items()}, path)
    with pytest.raises(ConfigError, match=r"missing: module.layer3.5.bn2.bias"):
        build_extractor("swav", {"weights": str(path)})


def test_swav_says_what_to_fetch():
    with pytest.raises(ConfigError, match=r"fetch https://.*swav_800ep.*weights=FILE"):
        build_extractor("swav")
    with pytest.raises(ConfigError, match="no such file"):
        build_extractor("swav", {"weights": "absent.pth.tar"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("embedder.embedder.convolution.weight", "conv1.weight"),
        ("embedder.embedder.normalization.running_var", "bn1.running_var"),
        ("encoder.stages.0.layers.2.layer.1.convolution.weight", "layer1.2.conv2.weight"),
        ("encoder.stages.3.layers.0.layer.2.normalization.bias", "layer4.0.bn3.bias"),
        ("encoder.stages.1.layers.0.shortcut.convolution.weight", "layer2.0.downsample.0.weight"),
        ("encoder.stages.1.layers.0.shortcut.normalization.bias", "layer2.0.downsample.1.bias"),
    ],
)
def test_names_of_torchvision(name, expected):
    assert torchvision_name(name) == expected


def test_a_name_of_no_resnet_is_refused():
    with pytest.raises(ConfigError, match="not a tensor of a ResNet"):
        torchvision_name("classifier.1.weight")
