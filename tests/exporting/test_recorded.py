"""Networks as they are: recorded by other tools without :mod:`reacgan.exporting`."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from networks import EVERY, MEMBERS, network

from reacgan.config import DataConfig, component
from reacgan.heads import HEADS
from reacgan.models import BACKBONES, build_discriminator, set_switches

BACKBONE_OPTIONS = {
    "stylegan2": {"channel_base": 256, "channel_max": 16},
    **{name: {"width": 16} for name in ("biggan", "biggan_deep", "resnet", "dcgan", "r3gan")},
}


@pytest.fixture(autouse=True)
def _deprecations():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def inputs_of(generator, count):
    random = torch.Generator().manual_seed(count)
    z = torch.randn(count, generator.latent_dim, generator=random)
    return z, torch.arange(count) % generator.num_classes


def traced(module, *inputs):
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(module, inputs, check_trace=False), file)
    file.seek(0)
    return torch.jit.load(file)


def check(recorded, generator):
    for count in (1, 3, 8):
        inputs = inputs_of(generator, count)
        torch.testing.assert_close(recorded(*inputs), generator(*inputs), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_trace_of_every_generator(name):
    generator = network(EVERY[name], resolution=16)
    check(traced(generator, *inputs_of(generator, 2)), generator)


def test_trace_where_kernels_are_on():
    generator = network(MEMBERS["biggan"])
    set_switches(generator, kernels=True)
    generator(*inputs_of(generator, 2))  # after a first pass, weights are prepared together
    check(traced(generator, *inputs_of(generator, 2)), generator)
    assert generator.kernels and generator.blocks[0].conv1.kernels


@pytest.mark.parametrize("name", BACKBONES)
def test_trace_of_every_backbone(name):
    data = DataConfig(resolution=16, channels=3)
    options = component(name, **BACKBONE_OPTIONS[name])
    judge = build_discriminator(options, component(next(iter(HEADS))), data, 3).backbone.eval()
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(traced(judge, images[:4])(images), judge(images))


@pytest.mark.parametrize(
    "name", ["biggan, many outputs", pytest.param("stylegan2", marks=pytest.mark.slow)]
)
def test_export_of_pytorch(name):
    generator = network(EVERY[name])
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(generator, inputs_of(generator, 2), dynamic_shapes=(batch, batch))
    check(program.module(), generator)
    assert "conv2d" in str(program.graph) and "col2im" not in str(program.graph)


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_onnx_of_pytorch(name, dynamo, tmp_path):
    from reacgan.exporting.onnx_file import read_onnx

    generator = network(MEMBERS[name])
    how = (
        {"dynamic_shapes": ({0: "batch"}, {0: "batch"})}
        if dynamo
        else {"dynamic_axes": {"z": {0: "batch"}, "labels": {0: "batch"}}}
    )
    torch.onnx.export(
        generator,
        inputs_of(generator, 2),
        tmp_path / "g.onnx",
        input_names=["z", "labels"],
        output_names=["images"],
        dynamo=dynamo,
        **how,
    )
    check(read_onnx(tmp_path / "g.onnx"), generator)
