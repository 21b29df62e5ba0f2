"""Networks that no step was made with yet, in evaluation mode."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from reacgan.assembly import complete
from reacgan.experiments import EXPERIMENTS
from reacgan.kernels.matrices import as_matrix
from reacgan.models import build_generator
from reacgan.models.layers import SpectralConv2d, SpectralEmbedding, SpectralLinear
from reacgan.models.spectral import SpectralNorm

NAMES = [f"cifar10-small/{name}" for name in ("biggan-deep", "reacgan", "sagan", "sngan", "r3gan")]
MOST = 100.0
"""Of any activation. With u and v drawn apart it was 1e14 to 1e39 in the first three."""


@pytest.mark.parametrize("name", NAMES)
def test_an_untrained_generator_is_finite_in_evaluation_mode(name: str) -> None:
    torch.manual_seed(0)
    experiment = complete(EXPERIMENTS[name])
    model = experiment.model
    generator = build_generator(model.generator, experiment.data, 10, model.codes).eval()
    largest: list[tuple[float, str]] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...], made: object) -> None:
        if isinstance(made, Tensor):
            largest.append((float(made.abs().max()), type(layer).__name__))

    for layer in generator.modules():
        layer.register_forward_hook(note)
    with torch.no_grad():
        images = generator(torch.randn(8, generator.latent_dim), torch.arange(8))
    assert images.isfinite().all()
    assert images.abs().mean() < 0.9  # not all of them black or white
    assert max(largest)[0] < MOST, max(largest)


@pytest.mark.parametrize(
    "layer",
    [SpectralConv2d(5, 7, 3), SpectralLinear(6, 9), SpectralEmbedding(9, 6)],
    ids=["convolution", "linear", "embedding"],
)
def test_the_vectors_of_a_new_layer_belong_together(layer: SpectralNorm) -> None:
    """v is W^T u, normalised: sigma is the length of W^T u, not a product of two unrelated vectors."""
    sigma, u, _ = layer.eval().norm_vectors()
    image = as_matrix(layer.weight.detach(), layer.resample).t().mv(u)
    torch.testing.assert_close(sigma, image.norm())


def test_training_begins_with_u_alone() -> None:
    """So what v is before the first step changes no training but one that asks D before it (LOGAN)."""
    torch.manual_seed(0)
    layer = SpectralConv2d(5, 7, 3).train()
    u = layer.u.clone()
    first = layer.normalised_weight().detach().clone()
    layer.u.copy_(u)
    layer.v.normal_()
    assert torch.equal(layer.normalised_weight(), first)
