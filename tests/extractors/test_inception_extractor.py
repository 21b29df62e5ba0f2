from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from random_inception import patterns, random_weights
from reacgan.config import ConfigError, check_options
from reacgan.extractors.inception import (
    CLASSES,
    FEATURES,
    PUBLISHED,
    Inception,
    InceptionNetwork,
    layout,
)
from reacgan.extractors.resize import RESIZERS

# What torch-fidelity 0.4.0 gives for random_weights(0) and patterns(2, size=24).
GOLDEN_FEATURES = [
    [0.0, 2.19657898, 2.10170770, 0.16085744, 0.44972545, 0.12473276, 0.84926534],
    [0.0, 2.67477465, 3.20651579, 0.21629515, 0.54713178, 0.05128015, 1.24058926],
]
GOLDEN_LOGITS = [
    [1.31672072, -0.39431643, 0.33633864, 0.89990425, -0.70355368, -0.53342611, -0.84970272],
    [1.75944889, -0.86140490, 0.72069263, 0.61074018, -1.02839530, -0.56619900, -0.95910466],
]
GOLDEN_SQUARES = [1954.3242, 3595.1248]


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def weights_file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.safetensors"
    save_file(weights, path)
    return str(path)


@pytest.fixture(scope="module")
def extractors(weights_file):
    """By resizer; their networks are alike."""
    return {name: Inception(weights=weights_file, resizer=name) for name in RESIZERS}


def test_golden(extractors):
    found = extractors["legacy_tensorflow"](patterns(2, size=24))
    assert found.features.shape == (2, FEATURES) and found.logits.shape == (2, CLASSES)
    assert found.features.dtype == found.logits.dtype == torch.float32
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(found.features[:, ::300], torch.tensor(GOLDEN_FEATURES), **close)
    torch.testing.assert_close(found.logits[:, ::150], torch.tensor(GOLDEN_LOGITS), **close)
    squares = found.features.square().sum(1)
    torch.testing.assert_close(squares, torch.tensor(GOLDEN_SQUARES), rtol=1e-5, atol=0)


def test_folded_batch_norm_is_the_batch_norm(weights):
    """A twin whose norms stand beside the convolutions."""
    folded, twin = InceptionNetwork.of(weights), InceptionNetwork.of(weights)
    names = [name for name, part in twin.named_modules() if isinstance(part, nn.Conv2d)]
    assert len(names) == 94
    for name in names:
        part = twin.get_submodule(name)
        conv = nn.Conv2d(
            part.in_channels,
            part.out_channels,
            part.kernel_size,
            part.stride,
            part.padding,
            bias=False,
        )
        norm = nn.BatchNorm2d(part.out_channels, eps=1e-3)
        conv.weight.data = weights[f"{name}.conv.weight"]
        norm.load_state_dict({p: weights[f"{name}.bn.{p}"] for p in list(norm.state_dict())[:4]})
        twin.set_submodule(name, nn.Sequential(conv, norm.eval(), nn.ReLU()))
    images = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        for found, expected in zip(folded(images), twin(images), strict=True):
            assert (found - expected).abs().max() < 2e-6 * expected.abs().max()


def test_each_image_alone_and_no_gradient(extractors):
    extractor, images = extractors["clean"], patterns(3, size=20)
    before = torch.random.get_rng_state()
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        whole = extractor(images)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not whole.features.requires_grad and not whole.logits.requires_grad
    assert not whole.features.is_inference()  # a classifier may learn from them
    alone = extractor(images[1:2])
    for name in ("features", "logits"):
        held = getattr(whole, name)[1:2]
        assert held.dtype == torch.float32
        torch.testing.assert_close(getattr(alone, name), held, rtol=1e-5, atol=1e-5)


class SeenError(Exception):
    """Ends a call when the network's input is known."""


def input_of_network(extractor, images):
    held = []

    def look(_, given):
        held.append(given[0])
        raise SeenError

    hook = extractor._network.register_forward_pre_hook(look)
    with pytest.raises(SeenError):
        extractor(images)
    hook.remove()
    return held[0]


@pytest.mark.parametrize("name", RESIZERS)
def test_what_reaches_the_network(extractors, name):
    extractor = extractors[name]
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat(100)[:299]
    seen = input_of_network(extractor, levels.expand(1, 3, 299, 299))[0, 0, 0, :3].tolist()
    if name in ("legacy", "friendly"):
        assert seen == pytest.approx([-1, 1 / 255, 1], abs=1e-6)
        assert extractor.describe()["scale"] == "2 x / 255 - 1"
    else:
        assert seen == [-1, 0, 127 / 128]
        assert extractor.describe()["scale"] == "(x - 128) / 128"
    assert extractor.describe()["resizer"] == name
    images = patterns(1, size=350)[..., :320]
    seen = input_of_network(extractor, images)
    assert seen.shape == (1, 3, 299, 299)
    pixels = RESIZERS[name](images, 299)
    unit = pixels / 127.5 - 1 if name in ("legacy", "friendly") else (pixels - 128) / 128
    torch.testing.assert_close(seen, unit)
    for other in RESIZERS:
        apart = (RESIZERS[other](images, 299) - pixels).abs().max()
        assert other == name or apart > 1


def test_channels_and_shapes(extractors):
    extractor = extractors["clean"]
    colour = patterns(1, size=20)[..., :12]
    features = extractor(colour).features
    opaque = torch.cat((colour, torch.full_like(colour[:, :1], 255)), 1)
    torch.testing.assert_close(extractor(opaque).features, features)
    grey = colour[:, :1]
    torch.testing.assert_close(
        extractor(grey).features, extractor(grey.repeat(1, 3, 1, 1)).features
    )
    with pytest.raises(ConfigError, match="images have 2 channels"):
        extractor(colour[:, :2])
    with pytest.raises(ConfigError, match=r"torch\.float32"):
        extractor(colour.float())


def test_describe_is_plain_and_tells_weights_apart(extractors, weights, tmp_path):
    held = {name: extractor.describe() for name, extractor in extractors.items()}
    assert json.loads(json.dumps(held)) == held
    assert {one["name"] for one in held.values()} == {"inception"}
    digests = {one["weights"] for one in held.values()}
    assert len(digests) == 1 and len(held["clean"]["weights"]) == 64
    assert held["clean"]["channels"] and held["clean"]["shape"] and held["clean"]["logits"]
    other = {**weights, "fc.bias": weights["fc.bias"] + 1}
    torch.save(other, tmp_path / "other.pth")
    assert Inception(weights=str(tmp_path / "other.pth")).describe()["weights"] not in digests


def test_logits_are_without_bias(extractors, weights):
    found = extractors["clean"](patterns(1))
    expected = found.features @ weights["fc.weight"].T
    torch.testing.assert_close(found.logits, expected, rtol=1e-5, atol=1e-5)


def test_logits_with_bias(extractors, weights, weights_file):
    """The whole last layer; features are the same, and what is described is not."""
    extractor, images = Inception(weights=weights_file, bias=True), patterns(1)
    found, plain = extractor(images), extractors["clean"](images)
    layer = nn.functional.linear(plain.features, weights["fc.weight"], weights["fc.bias"])
    torch.testing.assert_close(found.logits, layer, rtol=1e-5, atol=1e-5)
    assert (found.logits - plain.logits).abs().max() > 1e-3
    assert torch.equal(found.features, plain.features)
    assert extractor.describe()["logits"] == "with bias"
    assert extractors["clean"].describe() == {**extractor.describe(), "logits": "without bias"}
    moved: list[str] = []
    extractor._bias = type("Bias", (), {"to": lambda self, device: moved.append(device.type)})()
    extractor.to(torch.device("cpu"))
    assert moved == ["cpu"]


def test_layout_fills_the_published_file():
    held = layout()
    assert len(held) == 94 * 5 + 2
    assert held["Mixed_5b.branch1x1.conv.weight"] == (64, 192, 1, 1)
    assert held["Mixed_7c.branch3x3dbl_3b.bn.running_var"] == (384,)
    assert held["fc.weight"] == (1008, 2048)
    number = 4 * sum(math.prod(shape) for shape in held.values())
    assert 0 < PUBLISHED.size - number < 100_000  # names and the container


def test_another_network_is_refused(weights, tmp_path):
    held = {name: value for name, value in weights.items() if not name.startswith("Mixed_7c")}
    held["fc.weight"] = torch.zeros(1000, 2048)
    save_file(held, tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match="not the weights of inception") as caught:
        Inception(weights=str(tmp_path / "a.safetensors"))
    for part in ("missing: Mixed_7c.branch1x1.bn.bias", "fc.weight [1000, 2048] (needed [1008"):
        assert part in str(caught.value)


def test_options():
    assert check_options(Inception, {}, where="extractor") == {
        "weights": None,
        "resizer": "clean",
        "bias": False,
    }
    with pytest.raises(ConfigError, match="extractor.resizer"):
        check_options(Inception, {"resizer": "lanczos"}, where="extractor")


def test_it_goes_where_a_name_says(extractors):
    one = next(iter(extractors.values()))
    images = patterns(1, size=24)
    before = one(images).features
    one.to("cpu:0")
    assert torch.equal(one(images).features, before)
    with pytest.raises(ConfigError, match="device is 'gpu'; allowed: auto, cpu"):
        one.to("gpu")
