"""The statistics that fit an averaged generator: closed forms, the bound, files."""

from __future__ import annotations

import json
import math

import pytest
import torch

from reacgan import hub, sample
from reacgan.config import ConfigError, Experiment
from reacgan.hub.folder import check_digests, read_config
from reacgan.models import build_generator
from reacgan.models.norm_statistics import (
    BOUND,
    batch_norms,
    distance,
    fit_statistics,
    own_statistics,
    put_statistics,
    statistics_in_words,
    statistics_of,
    with_moving,
    with_own,
)
from reacgan.models.norms import BATCH_NORM_EPS, BatchNorm
from reacgan.models.spectral import SpectralNorm
from reacgan.models.trained import TrainedGenerator
from reacgan.randomness import Draws
from reacgan.records import sealed
from reacgan.sampling import with_statistics

NAMES = ("cat", "dog", "owl")


def make(name="biggan", *, dtype=torch.float32, lag=1.0):
    """A generator whose stored statistics are its own but for a factor on every deviation."""
    sized = {
        "biggan": {"width": 4, "latent_dim": 4, "shared_dim": 4, "attention_after": (1,)},
        "stylegan2": {"channel_base": 64, "channel_max": 8, "latent_dim": 8, "style_dim": 8},
        "r3gan": {"width": 4},
    }
    held = Experiment(name="tiny").replace(
        **{"data.name": "digits", "data.resolution": 8, "data.channels": 1},
        **{"model.generator": {"name": name, **sized[name]}},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = build_generator(held.model.generator, held.data, len(NAMES)).to(dtype)
        for parameter in generator.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
    generator.eval().requires_grad_(False)
    put_statistics(generator, own_statistics(generator))
    for layer in batch_norms(generator).values():
        layer.running_var.mul_(lag**2)
    return TrainedGenerator(generator, held, NAMES, 1_000)


def images_of(model):
    return torch.stack([one.image for one in sample(model, "all", 3)])


def given_to(layer, generator, batches, batch):
    """All that a layer is given in these passes, [N, C, ...]."""
    given = []
    hook = layer.register_forward_pre_hook(lambda _, images: given.append(images[0].clone()))
    own_statistics_of_passes(generator, batches, batch)
    hook.remove()
    return torch.cat(given)


def own_statistics_of_passes(generator, batches, batch):
    for index in range(batches):
        draws = Draws(0, "own statistics", index)
        z, labels = draws.normal(batch, generator.latent_dim), draws.integers(batch, high=3)
        generator(z.to(next(generator.parameters()).dtype), labels)


def test_of_one_pass_they_are_those_of_training():
    """Normalised with them, the images of the pass are those that its own batch gives in training."""
    generator = make(dtype=torch.float64).generator
    put_statistics(generator, own_statistics(generator, images=12, batch=12))
    draws = Draws(0, "own statistics", 0)
    z, labels = draws.normal(12, 4).double(), draws.integers(12, high=3)
    ours = generator(z, labels)
    for layer in batch_norms(generator).values():
        layer.train()
    assert (ours - generator(z, labels)).abs().max() < 1e-9


def test_of_many_passes_they_are_those_of_all_images_together():
    """The first norm: what it is given depends on no other norm."""
    generator = make(dtype=torch.float64).generator
    own = own_statistics(generator, images=30, batch=6)
    name, first = next(iter(batch_norms(generator).items()))
    put_statistics(generator, own)
    images = given_to(first, generator, 5, 6)
    variance, mean = torch.var_mean(images, (0, 2, 3), correction=0)
    torch.testing.assert_close(own[f"{name}.running_mean"], mean)
    torch.testing.assert_close(own[f"{name}.running_var"], variance)


def test_singular_vectors_are_those_of_the_weight():
    generator = make().generator
    put_statistics(generator, own_statistics(generator, images=64))
    layers = [layer for layer in generator.modules() if isinstance(layer, SpectralNorm)]
    assert len(layers) > 4
    for layer in layers:
        sigma = torch.linalg.svdvals(layer.weight.flatten(1).double())[0]
        estimate = torch.dot(layer.u, layer.weight.flatten(1).mv(layer.v))
        assert abs(float(estimate / sigma) - 1) < 2e-3


def test_they_are_a_function_of_the_weights_alone():
    generator = make().generator
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    random = torch.random.get_rng_state()
    first, again = own_statistics(generator), own_statistics(generator)
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(torch.equal(before[name], held) for name, held in generator.state_dict().items())
    for layer in batch_norms(generator).values():
        layer.running_var.mul_(100)
        layer.running_mean.add_(3)
    third = own_statistics(generator)
    assert all(torch.equal(first[name], third[name]) for name in first)
    other = own_statistics(generator, seed=1)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_distance():
    layers = torch.nn.ModuleDict({"a": BatchNorm(4, affine=False), "b": BatchNorm(1, affine=False)})
    own = {
        "a.running_mean": torch.zeros(4),
        "a.running_var": torch.ones(4) - BATCH_NORM_EPS,
        "b.running_mean": torch.tensor([1.0]),
        "b.running_var": torch.tensor([4.0]) - BATCH_NORM_EPS,
    }
    one = torch.ones(4) - BATCH_NORM_EPS
    one[0] = torch.e**4 - BATCH_NORM_EPS
    shifted = {"b.running_mean": torch.tensor([2.0])}
    for change, expected in (
        ({}, 0),
        ({"a.running_var": torch.ones(4) * torch.e**2 - BATCH_NORM_EPS}, 1),  # e times everywhere
        (shifted, 0.5),  # half a deviation
        ({"a.running_var": one}, 1),  # sqrt(2^2 / 4)
        ({**shifted, "a.running_var": one}, 1),  # the largest
    ):
        assert distance(layers, {**own, **change}, own) == pytest.approx(expected)
    for broken in (math.nan, math.inf):
        assert distance(layers, own, {**own, "b.running_mean": torch.tensor([broken])}) is None
        assert distance(layers, own, {**own, "a.running_var": torch.full((4,), broken)}) is None


def test_distance_sees_spectral_norms():
    """A weight twice as large as its stored vectors say; vectors that say nothing."""
    generator = make().generator
    own = statistics_of(generator)
    assert distance(generator, own, own) == 0
    name = next(name for name in own if name.endswith(".u"))
    u, v = own[name], own[name.removesuffix("u") + "v"]
    for stored, expected in ((u / 2, math.log(2)), (-u, math.inf), (u * 0, math.inf)):
        assert distance(generator, {**own, name: stored}, own) == pytest.approx(expected)
    assert v.norm() == pytest.approx(1)


@pytest.mark.parametrize("lag", [1 + BOUND / 2, 1 / (1 + BOUND / 2)])
def test_what_is_near_stays(lag):
    model = make(lag=lag)
    fitted = fit_statistics(model)
    assert fitted.norms.kind == "moving" and 0 < fitted.norms.distance <= BOUND
    assert torch.equal(images_of(fitted), images_of(model))
    assert fitted.generator is not model.generator
    assert fit_statistics(fitted) is fitted
    assert "the averages of training as statistics (0.1" in statistics_in_words(fitted)


@pytest.mark.parametrize("lag", [3.0, 1 / 3.0])
def test_what_is_far_gives_way(lag):
    model = make(lag=lag)
    fitted = fit_statistics(model)
    # The first norm is off by the factor alone.
    assert fitted.norms.kind == "own" and fitted.norms.distance == pytest.approx(1.0986, rel=0.02)
    assert torch.equal(images_of(fitted), images_of(with_own(make())))
    assert not torch.equal(images_of(fitted), images_of(model))
    assert torch.equal(images_of(with_moving(fitted)), images_of(model))
    assert fit_statistics(fitted) is fitted and with_own(fitted) is fitted
    told = statistics_in_words(fitted)
    assert "its own statistics of batch norm (the averages of training do not fit yet: 1.1" in told


def test_with_statistics_takes_them(monkeypatch):
    model = make(lag=3.0)
    assert with_statistics(model, "auto").norms.kind == "own"
    assert with_statistics(make(), "auto").norms.kind == "moving"
    assert with_statistics(make(), "own").norms.kind == "own"
    fitted = fit_statistics(model)
    for kind in ("moving", "batch", "standing"):
        ours, before = with_statistics(fitted, kind), with_statistics(model, kind)
        assert torch.equal(images_of(ours), images_of(before)), kind


@pytest.mark.parametrize("name", ["stylegan2", "r3gan"])
def test_generators_without_batch_norm_are_as_they_are(name):
    model = make(name)
    fitted = fit_statistics(model)
    assert not batch_norms(model.generator)
    assert fitted.norms.kind == "moving" and fitted.norms.distance == 0
    assert torch.equal(images_of(fitted), images_of(model))


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("lag", [1.0, 3.0])
def test_a_folder_tells_which_they_are(tmp_path, lag, dtype):
    fitted = fit_statistics(make(lag=lag))
    folder = hub.save(fitted, tmp_path / "m", dtype=dtype)
    told = read_config(folder)["statistics"]
    assert told["kind"] == fitted.norms.kind == ("own" if lag > 2 else "moving")
    assert told["distance"] == pytest.approx(fitted.norms.distance, abs=1e-6)
    assert (folder / "moving.safetensors").exists() == (lag > 2)
    loaded = hub.load(folder)
    if dtype is None:
        assert torch.equal(images_of(loaded), images_of(fitted))
    for name, value in statistics_of(with_moving(fitted).generator).items():
        assert torch.equal(statistics_of(with_moving(loaded).generator)[name], value)
    again = hub.save(loaded, tmp_path / "again", dtype=dtype)
    for file in sorted(one.name for one in folder.iterdir()):
        assert (again / file).read_bytes() == (folder / file).read_bytes(), file


def test_a_folder_that_does_not_tell_is_checked_on_loading(tmp_path):
    model = make(lag=3.0)
    folder = hub.save(model, tmp_path / "m")
    assert "statistics" not in json.loads((folder / "config.json").read_text())
    assert hub.load(folder).norms.kind == "own"
    assert torch.equal(images_of(hub.load(folder)), images_of(fit_statistics(model)))
    as_stored = hub.load(folder, check=False)
    assert as_stored.norms is None and torch.equal(images_of(as_stored), images_of(model))


def test_damaged_files_are_named(tmp_path):
    folder = hub.save(fit_statistics(make(lag=3.0)), tmp_path / "m")
    assert "moving.safetensors" in check_digests(folder, read_config(folder))
    config = json.loads((folder / "config.json").read_text())
    for wrong in ("own", {"kind": "batch", "distance": 1}, {"kind": "own"}):
        text = json.dumps(sealed({**config, "statistics": wrong}))
        (folder / "config.json").write_text(text)
        with pytest.raises(ConfigError, match="missing or wrong: statistics"):
            hub.load(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "moving.safetensors").write_bytes(b"no")
    with pytest.raises(ConfigError, match=r"moving.safetensors: (checksum mismatch|damaged)"):
        hub.load(folder)
    (folder / "moving.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"moving.safetensors: not readable"):
        hub.load(folder)


@pytest.mark.parametrize("value", [math.nan, 1e20])
def test_statistics_that_are_not_finite_are_never_taken(tmp_path, value):
    """Also where the weights are finite, but what comes out of them is not."""
    broken = make(lag=3.0)
    broken.generator.input.bias.fill_(value)
    fitted = fit_statistics(broken)
    assert (fitted.norms.kind, fitted.norms.distance) == ("moving", None)
    assert "an unknown distance" in statistics_in_words(fitted)
    folder = hub.save(fitted, tmp_path / "m")
    assert read_config(folder)["statistics"] == {"kind": "moving", "distance": None}
    if math.isfinite(value):
        assert hub.load(folder).norms == fitted.norms


def test_one_kind_after_another():
    """Whatever was asked for before, each kind is what it is of the model as it was trained."""
    model = make(lag=3.0)
    kinds = ("auto", "own", "moving", "batch", "standing")
    made = {kind: with_statistics(model, kind) for kind in kinds}
    expected = {kind: images_of(made[kind]) for kind in kinds}
    assert torch.equal(expected["auto"], expected["own"])
    for before in kinds:
        for kind in kinds:
            chained = with_statistics(made[before], kind)
            assert torch.equal(images_of(chained), expected[kind]), (before, kind)


def test_those_of_a_batch_are_not_stored(tmp_path):
    model = make(lag=3.0)
    batch = with_statistics(model, "batch")
    images_of(batch)
    loaded = hub.load(hub.save(batch, tmp_path / "m"), check=False)
    assert torch.equal(images_of(loaded), images_of(model))
    standing = with_statistics(model, "standing")
    loaded = hub.load(hub.save(standing, tmp_path / "s"), check=False)
    assert torch.equal(images_of(loaded), images_of(standing))
    assert torch.equal(images_of(with_moving(loaded)), images_of(model))


def test_autocast_of_the_caller_changes_nothing():
    generator = make().generator
    expected = own_statistics(generator)
    with torch.autocast("cpu", torch.bfloat16):
        ours = own_statistics(generator)
    assert all(torch.equal(expected[name], ours[name]) for name in ours)


def test_the_card_says_which(tmp_path):
    for lag, words in ((1.0, "the averages of training"), (3.0, "its own statistics")):
        folder = hub.save(fit_statistics(make(lag=lag)), tmp_path / words)
        assert f"batch norms hold\n{words}" in (folder / "README.md").read_text(encoding="utf-8")
