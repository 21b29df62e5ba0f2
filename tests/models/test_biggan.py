from __future__ import annotations

import inspect

import network_cases as cases
import pytest
import torch
from torch.nn import functional as F

from reacgan.assembly import complete
from reacgan.config import ConfigError, DataConfig, component
from reacgan.experiments import EXPERIMENTS
from reacgan.losses import ADVERSARIAL
from reacgan.models import (
    BACKBONES,
    GENERATORS,
    build_discriminator,
    build_generator,
    count_parameters,
)
from reacgan.models.biggan import BigGANBackbone, BigGANGenerator
from reacgan.models.residual import BackboneBlock, GeneratorBlock

HEADS = ["unconditional", "projection", "auxiliary", "contrastive", "d2dce"]

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
        6, out_channels, down=down, first=first, norm="none", preactivated_shortcut=preactivated
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


@pytest.mark.parametrize("resolution", [20, 96, (8, 12), (48, 32)])
def test_sizes_between(resolution):
    generator = component("biggan", width=2, attention_after=(1,))
    cases.check_shapes(generator, component("biggan", width=2), resolution, 3)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("spectral", [True, False])
def test_every_parameter_gets_a_gradient(head, spectral):
    options = {"width": 8, "spectral_norm": spectral, "attention_after": (1,)}
    cases.check_gradients(component("biggan", **options), component("biggan", **options), head)


@pytest.mark.parametrize("adversarial", sorted(set(ADVERSARIAL) - {"none"}))
def test_every_adversarial_loss_reaches_every_parameter(adversarial):
    G, D = cases.built(component("biggan", width=8), component("biggan", width=8))
    loss = ADVERSARIAL[adversarial]
    z, real = torch.randn(4, G.latent_dim), torch.rand(4, 3, 16, 16) * 2 - 1
    labels = cases.LABELS
    # A scale keeps scores small, where no hinge is saturated.
    on_real, on_fake = D.compare((real, labels), (G(z, labels).detach(), labels))
    d_loss = loss.d(on_real.score * 1e-3, on_fake.score * 1e-3)
    real_score = on_real.score.detach() if loss.paired else None
    g_loss = loss.g(D(G(z, labels), labels).score, real_score)
    for network, value in ((D, d_loss), (G, g_loss)):
        names, parameters = zip(*network.named_parameters(), strict=True)
        for name, gradient in zip(names, torch.autograd.grad(value, parameters), strict=True):
            # Losses of differences do not depend on the score's offset.
            free = name == "head.score.bias" and adversarial in ("relativistic", "wasserstein")
            assert gradient.isfinite().all() and (free or gradient.count_nonzero() > 0), name


def test_behind_a_closed_gate_only_the_gate_learns():
    G, _ = cases.built(component("biggan", width=2, attention_after=(1,)), component("biggan"))
    layer = G.attention["1"]
    G(torch.randn(4, G.latent_dim), cases.LABELS).square().sum().backward()
    assert layer.gate.grad.count_nonzero() == 1
    assert layer.query.weight.grad.count_nonzero() == 0


@pytest.mark.parametrize("spectral", [True, False])
def test_the_contract(spectral):
    generator = component("biggan", width=2, shared_dim=5, spectral_norm=spectral)
    backbone = component("biggan", width=4, spectral_norm=spectral, attention_after=(1,))
    cases.check_labels(generator, backbone)
    cases.check_latent_weights(generator, backbone)
    cases.check_precisions(generator, backbone)
    cases.check_independence(generator, backbone, coupled=False)
    cases.check_stages(backbone)


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
    with pytest.raises(ConfigError, match=message):
        full = complete(EXPERIMENTS["digits/reacgan"].replace(**changes))
        build_generator(full.model.generator, full.data, 10)
        build_discriminator(full.model.backbone, full.model.head, full.data, 10)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_complete_writes_every_option_out(name):
    full = complete(EXPERIMENTS[name])
    assert complete(full) == full
    for member, written in (
        (GENERATORS[full.model.generator.name], full.model.generator.options),
        (BACKBONES[full.model.backbone.name], full.model.backbone.options),
    ):
        wanted = inspect.getfullargspec(member.__init__).kwonlyargs
        assert set(written) == set(wanted) - {"resolution", "channels", "num_classes"}


def test_a_member_from_outside_is_built(monkeypatch):
    class Constant(torch.nn.Module):
        def __init__(self, *, resolution: int, channels: int, num_classes: int, grey: float = 0.5):
            super().__init__()
            self.latent_dim = 1
            self.image = torch.full((channels, resolution, resolution), grey)

    monkeypatch.setitem(GENERATORS, "constant", Constant)
    built = build_generator(component("constant", grey=0.25), DataConfig(resolution=8), 3)
    assert built.image.shape == (3, 8, 8) and built.image.max() == 0.25
