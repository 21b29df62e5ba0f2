"""What people do with generated images: look, count, cut, save."""

from __future__ import annotations

import html
import io
import re
from base64 import b64decode

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.config import ConfigError
from reacgan.sampling import Sample, SampleSequence, sample, sheet

NAMES = ("cat", "dog", "a,b")


@pytest.fixture(scope="module")
def model(untrained):
    return untrained(8, 3, 8, NAMES)


def as_pixels(picture):
    return torch.from_numpy(np.array(picture))


def test_a_sequence_is_cut_and_counted_like_a_list(model):
    made = sample(model, "all", 7, seed=5)
    whole = list(made)
    assert len(made) == len(whole) == 21 and isinstance(made, SampleSequence)
    for index in (0, 6, 7, 20, -1, -21):
        assert torch.equal(made[index].image, whole[index].image)
        assert (made[index].label, made[index].seed) == (whole[index].label, whole[index].seed)
    for part in (slice(3, 9), slice(None, None, 5), slice(None, None, -1), slice(-3, None)):
        expected = [(one.class_name, one.seed, one.image.tolist()) for one in whole[part]]
        assert [(one.class_name, one.seed, one.image.tolist()) for one in made[part]] == expected
    assert len(made[30:]) == 0 and list(made[30:]) == [] and not made[30:]
    for index in (21, -22):
        with pytest.raises(IndexError, match=f"sample {index} of 21"):
            made[index]


def test_with_batch_statistics_a_part_is_a_part_of_the_whole(model):
    """There an image depends on its batch."""
    made = sample(model, "all", 30, statistics="batch")
    whole = list(made)
    assert torch.equal(made[77].image, whole[77].image)
    assert all(
        torch.equal(one.image, other.image)
        for one, other in zip(made[::7], whole[::7], strict=True)
    )


def passes_of(model, samples):
    passes = []
    hook = model.generator.register_forward_hook(lambda *_: passes.append(1))
    for _ in samples:
        pass
    hook.remove()
    return len(passes)


def test_looking_twice_generates_once_and_a_long_sequence_keeps_little(model, monkeypatch):
    made = sample(model, "all", 16)
    assert passes_of(model, made) == 3 and passes_of(model, made) == 0
    assert passes_of(model, [made[k] for k in range(48)]) == 0
    monkeypatch.setattr("reacgan.sampling.samples._KEPT", 2 * 16 * 3 * 64)  # two batches
    made = sample(model, "all", 1000)
    seen = 0
    for _ in made:
        seen += 1
        assert len(made._maker._batches) <= 2
    assert seen == 3000


def test_a_sample_as_a_picture(model, tmp_path):
    one = sample(model, "dog", seed=3)[0]
    assert one.pil.mode == "RGB" and one.pil.size == (8, 8)
    assert torch.equal(as_pixels(one.pil), one.image.permute(1, 2, 0))
    assert repr(one) == "Sample(label=1, class_name='dog', seed=3)"
    for name in ("dog.png", "below/dog.TIF", "dog.webp", "dog.jpg", "dog.bmp"):
        path = one.save(tmp_path / name)
        assert path == tmp_path / name
        with Image.open(path) as read:
            assert read.size == (8, 8)
            if name.endswith(("png", "TIF", "bmp")):
                assert torch.equal(as_pixels(read), one.image.permute(1, 2, 0))
    array = np.load(one.save(tmp_path / "dog.npy"))
    assert np.array_equal(array, one.image.permute(1, 2, 0).numpy())
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "dog.bmp", "dog.jpg", "dog.npy", "dog.png", "dog.webp",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "words"), [("dog", "has no ending"), ("dog.pgn", "'.pgn'")])
def test_a_file_of_no_kind(model, tmp_path, name, words):
    with pytest.raises(ConfigError, match=rf"{words}; needed: a kind of picture"):
        sample(model)[0].save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_any_number_of_channels(channels, tmp_path):
    pixels = torch.arange(channels * 6, dtype=torch.uint8).view(channels, 2, 3)
    one = Sample(0, "cat", 0, pixels)
    shown = Image.open(io.BytesIO(one._repr_png_()))
    assert min(shown.size) >= 96 and shown.size[0] * 2 == shown.size[1] * 3
    if channels in (1, 3, 4):
        assert torch.equal(as_pixels(one.pil).view(2, 3, -1), pixels.permute(1, 2, 0))
    else:
        for look in (lambda: one.pil, lambda: one.save(tmp_path / "cat.png")):
            with pytest.raises(ConfigError, match=rf"{channels} channels; a picture has 1, 3 or 4"):
                look()
    assert np.load(one.save(tmp_path / "cat.npy")).shape == (2, 3, channels)
    if channels == 4:
        with pytest.raises(ConfigError, match="JPEG cannot hold this image .*PNG can"):
            one.save(tmp_path / "cat.jpg")


def test_the_sheet_has_a_row_a_class_and_breaks_long_ones(model):
    made = sample(model, "all", 3)
    images = torch.stack([one.image for one in made]).view(3, 3, 3, 8, 8)
    assert made.sheet().tobytes() == sheet(images, [*NAMES]).tobytes()
    part = made[:4]  # three cats and a dog, two in a row
    white = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    rows = [[0, 1], [2, None], [3, None]]
    expected = [[white if k is None else part[k].image for k in row] for row in rows]
    expected = torch.stack([torch.stack(row) for row in expected])
    assert part.sheet(columns=2).tobytes() == sheet(expected, ["cat", "", "dog"]).tobytes()
    with pytest.raises(ConfigError, match=r"a sheet of 30,000 images; .*samples\[:100\]\.sheet"):
        sample(model, "all", 10_000).sheet()
    with pytest.raises(ConfigError, match="a sheet of 0 images"):
        made[:0].sheet()
    with pytest.raises(ConfigError, match="columns is 0"):
        made.sheet(columns=0)


def test_a_notebook_shows_names_as_text_and_the_first_of_each_class(untrained):
    nasty = '<img src=x onerror="alert(1)">'
    model = untrained(8, 1, 8, (nasty, "кошка", "cat"))
    text = sample(model, "all", 50)._repr_html_()
    assert nasty not in text and html.escape(nasty) in text and "кошка" in text
    assert "30 of 150 images" in text
    pictures = [b64decode(data) for data in re.findall(r"base64,([^\"]+)\"", text)]
    first = sample(model, 1, 10)
    expected = sheet(torch.stack([one.image for one in first])[None])
    with Image.open(io.BytesIO(pictures[1])) as read:
        assert read.tobytes() == expected.tobytes()
    assert len(pictures) == 3 and "of 30 images" not in sample(model, "all", 10)._repr_html_()
    assert "no samples" in sample(model, "all", 3)[:0]._repr_html_()


def test_a_misspelt_setting(model):
    with pytest.raises(ConfigError, match="truncaton: unknown setting; did you mean 'truncation'"):
        sample(model, truncaton=0.5)
