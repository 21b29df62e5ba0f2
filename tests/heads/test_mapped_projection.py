"""Equalised layers, mapped labels and the projection on them, against slow forms."""

from __future__ import annotations

import pytest
import torch

from reacgan.config import component
from reacgan.heads import build_head
from reacgan.heads.equalised import EQUALISED_LAYERS, EqualisedLinear, LabelMapping

CLASSES, FEATURES = 3, 6


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def head_of(**options):
    return build_head(
        component("mapped_projection", **options),
        in_features=FEATURES,
        num_classes=CLASSES,
        layers=EQUALISED_LAYERS,
    ).double()


def mapped(mapping, weights):
    """The mapping of one row of class weights, by its formula."""
    first = mapping.embedding
    hidden = first.weight @ weights / len(weights) ** 0.5 + first.bias
    hidden = hidden / (hidden.square().mean() + 1e-8).sqrt()
    for layer in mapping.layers:
        hidden = 0.01 * (layer.weight @ hidden / len(hidden) ** 0.5 + layer.bias)
        hidden = 2**0.5 * torch.where(hidden > 0, hidden, 0.2 * hidden)
    return hidden


@pytest.mark.parametrize("layers", [0, 1, 8])
@pytest.mark.parametrize("width", [None, 4])
def test_score_is_the_scaled_product(layers, width):
    head = head_of(mapping_layers=layers, width=width)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    features, labels = torch.randn(4, FEATURES).double(), torch.tensor([0, 2, 1, 2])
    output = head(features, labels)
    for score, row, label in zip(output.score, features, labels, strict=True):
        one_hot = torch.zeros(CLASSES).double()
        one_hot[label] = 1
        vector = mapped(head.mapping, one_hot)
        projected = head.projection.weight @ row / FEATURES**0.5 + head.projection.bias
        expected = (projected * vector).sum() / len(vector) ** 0.5
        torch.testing.assert_close(score, expected)


def test_defaults_are_eight_layers_of_the_features_width():
    head = head_of()
    assert len(head.mapping.layers) == 8
    assert head.projection.out_features == FEATURES


def test_strength_zero_forgets_the_label_but_still_judges():
    head = head_of(mapping_layers=2)
    features = torch.randn(4, FEATURES).double()
    first, second = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 2])
    head.condition_strength.fill_(0)
    scores = head(features, first).score
    assert torch.equal(scores, head(features, second).score)
    uniform = mapped(head.mapping, torch.full((CLASSES,), 1 / CLASSES).double())
    expected = head.projection(features) @ uniform / FEATURES**0.5
    torch.testing.assert_close(scores, expected)
    assert scores.abs().min() > 0


def test_every_parameter_learns_and_losses_are_zero():
    head = head_of(mapping_layers=2)
    output = head(torch.randn(6, FEATURES).double(), torch.arange(6) % CLASSES)
    assert head.d_loss(output, output) == head.g_loss(output) == 0
    output.score.square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_equalised_layers_keep_unit_variance_and_scale_their_step(multiplier):
    layer = EqualisedLinear(256, 512, lr_multiplier=multiplier, bias_start=1.0)
    assert layer.weight.std().item() == pytest.approx(1 / multiplier, rel=0.02)
    output = layer(torch.randn(64, 256))
    assert (output - 1).square().mean().item() == pytest.approx(1, rel=0.05)
    leaky = EqualisedLinear(256, 512, lr_multiplier=multiplier, leaky=True)
    assert leaky(torch.randn(64, 256)).square().mean().item() == pytest.approx(1.04, rel=0.05)
    # A step of one size in each parameter moves the output by the multiplier.
    values = torch.randn(1, 256)
    before = layer(values)
    with torch.no_grad():
        layer.bias += 1
        layer.weight += 1
    moved = layer(values) - before
    expected = multiplier * (1 + values.sum() / 16)
    torch.testing.assert_close(moved, expected.expand_as(moved), rtol=1e-3, atol=1e-4)


def test_equalised_layers_ignore_autocast():
    layer = EqualisedLinear(8, 4)
    values = torch.randn(3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(values), layer(values))
        narrow = layer(values)
    assert torch.equal(narrow, layer(values))
    assert layer(values.bfloat16()).dtype == torch.float32
    assert EqualisedLinear(8, 4, False).bias is None


def test_labels_of_any_shape_and_mixtures():
    mapping = LabelMapping(CLASSES, 4)
    grid = torch.tensor([[0, 1], [2, 0]])
    vectors = mapping(grid)
    assert vectors.shape == (2, 2, 4)
    torch.testing.assert_close(vectors[1, 0], mapping(torch.tensor([2]))[0])
    one_hot = torch.eye(CLASSES)
    torch.testing.assert_close(mapping(one_hot), mapping(torch.arange(CLASSES)))
    mixture = torch.tensor([0.2, 0.3, 0.5])
    torch.testing.assert_close(mapping(mixture[None])[0], mapped(mapping, mixture))
