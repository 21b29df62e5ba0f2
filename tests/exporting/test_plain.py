"""Constant weights give the images of the generator, for every network and option."""

from __future__ import annotations

import pytest
import torch
from networks import CODES, EVERY, MEMBERS, STYLES, network

from reacgan.config import ConfigError
from reacgan.exporting import plain_generator
from reacgan.exporting.export import HALF_TOLERANCE
from reacgan.exporting.plain import as_it_is
from reacgan.models import GENERATORS
from reacgan.models.norm_statistics import normalise_by_batch, own_statistics, put_statistics


def apart(plain, generator, *, psi=None, count=5):
    z, labels, *rest = plain.example(count, seed=1)
    if psi is None:
        expected = generator(z, labels)
    else:
        expected, rest = generator.truncated(z, labels, psi=psi), [torch.tensor([psi])]
    return float((plain(z, labels, *rest) - expected.clamp(-1, 1)).abs().max())


def test_every_family_has_a_member_here():
    assert {options["name"] for options in MEMBERS.values()} == set(GENERATORS)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("resolution", "channels"), [(8, 3), ((16, 24), 1), (12, 4)])
def test_the_images_are_the_generators(name, resolution, channels):
    generator = network(EVERY[name], resolution=resolution, channels=channels)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    plain = plain_generator(generator)
    assert generator(*plain.example(2)).std() > 0.05
    assert apart(plain, generator) < 1e-5
    after = generator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", MEMBERS)
def test_half_precision_stays_within_its_tolerance(name):
    generator = network(MEMBERS[name], resolution=16)
    plain = plain_generator(generator, half=True)
    kinds = {value.dtype for value in plain.parameters() if value.dim() == 4}
    assert torch.float16 in kinds
    assert plain(*plain.example(1)).dtype == torch.float32
    assert 1e-6 < apart(plain, generator) < HALF_TOLERANCE / 2


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_left_to_work_out(name):
    plain = plain_generator(network(EVERY[name]))
    kept = {key.rpartition(".")[2] for key in plain.state_dict()}
    assert not kept & {"u", "v", "noise_strength"}
    assert not any(value.requires_grad for value in plain.parameters())


def test_statistics_of_its_own_and_switches_that_are_on():
    generator = network(MEMBERS["biggan"])
    put_statistics(generator, own_statistics(generator, images=64))
    assert apart(plain_generator(generator), generator) < 1e-5
    for layer in generator.modules():
        for name in ("kernels", "merged_convolutions"):
            if hasattr(layer, name):
                setattr(layer, name, name == "kernels")
    plain = plain_generator(generator)
    assert not any(getattr(layer, "kernels", False) for layer in plain.modules())
    assert apart(plain, generator) < 1e-5


@pytest.mark.parametrize("psi", [0.0, 0.6, 1.0])
def test_psi_is_an_input(psi):
    generator = network(STYLES)
    assert apart(plain_generator(generator, psi=True), generator, psi=psi) < 1e-5


def test_codes_and_a_single_class():
    generator = network(STYLES, codes=CODES)
    assert apart(plain_generator(generator), generator) < 1e-5
    assert apart(plain_generator(generator, psi=True), generator, psi=0.5) < 1e-5
    single = network(STYLES, classes=1)
    assert apart(plain_generator(single), single) < 1e-5


def test_bytes_are_those_of_sampling():
    from reacgan.sampling.pixels import to_uint8

    generator = network(MEMBERS["r3gan"])
    plain = plain_generator(generator, output="uint8")
    inputs = plain.example(4)
    assert plain(*inputs).dtype == torch.uint8
    assert torch.equal(plain(*inputs), to_uint8(generator(*inputs)))


def test_images_beyond_the_range_are_clipped():
    generator = network(MEMBERS["r3gan"])
    generator.output.weight.data.mul_(8)
    plain = plain_generator(generator)
    inputs = plain.example(4)
    assert generator(*inputs).abs().max() > 1.5
    assert torch.equal(plain(*inputs), as_it_is(generator)(*inputs))
    assert plain(*inputs).abs().max() == 1


def test_what_cannot_be_exported():
    generator = network(MEMBERS["biggan"])
    with pytest.raises(ConfigError, match="BigGANGenerator has no styles"):
        plain_generator(generator, psi=True)
    normalise_by_batch(generator)
    with pytest.raises(ConfigError, match="statistics is 'batch'.*own, moving or standing"):
        plain_generator(generator)
