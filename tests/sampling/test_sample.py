from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.evaluation.plan import match_classes
from reacgan.sampling import chunk_size, generate, latents_for, sample, to_uint8

NAMES = tuple("abcdef")


@pytest.fixture(scope="module", params=[(8, 8), (8, 32), (32, 8)], ids=str)
def model(untrained, request):
    side, width = request.param
    return untrained(side, 3, width, NAMES)


@pytest.fixture(scope="module")
def first_images(model):
    """Every (class, seed) that the property test may ask for, made one at a time."""
    return {
        (label, seed): sample(model, label, 1, seed=seed)[0].image
        for label in range(len(NAMES))
        for seed in range(12)
    }


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    classes=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6),
    num=st.integers(1, 6),
    seed=st.integers(0, 6),
)
def test_one_class_and_seed_is_one_image(model, first_images, classes, num, seed):
    made = list(sample(model, classes, num, seed=seed))
    assert [one.class_name for one in made] == [name for name in classes for _ in range(num)]
    for one in made:
        assert torch.equal(one.image, first_images[one.label, one.seed])


def test_seeds_and_classes_differ(first_images):
    images = {image.numpy().tobytes() for image in first_images.values()}
    assert len(images) == len(first_images)


def test_order_inside_a_batch_does_not_matter(model):
    z = latents_for(list(range(20)), model.latent_dim)
    labels = torch.arange(20) % 6
    made = generate(model.generator, z, labels)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(generate(model.generator, z[order], labels[order]), made[order])
    assert made.dtype == torch.uint8 and made.shape[:2] == (20, 3)


def test_every_forward_pass_has_the_same_shape(untrained):
    """Another batch shape may take another kernel, and round differently."""
    model = untrained()
    shapes = []
    hook = model.generator.register_forward_hook(
        lambda _, given, made: shapes.append((len(given[0]), len(given[1])))
    )
    for num in (1, 7, 11):
        list(sample(model, "all", num))
    hook.remove()
    size = chunk_size(torch.device("cpu"))
    assert set(shapes) == {(size, size)} and len(shapes) == 1 + 2 + 3


def test_it_is_lazy_and_leaves_the_model_alone(untrained):
    model = untrained()
    state = copy.deepcopy(model.generator.state_dict())
    random = torch.random.get_rng_state()
    made = sample(model, "all", 10**8, seed=3)
    assert made[0].seed == 3 and made[-1].seed == 10**8 + 2
    assert all(torch.equal(state[key], held) for key, held in model.generator.state_dict().items())
    assert torch.equal(random, torch.random.get_rng_state())


def test_truncation_one_seed_moves_continuously(untrained):
    model = untrained()
    one, other = (sample(model, 0, truncation=limit)[0].image.float() for limit in (0.7, 0.7001))
    assert (one - other).abs().max() <= 2


def test_latents_are_frozen():
    """Other values would turn every published sample into another one."""
    expected = [0.41036102, -0.67902505, 1.69210565, -0.56815791]
    assert latents_for([0], 8)[0, :4].tolist() == pytest.approx(expected, abs=1e-7)
    expected = [0.15343636, -0.24373576, 0.45129359, -0.20789030]
    assert latents_for([0], 8, 0.5)[0, :4].tolist() == pytest.approx(expected, abs=1e-7)
    assert torch.equal(latents_for([5, 0], 8)[1:], latents_for([0], 8))
    assert torch.equal(latents_for([0], 80)[:, :8], latents_for([0], 8))
    assert latents_for([], 8).shape == (0, 8)


@pytest.mark.parametrize("truncation", [None, 1e-6, 0.3, 0.7, 1.0, 2.0, 8.0, 1e9, math.inf])
def test_truncated_normal(truncation):
    z = latents_for(list(range(200)), 100, truncation)
    limit = math.inf if truncation is None else truncation
    assert z.dtype == torch.float32 and z.isfinite().all()
    assert z.abs().max() <= limit * (1 + 1e-7)
    # Variance of the truncated normal: 1 - 2 t pdf(t) / (2 cdf(t) - 1).
    variance = 1.0
    if limit < 30:
        density = math.exp(-limit * limit / 2) / math.sqrt(2 * math.pi)
        variance -= 2 * limit * density / math.erf(limit / math.sqrt(2))
    assert abs(z.double().mean()) < 0.03 * math.sqrt(variance)
    if limit > 1e-3:
        assert z.double().var().item() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("truncation", [0, -1, math.nan, -math.inf])
def test_bad_truncation(untrained, truncation):
    with pytest.raises(ConfigError, match=r"truncation is .*; allowed: a positive number"):
        sample(untrained(), truncation=truncation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num": 0}, "num is 0; allowed: 1 "),
        ({"seed": -1}, "seed is -1; allowed: 0 or more"),
        (
            {"classes": "cow"},
            r"unknown class 'cow'\. Known: cat, dog, a,b; or an index from 0 to 2",
        ),
        ({"classes": "cta"}, "unknown class 'cta'; did you mean 'cat'"),
        ({"classes": 3}, "class index is 3; allowed: 0 to 2"),
        ({"classes": -1}, "class index is -1"),
        ({"classes": ["dog", 3]}, "class index is 3"),
        ({"classes": ""}, "with nothing before a comma"),
    ],
)
def test_bad_values_are_reported_before_the_first_image(untrained, arguments, message):
    with pytest.raises(ConfigError, match=message):
        sample(untrained(), **arguments)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("all", [0, 1, 2]),
        (" all ", [0, 1, 2]),
        ("dog", [1]),
        ("dog, cat", [1, 0]),
        ("a,b", [2]),
        ("2,dog", [2, 1]),
        (1, [1]),
        ([2, "cat"], [2, 0]),
    ],
)
def test_classes(untrained, classes, expected):
    assert untrained().class_indices(classes) == expected


def test_classes_in_any_unicode_form_and_with_their_spaces(untrained):
    model = untrained(names=("cafe\u0301", "cat", "cat ", " dog"))
    assert model.class_indices("caf\u00e9") == model.class_indices("cafe\u0301") == [0]
    assert model.class_indices("cat ,cat, dog") == [2, 1, 3]
    assert model.class_indices(["cat ", "caf\u00e9"]) == [2, 0]
    assert match_classes(["caf\u00e9", "cat"], model.class_names) == ([0, 1], "")
    with pytest.raises(ConfigError, match="unknown class 'dog'; did you mean ' dog'"):
        model.class_indices("dog")


def test_a_name_goes_before_an_index(untrained):
    assert untrained(names=("2", "1", "0")).class_indices("0,1,2") == [2, 1, 0]


def test_rounding():
    values = torch.tensor([-1.0, 1.0, 0.0, -1.7, 9.0, 1 / 255, -1 + 1.4 / 127.5, -1 + 1.6 / 127.5])
    assert to_uint8(values).tolist() == [0, 255, 128, 0, 255, 128, 1, 2]
    levels = torch.arange(256)
    assert torch.equal(to_uint8(levels / 127.5 - 1).long(), levels)
    assert to_uint8(values.double()).dtype == torch.uint8
    given = values.clone()
    to_uint8(given)
    assert torch.equal(given, values)
