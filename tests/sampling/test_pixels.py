"""Images that are no numbers never become pixels."""

from __future__ import annotations

import math

import pytest
import torch

from reacgan.config import ConfigError
from reacgan.evaluation.sources import GeneratorSource
from reacgan.pictures.near import _generated
from reacgan.pictures.samples import sheet
from reacgan.sampling import (
    NonFiniteImageError,
    SamplingSettings,
    class_sheet,
    generate,
    interpolate,
    latents_for,
    sample,
    to_uint8,
    walk,
)
from reacgan.sharing.samples import fixed_samples


class Broken(torch.nn.Module):
    """Gives NaN for one class at latents above a bound; its weights are finite."""

    def __init__(self, model, label, above=-math.inf):
        super().__init__()
        self.inner = model.generator
        self.latent_dim, self.num_classes = self.inner.latent_dim, self.inner.num_classes
        self.label, self.above = label, above

    def forward(self, z, labels, draws=None):
        images = self.inner(z, labels)
        share = labels[:, self.label] > 0 if labels.dim() == 2 else labels == self.label
        wrong = share & (z[:, 0] > self.above)
        images[wrong, 0, 1, 2] = math.nan
        return images


@pytest.fixture
def broken(untrained):
    from dataclasses import replace

    model = untrained()
    return replace(model, generator=Broken(model, 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_no_number_no_pixel(value, dtype):
    images = torch.zeros(4, 3, 2, 2, dtype=dtype)
    images[2, 1, 0, 1] = value
    with pytest.raises(NonFiniteImageError, match="^image 2 of 4: the generator gives NaN"):
        to_uint8(images)
    images[0, 0, 0, 0] = value
    with pytest.raises(ConfigError, match=r"^cat and 1 more of its batch: .* other statistics"):
        to_uint8(images, lambda number: ["cat", "dog", "b", "c"][number])


def test_pixels_keep_their_places():
    images = torch.rand(5, 3, 4, 2).mul(2).sub(1).contiguous(memory_format=torch.channels_last)
    pixels = to_uint8(images)
    expected = ((images + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(pixels, expected) and pixels.is_contiguous()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device():
    images = torch.rand(5, 3, 4, 2, device="cuda").mul(2).sub(1)
    assert torch.equal(to_uint8(images), to_uint8(images.cpu()))
    images[3, 0, 0, 0] = math.nan
    with pytest.raises(NonFiniteImageError, match="image 3 of 5"):
        to_uint8(images)


def test_the_class_and_seed_are_named(broken):
    with pytest.raises(NonFiniteImageError, match="^class 'dog', seed 7 and 2 more"):
        list(sample(broken, "all", 3, seed=7))
    assert len(list(sample(broken, "cat", 3))) == 3
    with pytest.raises(ConfigError, match=r"class 'dog', seed 0 to 3 \(0% of the way\)"):
        interpolate(broken, classes=("dog", "dog"), seeds=(0, 3), steps=3)
    with pytest.raises(ConfigError, match=r"class 0.5 x 'cat' \+ 0.5 x 'dog', seed 2 to 2"):
        interpolate(broken, classes=("cat", "dog"), seeds=(2, 2), steps=3)
    with pytest.raises(ConfigError, match=r"class 'dog', seed 4 \(-3 along\)"):
        walk(broken, torch.ones(4), seed=4)
    with pytest.raises(ConfigError, match=r"class 'dog', seed 20000003 "):
        GeneratorSource(broken, torch.tensor([0, 0, 0, 1, 2, 1]), SamplingSettings(seed=2)).part(
            2, 6
        )
    with pytest.raises(ConfigError, match="class 'dog', seed 0 "):
        class_sheet(broken.generator, broken.class_names)
    with pytest.raises(ConfigError, match="class 'dog', seed 5 "):
        sheet(broken, seed=5)
    with pytest.raises(ConfigError, match="class 'dog', seed 6:"):
        _generated(broken, 3, 6)
    with pytest.raises(ConfigError, match="class 'dog', seed 1 "):
        fixed_samples(broken)


def test_the_right_one_of_several_chunks(untrained):
    model = untrained()
    z = latents_for(range(40), 4)
    highest = int(z[:, 0].argmax())
    bound = float(z[:, 0].topk(2).values[1])
    made = Broken(model, 2, bound)
    with pytest.raises(NonFiniteImageError, match=f"^class 2, image {highest} of 40:"):
        generate(made, z, torch.full((40,), 2))
    with pytest.raises(NonFiniteImageError, match=f"^class 2, seed {highest}:"):
        generate(made, z, torch.full((40,), 2), seeds=range(40))
