"""Codes in z: what the inner generator sees, and everything else as it was."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from reacgan.assembly import complete
from reacgan.config import CodesConfig, ConfigError, DataConfig, component, parse_experiment
from reacgan.heads import read_codes
from reacgan.models import build_discriminator, build_generator
from reacgan.models.codes import CodedGenerator

CODES = CodesConfig(discrete=(3, 2), continuous=2)
DATA = DataConfig(resolution=8, channels=1)
BIGGAN = component("biggan", width=4, latent_dim=20, shared_dim=4)


def generator(seed: int = 0) -> CodedGenerator:
    torch.manual_seed(seed)
    built = build_generator(BIGGAN, DATA, 3, CODES)
    assert isinstance(built, CodedGenerator)
    return built


def normal(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 20, generator=torch.Generator().manual_seed(seed))


def test_the_inner_generator_sees_codes_and_the_rest_of_z() -> None:
    z = normal(6)
    seen = generator().coded(z)
    assert seen.shape == z.shape
    assert torch.equal(seen[:, 7:], z[:, 7:])
    for row, entries in zip(seen.tolist(), z.tolist(), strict=True):
        for start, count in ((0, 3), (3, 2)):
            group = entries[start : start + count]
            for k in range(count):
                hot = float(group[k] == max(group))
                expected = (hot - 1 / count) / math.sqrt((1 / count) * (1 - 1 / count))
                assert row[start + k] == pytest.approx(expected, abs=1e-5)
        for k in (5, 6):
            expected = math.erf(entries[k] / math.sqrt(2)) * math.sqrt(3)
            assert row[k] == pytest.approx(expected, abs=1e-5)


def test_what_it_sees_has_mean_0_and_variance_1() -> None:
    seen = generator().coded(normal(40_000))
    assert seen.mean(dim=0).abs().max() < 0.02
    assert (seen.var(dim=0) - 1).abs().max() < 0.03


def test_images_depend_on_codes_alone_among_the_coded_entries() -> None:
    G, labels = generator().eval(), torch.zeros(4, dtype=torch.int64)
    z = normal(4)
    other = z.clone()
    other[:, :5] *= 3  # the largest stays the largest
    assert torch.equal(G(z, labels), G(other, labels))
    other[:, 5] += 0.5
    assert not torch.equal(G(z, labels), G(other, labels))
    other = z.clone()
    other[:, :3] = -other[:, :3]
    assert not torch.equal(read_codes(CODES, z).discrete[0], read_codes(CODES, other).discrete[0])
    assert not torch.equal(G(z, labels), G(other, labels))
    assert torch.equal(G(z, labels), G.inner(G.coded(z), labels))
    mixed = torch.eye(3)[labels]
    assert torch.allclose(G(z, mixed), G(z, labels), atol=1e-6)


def test_there_is_one_strength_and_it_is_the_inner_generators() -> None:
    G = generator()
    G.condition_strength.fill_(0.25)
    assert G.inner.condition_strength == 0.25
    held = G.state_dict()
    assert [key for key in held if key.endswith("condition_strength")] == [
        "inner.condition_strength"
    ]
    twice = copy.deepcopy(G)
    twice.condition_strength.fill_(1.0)
    assert G.condition_strength == 0.25
    other = generator(seed=1)
    other.load_state_dict(held)
    z, labels = normal(2), torch.tensor([0, 1])
    assert torch.equal(other.eval()(z, labels), G.eval()(z, labels))


def test_directions_lie_beside_the_codes() -> None:
    G = generator()
    for mine, inner in zip(G.latent_weights(), G.inner.latent_weights(), strict=True):
        assert torch.count_nonzero(mine[:, :7]) == 0
        assert torch.equal(mine[:, 7:], inner[:, 7:])


class Styled(torch.nn.Module):
    """What a generator with styles has beside images."""

    latent_dim, num_classes, layers = 20, 3, 4

    def mapping(self, z: Tensor, labels: Tensor, draws: Any = None) -> Tensor:
        return 2 * z

    def synthesis(self, w: Tensor, draws: Any = None) -> Tensor:
        return w + 1

    def truncated(self, z: Tensor, labels: Tensor, *, psi: float, layers: Any = None) -> Tensor:
        return psi * z


def test_styles_come_from_coded_z() -> None:
    inner: Any = Styled()
    G, z, labels = CodedGenerator(inner, CODES), normal(2), torch.tensor([0, 1])
    assert torch.equal(G.mapping(z, labels), 2 * G.coded(z))
    assert torch.equal(G.mapping(z, labels, None), 2 * G.coded(z))
    assert torch.equal(G.synthesis(z), z + 1)
    assert torch.equal(G.truncated(z, labels, psi=0.5), 0.5 * G.coded(z))
    assert G.layers == 4
    assert not hasattr(generator(), "mapping")
    with pytest.raises(ConfigError, match="has no styles"):
        generator().truncated(z, labels, psi=0.5)


def experiment(**model: Any) -> Any:
    tree = {"generator": BIGGAN.model_dump(), "backbone": {"name": "biggan", "width": 4}, **model}
    return parse_experiment({"name": "x", "model": tree, "data": DATA.model_dump()})


def test_codes_and_head_go_together_in_an_experiment() -> None:
    with pytest.raises(ConfigError, match=r"model\.codes: the head infogan needs codes"):
        complete(experiment(head={"name": "infogan"}))
    with pytest.raises(ConfigError, match=r"model\.codes: the head d2dce predicts no codes"):
        complete(experiment(codes={"continuous": 1}))
    full = complete(experiment(head={"name": "infogan"}, codes=CODES.model_dump()))
    assert full.model.codes == CODES
    head = build_discriminator(full.model.backbone, full.model.head, DATA, 3, full.model.codes).head
    assert head.codes == CODES


def test_more_codes_than_z_can_hold_are_refused() -> None:
    codes = CodesConfig(discrete=(10, 10))
    with pytest.raises(ConfigError, match=r"take 20 entries of z, which has 20; .*latent_dim"):
        build_generator(BIGGAN, DATA, 3, codes)
