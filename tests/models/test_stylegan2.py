"""StyleGAN2's generator: styles, mixing, noise, truncation, and its size."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.config import ConfigError, DataConfig, component
from reacgan.models import build_generator, count_parameters, statistics_frozen
from reacgan.models.stylegan2 import StyleGAN2Generator
from reacgan.models.stylegan2_layers import StyledConv
from reacgan.randomness import Draws

CLASSES, LATENT, STYLE = 3, 6, 5


def tiny(resolution=8, *, seed=0, classes=CLASSES, **options):
    """A generator in float64 whose noise is audible."""
    torch.manual_seed(seed)
    chosen = {"latent_dim": LATENT, "style_dim": STYLE, "mapping_layers": 2, "channel_max": 4}
    chosen.update(options)
    built = StyleGAN2Generator(resolution=resolution, channels=2, num_classes=classes, **chosen)
    with torch.no_grad():
        for layer in built.modules():
            if isinstance(layer, StyledConv):
                layer.noise_strength.fill_(0.5)
    return built.double()


def batch(count=4):
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(count, LATENT, generator=generator, dtype=torch.float64)
    return z, torch.arange(count) % CLASSES


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("resolution", [8, 32, (16, 24), 96])
def test_shapes_and_gradients(architecture, resolution):
    generator = tiny(resolution, architecture=architecture)
    images = generator(*batch(), Draws(0, "noise", 0))
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    assert images.shape == (4, 2, *size)
    images.square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("resolution", "classes", "options", "expected"),
    [(32, 10, {"mapping_layers": 2}, 20_215_315), (512, 3, {}, 30_540_775)],
)
def test_published_sizes(resolution, classes, options, expected):
    with torch.device("meta"):
        built = build_generator(
            component("stylegan2", **options), DataConfig(resolution=resolution), classes
        )
    assert count_parameters(built) == expected


def test_styles_normalise_latent_and_label():
    generator = tiny()
    z, labels = batch()
    weight, bias = generator.label.embedding.weight, generator.label.embedding.bias
    rows = []
    for latent, label in zip(z, labels, strict=True):
        vector = weight[:, label] / CLASSES**0.5 + bias
        parts = [part / (part.square().mean() + 1e-8).sqrt() for part in (latent, vector)]
        hidden = torch.cat(parts)
        for layer in generator.mapping_network:
            hidden = 0.01 * (layer.weight @ hidden / len(hidden) ** 0.5 + layer.bias)
            hidden = 2**0.5 * torch.where(hidden > 0, hidden, 0.2 * hidden)
        rows.append(hidden)
    torch.testing.assert_close(generator.styles(z, labels), torch.stack(rows))
    torch.testing.assert_close(generator.styles(3 * z, labels), torch.stack(rows))


def test_labels_may_be_mixed_and_have_a_strength():
    generator = tiny().eval()
    z, labels = batch()
    weights = torch.eye(CLASSES, dtype=torch.float64)[labels]
    assert torch.equal(generator(z, weights), generator(z, labels))
    halves = generator.styles(z[:1], torch.tensor([[0.5, 0.5, 0]]))
    assert not torch.equal(halves, generator.styles(z[:1], labels[:1]))
    generator.condition_strength.fill_(0)
    assert torch.equal(generator(z, labels), generator(z, (labels + 1) % CLASSES))
    generator.condition_strength.fill_(0.01)
    close = generator.styles(z, labels) - generator.styles(z, (labels + 1) % CLASSES)
    generator.condition_strength.fill_(1)
    far = generator.styles(z, labels) - generator.styles(z, (labels + 1) % CLASSES)
    assert 0 < close.norm() < 0.1 * far.norm()


def test_one_class_needs_no_embedding():
    generator = tiny(classes=1)
    assert generator.label is None
    z = batch()[0]
    assert generator(z, torch.zeros(4, dtype=torch.int64)).shape == (4, 2, 8, 8)


def test_activations_neither_vanish_nor_explode_at_first():
    # Zeros beyond the border and the blur of white noise cost a part; see the layers' tests.
    torch.manual_seed(0)
    generator = StyleGAN2Generator(
        resolution=32, channels=3, num_classes=3, latent_dim=64, style_dim=64, channel_max=64
    )
    z, labels = torch.randn(32, 64), torch.arange(32) % 3
    assert generator.styles(z, labels).square().mean().item() == pytest.approx(1.2, abs=0.4)
    found = []
    for layer in generator.modules():
        if isinstance(layer, StyledConv):
            layer.register_forward_hook(lambda *args: found.append(args[2].square().mean().item()))
    with torch.no_grad():
        generator(z, labels)
    assert len(found) == 7
    assert all(0.1 < moment < 1.1 for moment in found), found


def test_noise_comes_from_draws_in_training_alone():
    generator = tiny(mixing=0.0)
    z, labels = batch()
    still = generator(z, labels)
    assert torch.equal(still, generator(z, labels))
    noisy = generator(z, labels, Draws(0, "noise", 0))
    assert not torch.equal(noisy, still)
    assert torch.equal(noisy, generator(z, labels, Draws(0, "noise", 0)))
    assert not torch.equal(noisy, generator(z, labels, Draws(0, "noise", 1)))
    generator.eval()
    assert torch.equal(generator(z, labels, Draws(0, "noise", 0)), still)


def test_two_slices_of_draws_are_the_whole():
    generator = tiny(mixing=0.5)
    z, labels = batch(8)
    whole = generator(z, labels, Draws(3, "noise", 5))
    halves = [
        generator(z[part], labels[part], Draws(3, "noise", 5, rank=rank, world=2))
        for rank, part in enumerate([slice(0, 4), slice(4, 8)])
    ]
    torch.testing.assert_close(torch.cat(halves), whole)


def test_mixed_styles_change_from_a_layer_on():
    generator = tiny(resolution=32, mixing=0.5)
    z, labels = batch(400)
    w = generator.styles(z, labels)
    assert generator.layers == 8
    assert torch.equal(generator.mapping(z, labels), w[:, None].expand(-1, 8, -1))
    mixed = generator.mapping(z, labels, Draws(0, "noise", 0))
    assert torch.equal(mixed, generator.mapping(z, labels, Draws(0, "noise", 0)))
    changed = (mixed != w[:, None]).any(2)  # [N, layers]
    assert not changed[:, 0].any()
    assert torch.equal(changed, changed.cummax(1).values)  # once changed, changed to the end
    other = mixed[:, -1:].expand_as(mixed)
    assert torch.equal(mixed[changed], other[changed])
    assert changed[:, -1].double().mean().item() == pytest.approx(0.5, abs=0.08)
    crossovers = 8 - changed.sum(1)[changed[:, -1]]
    assert set(crossovers.tolist()) == set(range(1, 8))
    generator.eval()
    assert torch.equal(
        generator.mapping(z, labels, Draws(0, "noise", 0)), w[:, None].expand(-1, 8, -1)
    )


def test_each_layer_gets_its_own_style():
    generator = tiny(resolution=16).eval()
    w = generator.mapping(*batch())
    images = generator.synthesis(w)
    torch.testing.assert_close(generator.synthesis(w[:, 0]), images)
    for place in range(generator.layers):
        moved = w.clone()
        moved[:, place] += 1
        assert not torch.equal(generator.synthesis(moved), images), place


def test_the_mean_style_follows_training():
    generator = tiny()
    z, labels = batch()
    expected = torch.zeros(STYLE, dtype=torch.float64)
    for _ in range(2):
        generator(z, labels)
        expected = 0.995 * expected + 0.005 * generator.styles(z, labels).mean(0)
    torch.testing.assert_close(generator.mean_w, expected)
    with statistics_frozen(generator):
        generator(z, labels)
    generator.mapping(z, labels)
    generator.eval()(z, labels)
    torch.testing.assert_close(generator.mean_w, expected)


def test_truncation():
    generator = tiny().eval()
    z, labels = batch()
    generator.mean_w.copy_(torch.randn(STYLE))
    torch.testing.assert_close(generator.truncated(z, labels, psi=1), generator(z, labels))
    same = generator.truncated(z, labels, psi=0)
    torch.testing.assert_close(same, same[:1].expand_as(same))
    torch.testing.assert_close(
        generator.truncated(z, labels, psi=0, layers=0), generator(z, labels)
    )
    w = generator.styles(z, labels)
    half = generator.mean_w + 0.5 * (w - generator.mean_w)
    each = torch.stack([half, half, w, w], 1)
    torch.testing.assert_close(
        generator.truncated(z, labels, psi=0.5, layers=2), generator.synthesis(each)
    )
    with pytest.raises(ConfigError, match="layers 1 to 4"):
        generator.truncated(z, labels, psi=0.5, layers=5)


def test_weights_for_directions():
    generator = tiny(resolution=16)
    (weight,) = generator.latent_weights()
    assert weight.shape == (STYLE, LATENT)
    z, labels = batch(1)
    # The direction orthogonal to all rows moves nothing but the length of z, which does not count.
    null = torch.linalg.svd(weight.detach()).Vh[STYLE]
    z -= (z @ null) * null
    moved = z + null
    moved *= (z.square().mean() / moved.square().mean()).sqrt()
    shrunk = (moved @ z.T) / z.square().sum()
    before, after = (
        generator.mapping_network[0](torch.cat([half, generator.label(labels)], 1))
        for half in (shrunk * z, moved)
    )
    torch.testing.assert_close(before, after)
    matrices = generator.style_weights()
    assert [tuple(matrix.shape) for matrix in matrices] == [(4, STYLE)] * 5


def test_no_wait_for_the_device():
    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            forbidden = ("_local_scalar_dense", "nonzero", "masked_select")
            assert not any(name in str(func) for name in forbidden), func
            return func(*args, **(kwargs or {}))

    generator, given = tiny(), batch()
    with Watch():
        generator(*given, Draws(0, "noise", 0)).sum().backward()
