from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.cli import main
from reacgan.evaluation.plan import match_classes
from reacgan.hub import save
from reacgan.sampling import (
    class_folders,
    class_sheet,
    generate,
    latents_for,
    picture_of,
    save_image,
    save_png,
    sheet,
)
from reacgan.sampling.grids import MOST_ROWS, rows_for


@pytest.mark.parametrize(("side", "factor"), [(8, 6), (32, 2), (48, 1), (64, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_has_its_place(side, factor, channels):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, channels, side, side)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    drawn = np.asarray(sheet(images))
    cell, gap = side * factor, 2
    assert drawn.shape == (2 * (cell + gap) + gap, 3 * (cell + gap) + gap, 3)
    for row in range(2):
        for column in range(3):
            top, left = gap + row * (cell + gap), gap + column * (cell + gap)
            part = drawn[top : top + cell : factor, left : left + cell : factor]
            expected = images[row, column].expand(3, -1, -1).permute(1, 2, 0)
            assert (part == expected.numpy()).all()
            last = drawn[top + cell - 1, left + cell - 1]
            assert (last == expected[-1, -1].numpy()).all()
    assert (drawn[:gap] == 255).all() and (drawn[-gap:] == 255).all()
    assert (drawn[:, -gap:] == 255).all()


def test_captions_are_left_of_the_pictures():
    images = torch.zeros(2, 1, 1, 8, 8, dtype=torch.uint8)
    plain, named = sheet(images), sheet(images, ["cat", "dog"])
    margin = named.width - plain.width
    assert margin > 20 and named.height == plain.height
    assert (np.asarray(named)[:, margin:] == np.asarray(plain)).all()
    rows = np.asarray(named)[:, :margin].min((1, 2))
    assert rows[2:50].min() < 100 and rows[52:100].min() < 100


@pytest.mark.parametrize("name", ["", " ", "a\nb\tc", "猫 🐈", "x" * 300, "\udcff", "a\x00b"])
def test_a_class_may_be_called_anything(name):
    sheet(torch.zeros(1, 1, 3, 8, 8, dtype=torch.uint8), [name])


def test_rows():
    assert rows_for(3) == [0, 1, 2]
    assert rows_for(MOST_ROWS) == list(range(MOST_ROWS))
    for classes in (26, 100, 1000):
        rows = rows_for(classes)
        assert len(rows) == len(set(rows)) == MOST_ROWS
        assert rows == sorted(rows) and (rows[0], rows[-1]) == (0, classes - 1)


def test_the_sheet_of_a_model(untrained):
    model = untrained()
    drawn = class_sheet(model.generator, model.class_names, columns=4)
    z = latents_for([0, 1, 2, 3], model.latent_dim)
    rows = [generate(model.generator, z, torch.full((4,), label)) for label in range(3)]
    heads = ["seed 0", "1", "2", "3"]
    expected = sheet(torch.stack(rows), list(model.class_names), heads=heads)
    assert drawn.tobytes() == expected.tobytes()


def test_png_is_whole_or_not_there(tmp_path, monkeypatch):
    file = tmp_path / "new" / "one.png"
    grey = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8)
    save_png(picture_of(grey), file)
    with Image.open(file) as opened:
        assert opened.mode == "L"
        assert (np.asarray(opened) == grey[0].numpy()).all()
    before = file.read_bytes()

    def broken(self, path, format):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        save_png(picture_of(grey), file)
    assert file.read_bytes() == before


def test_colour_picture():
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    picture = picture_of(image)
    assert picture.mode == "RGB"
    assert (np.asarray(picture) == image.permute(1, 2, 0).numpy()).all()


def pixels(channels, height=6, width=10, rows=()):
    generator = torch.Generator().manual_seed(channels)
    shape = (*rows, channels, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("channels", "mode", "shown"),
    [(1, "L", 1), (2, "L", 1), (3, "RGB", 3), (4, "RGBA", 4), (5, "RGB", 3), (12, "RGB", 3)],
)
def test_any_number_of_channels(tmp_path, channels, mode, shown):
    image = pixels(channels)
    picture = picture_of(image)
    assert (picture.mode, picture.size) == (mode, (10, 6))
    held = np.asarray(picture).reshape(6, 10, shown)
    assert (held == image[:shown].permute(1, 2, 0).numpy()).all()
    path = save_image(image, tmp_path / "new", "7")
    if channels in (1, 3, 4):
        assert path == tmp_path / "new" / "7.png"
        with Image.open(path) as opened:
            assert opened.mode == mode and opened.tobytes() == picture.tobytes()
    else:
        assert path == tmp_path / "new" / "7.npy"
        array = np.load(path, allow_pickle=False)
        assert array.dtype == np.uint8 and (array == image.permute(1, 2, 0).numpy()).all()
        assert array.shape == (6, 10, channels)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("height", "width", "factor"), [(6, 10, 8), (24, 8, 6), (64, 96, 1)])
def test_pictures_that_are_not_square(height, width, factor):
    images = pixels(3, height, width, rows=(2, 3))
    drawn = np.asarray(sheet(images))
    down, across = height * factor + 2, width * factor + 2
    assert drawn.shape == (2 * down + 2, 3 * across + 2, 3)
    for row in range(2):
        for column in range(3):
            top, left = 2 + row * down, 2 + column * across
            part = drawn[top : top + down - 2 : factor, left : left + across - 2 : factor]
            assert (part == images[row, column].permute(1, 2, 0).numpy()).all()


def test_transparent_pictures_lie_on_white():
    images = pixels(4, rows=(1, 1))
    images[..., 3, :, :] = 0
    images[..., 3, 2, 5] = 255
    drawn = np.asarray(sheet(images))[2:-2:8, 2:-2:8]
    assert (drawn[2, 5] == images[0, 0, :3, 2, 5].numpy()).all()
    white = (drawn == 255).all(2)
    assert white.sum() == 6 * 10 - 1 and not white[2, 5]


def test_classes_of_one_name_but_for_case_get_all_their_images(tmp_path, untrained, capsys):
    names = ("Cat", "cat", "cafe\u0301", "dog ")
    save(untrained(names=names), tmp_path / "model")
    asked = ("sample", str(tmp_path / "model"), "--num", "2", "--out", str(tmp_path / "out"))
    for more in ((), ("--classes", "caf\u00e9,dog ,cat")):
        with pytest.raises(SystemExit) as ended:
            main([*asked, *more])
        assert ended.value.code == 0, capsys.readouterr().err
    alike = {folder: label for label, folder in enumerate(class_folders(names))}
    assert match_classes(list(alike), names, alike=alike) == ([0, 1, 2, 3], "")
    written = [path.parent.name for path in sorted((tmp_path / "out").rglob("*.png"))]
    assert len(written) == 8 and len({name.casefold() for name in written}) == 4


def test_a_column_without_words_has_none():
    images = torch.zeros(1, 3, 1, 8, 8, dtype=torch.uint8)
    some = np.asarray(sheet(images, heads=["a", "", ""])).copy()
    alone = np.asarray(sheet(images, heads=["a"]))
    tops = some[:, 52:].min(axis=(1, 2))[:12]
    assert (tops == 255).all() and alone[:12].min() < 255
