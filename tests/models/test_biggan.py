from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from reacgan.config import ConfigError, DataConfig, component
from reacgan.experiments import EXPERIMENTS
from reacgan.heads import HEADS
from reacgan.losses import ADVERSARIAL
from reacgan.models import (
    BACKBONES,
    GENERATORS,
    build_discriminator,
    build_generator,
    complete,
    count_parameters,
)
from reacgan.models.biggan import BackboneBlock, BigGANBackbone, BigGANGenerator, GeneratorBlock

# resolution, classes, width, latent, attention of G and D, embedding, G, ReACGAN's D, BigGAN's D
PUBLISHED = {
    "cifar10": (32, 10, 96, 80, 2, 1, 512, 9_416_196, 2_517_186, 2_415_170),
    "tiny": (64, 200, 80, 100, 3, 1, 768, 17_335_204, 31_678_130, 30_796_722),
    "cub200": (128, 200, 80, 120, 4, 1, 1024, 49_226_404, 61_551_026, 60_290_482),
    "imagenet": (128, 1000, 96, 120, 4, 1, 2048, 70_433_988, 91_642_146, 87_982_370),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    side, classes, width, latent, after_g, after_d, embedding, *expected = PUBLISHED[name]
    data = DataConfig(resolution=side)
    backbone = component("biggan", width=width, attention_after=(after_d,))
    with torch.device("meta"):
        generator = build_generator(
            component("biggan", width=width, latent_dim=latent, attention_after=(after_g,)),
            data,
            classes,
        )
        reacgan = build_discriminator(
            backbone, component("d2dce", embedding_dim=embedding), data, classes
        )
        biggan = build_discriminator(backbone, component("projection"), data, classes)
    assert [count_parameters(one) for one in (generator, reacgan, biggan)] == expected


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 256])
def test_every_resolution(side, channels):
    torch.manual_seed(0)
    chunks = {8: 2, 16: 3, 32: 4, 64: 5, 128: 6, 256: 7}[side]
    generator = BigGANGenerator(
        resolution=side,
        channels=channels,
        num_classes=3,
        width=4,
        latent_dim=2 * chunks,
        shared_dim=4,
        attention_after=(1,),
    )
    images = generator(torch.randn(2, 2 * chunks), torch.tensor([0, 2]))
    assert images.shape == (2, channels, side, side)
    assert images.abs().max() <= 1 and images.std() > 0
    backbone = BigGANBackbone(resolution=side, channels=channels, width=4)
    features = backbone(images)
    assert features.shape == (2, backbone.out_features)
    assert features.min() >= 0


@pytest.mark.parametrize("spectral", [True, False])
def test_generator_block_in_the_textbook_order(spectral):
    torch.manual_seed(0)
    block = GeneratorBlock(6, 4, 5, spectral=spectral).double().eval()
    images = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    condition = torch.randn(2, 5, dtype=torch.float64)

    def weight(layer):
        return layer.normalised_weight() if spectral else layer.weight

    def conv(given, layer):
        return F.conv2d(given, weight(layer), layer.bias, padding=layer.weight.shape[-1] // 2)

    hidden = F.interpolate(torch.relu(block.norm1(images, condition)), scale_factor=2)
    hidden = torch.relu(block.norm2(conv(hidden, block.conv1), condition))
    kept = conv(F.interpolate(images, scale_factor=2), block.shortcut)
    expected = conv(hidden, block.conv2) + kept
    torch.testing.assert_close(block(images, condition), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preactivated", [True, False])
@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("out_channels", [6, 4])
def test_backbone_block_in_the_textbook_order(preactivated, down, first, out_channels):
    torch.manual_seed(0)
    block = BackboneBlock(
        6, out_channels, down=down, first=first, spectral=False, preactivated_shortcut=preactivated
    ).double()
    images = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    given = images.clone()

    def conv(held, layer):
        return F.conv2d(held, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)

    # The literal network: an in-place ReLU changes what the shortcut sees.
    held = images.clone()
    hidden = held if first else F.relu(held, inplace=preactivated)
    hidden = conv(F.relu(conv(hidden, block.conv1)), block.conv2)
    hidden = F.avg_pool2d(hidden, 2) if down else hidden
    if first or down or out_channels != 6:
        kept = F.avg_pool2d(held, 2) if first and down else held
        kept = conv(kept, block.shortcut)
        kept = F.avg_pool2d(kept, 2) if down and not first else kept
    else:
        kept = held
    torch.testing.assert_close(block(images), hidden + kept, atol=1e-5, rtol=1e-5)
    assert torch.equal(images, given)


def test_only_the_option_changes_the_shortcut():
    torch.manual_seed(0)
    one, other = (
        BigGANBackbone(resolution=8, channels=1, width=4, preactivated_shortcut=choice)
        for choice in (True, False)
    )
    other.load_state_dict(one.state_dict())
    images = torch.randn(2, 1, 8, 8)
    assert not torch.allclose(one.eval()(images), other.eval()(images))


def optimise(loss, network):
    parameters = list(network.named_parameters())
    gradients = torch.autograd.grad(loss, [held for _, held in parameters], allow_unused=True)
    return {name: grad for (name, _), grad in zip(parameters, gradients, strict=True)}


def check_gradients(gradients, gates_closed):
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        behind = gates_closed and "attention" in name and not name.endswith("gate")
        # The key's and class vectors' gradient may vanish by symmetry; everything else must not.
        assert behind or gradient.count_nonzero() > 0, name


@pytest.mark.parametrize("adversarial", ADVERSARIAL)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("gate", [0.0, 0.5])
def test_every_parameter_gets_a_gradient(generator, backbone, head, adversarial, gate):
    torch.manual_seed(0)
    data = DataConfig(resolution=32, channels=3)
    G = build_generator(component(generator, width=8, latent_dim=16, shared_dim=8), data, 3)
    D = build_discriminator(component(backbone, width=8), component(head), data, 3)
    for network in (G, D):
        for name, parameter in network.named_parameters():
            if name.endswith("gate"):
                torch.nn.init.constant_(parameter, gate)
    loss = ADVERSARIAL[adversarial]
    real, labels = torch.rand(6, 3, 32, 32) * 2 - 1, torch.tensor([0, 0, 1, 1, 2, 2])
    z = torch.randn(6, 16)
    with torch.no_grad():
        fake = G(z, labels)
    on_real, on_fake = D(torch.cat([real, fake]), labels.repeat(2)).split([6, 6])
    # A scale keeps scores small, where no hinge is saturated.
    d_loss = loss.d(on_real.score * 1e-3, on_fake.score * 1e-3) + D.head.d_loss(on_real, on_fake)
    check_gradients(optimise(d_loss, D), gate == 0)
    output = D(G(z, labels), labels)
    g_loss = loss.g(output.score) + D.head.g_loss(output)
    check_gradients(optimise(g_loss, G), gate == 0)


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_the_head_is_normalised_as_its_backbone(head, spectral):
    data = DataConfig(resolution=8)
    backbone = component("biggan", width=4, spectral_norm=spectral)
    D = build_discriminator(backbone, component(head), data, 3)
    G = build_generator(
        component("biggan", width=4, attention_after=(1,), spectral_norm=spectral), data, 3
    )
    for network in (D, G):
        for name, held in network.named_modules():
            if hasattr(held, "weight"):  # G's class embedding is the published exception
                assert hasattr(held, "u") is (spectral and name != "shared"), name


def test_building_depends_on_the_seed_alone():
    held = EXPERIMENTS["digits/reacgan"]

    def build():
        torch.manual_seed(5)
        return build_generator(held.model.generator, held.data, 10).state_dict()

    one, other = build(), build()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.generator.latent_dim": 33}, "latent_dim is 33; at 8 pixels .* multiple of 2"),
        ({"model.generator.attention_after": (2,)}, "model.generator: attention_after holds 2, "),
        ({"model.backbone.attention_after": (0,)}, "model.backbone: attention_after holds 0, .*3"),
        ({"model.generator.name": "bigan"}, "unknown generator 'bigan'; did you mean 'biggan'"),
        ({"model.backbone.name": "x"}, "unknown backbone 'x'. Known: biggan"),
        ({"model.head.name": "x"}, "unknown head 'x'. Known: auxiliary"),
        ({"model.generator.num_classes": 3}, "model.generator.num_classes: unknown option"),
        ({"model.backbone.width": 0}, "model.backbone.width: Input should be greater than 0"),
        ({"loss.adversarial": "hinges"}, "unknown adversarial loss 'hinges'; did you mean 'hinge'"),
        ({"augment.name": "x"}, "unknown augmentation 'x'"),
    ],
)
def test_what_cannot_be_built_says_why(changes, message):
    held = EXPERIMENTS["digits/reacgan"].replace(**changes)
    with pytest.raises(ConfigError, match=message):
        full = complete(held)
        build_generator(full.model.generator, full.data, 10)
        build_discriminator(full.model.backbone, full.model.head, full.data, 10)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_complete_writes_every_option_out(name):
    full = complete(EXPERIMENTS[name])
    assert complete(full) == full
    assert "preactivated_shortcut" in full.model.backbone.options
    assert "attention_after" in full.model.generator.options


def test_a_member_from_outside_is_built(monkeypatch):
    class Constant(torch.nn.Module):
        def __init__(self, *, resolution: int, channels: int, num_classes: int, grey: float = 0.5):
            super().__init__()
            self.latent_dim = 1
            self.image = torch.full((channels, resolution, resolution), grey)

    monkeypatch.setitem(GENERATORS, "constant", Constant)
    built = build_generator(component("constant", grey=0.25), DataConfig(resolution=8), 3)
    assert built.image.shape == (3, 8, 8) and built.image.max() == 0.25
