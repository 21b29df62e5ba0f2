"""What every convolutional family must do, for the tests of each."""

from __future__ import annotations

import torch
from torch import nn

from reacgan.config import DataConfig, component, size_of
from reacgan.models import (
    build_discriminator,
    build_generator,
    count_parameters,
    power_iteration_frozen,
)

SIZES = [8, 16, 32, 64, 128, 20, 24, (8, 12), (48, 32)]
LABELS = torch.tensor([0, 1, 2, 0])


def built(generator, backbone, *, resolution=16, channels=3, head="projection", seed=0):
    torch.manual_seed(seed)
    data = DataConfig(resolution=resolution, channels=channels)
    return (
        build_generator(generator, data, 3),
        build_discriminator(backbone, component(head), data, 3),
    )


def counts(generator, backbone, head, *, resolution=32, classes=10):
    data = DataConfig(resolution=resolution)
    with torch.device("meta"):
        networks = (
            build_generator(generator, data, classes),
            build_discriminator(backbone, component(head), data, classes),
        )
    return [count_parameters(network) for network in networks]


def check_shapes(generator, backbone, resolution, channels):
    G, D = built(generator, backbone, resolution=resolution, channels=channels)
    images = G(torch.randn(2, G.latent_dim), torch.tensor([0, 2]))
    assert images.shape == (2, channels, *size_of(resolution))
    assert images.isfinite().all() and images.std() > 0
    features = D.backbone(images)
    assert features.shape == (2, D.backbone.out_features)
    assert features.isfinite().all() and features.std() > 0


def check_precisions(generator, backbone):
    G, D = built(generator, backbone)
    z, labels = torch.randn(4, G.latent_dim), LABELS
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = D(G(z, labels), labels).score
    assert narrow.isfinite().all()
    G, D = G.double().eval(), D.double().eval()
    images = G(z.double(), labels)
    assert images.dtype == torch.float64
    score = D(images, labels).score
    torch.testing.assert_close(
        D(images.contiguous(memory_format=torch.channels_last), labels).score, score
    )
    torch.testing.assert_close(
        D(images.contiguous(), labels).score, score
    )  # the network gives channels_last by itself


def check_labels(generator, backbone, *, conditional=True):
    G = built(generator, backbone)[0].eval()
    z = torch.randn(4, G.latent_dim)
    plain = G(z, LABELS)
    one_hot = torch.eye(3)[LABELS]
    torch.testing.assert_close(G(z, one_hot), plain)
    other = G(z, (LABELS + 1) % 3)
    mixed = G(z, (one_hot + one_hot.roll(1, 1)) / 2)
    assert torch.equal(other, plain) is not conditional
    assert torch.equal(mixed, plain) is not conditional
    G.condition_strength.fill_(0)
    torch.testing.assert_close(G(z, LABELS), G(z, (LABELS + 1) % 3))


def check_gradients(generator, backbone, head="projection"):
    """One step of D and one of G reach every parameter, behind opened gates."""
    G, D = built(generator, backbone, head=head)
    with torch.no_grad():
        for network in (G, D):
            for name, parameter in network.named_parameters():
                if name.endswith("gate"):
                    parameter.fill_(0.5)
    z, real = torch.randn(4, G.latent_dim), torch.rand(4, 3, 16, 16) * 2 - 1
    on_real, on_fake = D.compare((real, LABELS), (G(z, LABELS).detach(), LABELS))
    d_loss = on_fake.score.square().mean() - on_real.score.mean() + D.head.d_loss(on_real, on_fake)
    output = D(G(z, LABELS), LABELS)
    g_loss = -output.score.mean() + D.head.g_loss(output)
    for network, loss in ((D, d_loss), (G, g_loss)):
        names, parameters = zip(*network.named_parameters(), strict=True)
        for name, gradient in zip(
            names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True
        ):
            assert gradient is not None and gradient.isfinite().all(), name
            assert gradient.count_nonzero() > 0, name


def check_latent_weights(generator, backbone):
    """Moving z by d moves the layers that z enters by what the matrices make of d."""
    G = built(generator, backbone)[0].double()
    with power_iteration_frozen(G):
        before = {name: buffer.clone() for name, buffer in G.named_buffers()}
        matrices = G.latent_weights()
        for name, buffer in G.named_buffers():
            assert torch.equal(before[name], buffer), name
        assert all(matrix.shape[1] == G.latent_dim for matrix in matrices)
        assert not any(matrix.requires_grad for matrix in matrices)
        seen = []
        for layer in G.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_hook(lambda _layer, _given, out: seen.append(out[0]))
        z, move = torch.randn(2, 1, G.latent_dim, dtype=torch.float64)
        G(z, LABELS[:1])
        first = torch.cat(seen)
        seen.clear()
        G(z + move, LABELS[:1])
        moved = torch.cat(seen) - first
    expected = torch.cat(matrices) @ move[0]
    moved = moved[moved != 0]
    torch.testing.assert_close(moved.sort().values, expected.sort().values)


def check_stages(backbone):
    D = built(component("dcgan", width=1, latent_dim=2), backbone)[1].backbone
    stages = D.stages()
    assert len(stages) > 1
    held = [id(parameter) for stage in stages for parameter in stage.parameters()]
    assert len(held) == len(set(held)) and set(held) <= {id(one) for one in D.parameters()}
    rest = [name for name, one in D.named_parameters() if id(one) not in set(held)]
    assert rest in ([], ["basis"])
    assert any(one.dim() == 4 and one.shape[1] == 3 for one in stages[0].parameters())


def check_independence(generator, backbone, *, coupled):
    """Each sample is judged by itself, or the backbone says that it is not."""
    D = built(generator, backbone)[1].double()
    images = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    with power_iteration_frozen(D):
        together = D.backbone(images)
        apart = torch.cat([D.backbone(images[:2]), D.backbone(images[2:])])
    assert D.backbone.couples_samples is coupled
    assert torch.allclose(together, apart, atol=1e-9) is not coupled


def check_spectral(network, *, spectral, but=()):
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding) and name not in but:
            assert hasattr(layer, "u") is spectral, name
