"""Samples as generators leave them: folders with other things in them, archives, arrays, tensors."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.config import ConfigError
from reacgan.evaluation.reference import open_reference
from reacgan.evaluation.targets import find_targets


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def images():
    """uint8 ``[12, H, W, 3]``."""
    return np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)


def write(images, folder, names=("a", "b")):
    for place, image in enumerate(images):
        where = folder / names[place % len(names)]
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(where / f"{place:02}.png")
    return folder


def opened(path, **options):
    (target,) = find_targets(path, **options)
    return target


def same(target, images):
    return np.array_equal(target.images.images, np.asarray(images).transpose(0, 3, 1, 2))


def test_the_sheet_of_our_own_samples(reacgan, run_folder, tmp_path):
    out = tmp_path / "samples"
    code, _, err = reacgan(
        "sample", run_folder, "--classes", "3,7", "--num", "4", "--grid", "--out", out
    )
    assert code == 0, err
    (out / "grid-2.png").write_bytes((out / "grid.png").read_bytes())  # a further page
    target = opened(out)
    assert (len(target.images), target.images.class_names) == (8, ("3", "7"))
    assert target.warnings == (f"{out / 'grid.png'}: left out, a sheet of the other images",)
    code, _, err = reacgan(
        "evaluate", out, "--reference", "digits", "--extractor", "domain", "--metrics", "fid",
        "--set", "extractor.epochs=1", "extractor.width=8", "--out", tmp_path / "out",
        "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err


def test_a_sheet_beside_loose_images(images, tmp_path):
    write(images, tmp_path, names=(".",))
    Image.new("RGB", (90, 40)).save(tmp_path / "grid.png")
    target = opened(tmp_path)
    assert same(target, images) and not target.labelled
    assert "grid.png: left out" in target.warnings[0]
    Image.new("RGB", (10, 8)).save(tmp_path / "grid.png")  # of the others' size: one of them
    assert len(opened(tmp_path).images) == 13


def test_loose_images_beside_folders_without_any(images, tmp_path):
    write(images, tmp_path, names=(".",))
    (tmp_path / "empty").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.txt").write_text("text")
    (tmp_path / "metrics.json").write_text("{}")
    target = opened(tmp_path)
    assert same(target, images) and not target.labelled and not target.warnings


def test_loose_images_beside_folders_of_images(images, tmp_path):
    write(images[:6], tmp_path, names=(".",))
    write(images[6:], tmp_path, names=("a", "b"))
    with pytest.raises(ConfigError, match=r"holds 6 loose images .* folders of images \(a, b\)"):
        opened(tmp_path)


def test_files_that_cannot_be_read(images, tmp_path):
    write(images, tmp_path, names=(".",))
    whole = (tmp_path / "03.png").read_bytes()
    (tmp_path / "03.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "05.png").write_bytes(b"")
    (tmp_path / "07.png").write_text("no image")
    target = opened(tmp_path)
    assert same(target, images[[0, 1, 2, 4, 6, 8, 9, 10, 11]])
    (told,) = target.warnings
    assert "3 of 12 image files were left out" in told
    for words in ("empty file", "content is none of", "truncated or damaged", "05.png"):
        assert words in told
    with pytest.raises(
        ConfigError, match=r"3 of 12 image files cannot be used.*Repair them or move"
    ):
        open_reference(tmp_path)
    for name in ("00", "01", "02", "04"):
        (tmp_path / f"{name}.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="7 of 12 image files cannot be used"):
        opened(tmp_path)


def test_animated_images_are_named(images, tmp_path):
    write(images, tmp_path, names=(".",))
    frames = [Image.new("RGB", (10, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "99.gif", save_all=True, append_images=frames[1:])
    target = opened(tmp_path)
    assert len(target.images) == 13
    assert any("1 image has several frames; the first" in told for told in target.warnings)


@pytest.mark.parametrize("names", [(".",), ("a", "b"), ("made/.",), ("made/a", "made/b")])
def test_a_zip(images, tmp_path, names):
    folder = write(images, tmp_path / "samples", names)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for one in sorted(folder.rglob("*.png")):
            file.write(one, one.relative_to(folder))
        file.writestr("__MACOSX/a/._00.png", b"")
        file.writestr("notes.txt", "text")
    target = opened(tmp_path / "x.zip")
    order = sorted(range(12), key=lambda place: (place % len(names), place))
    assert same(target, images[order])
    assert target.labelled == (len(names) == 2)
    assert target.images.class_names == (("a", "b") if len(names) == 2 else ("images",))
    assert same(opened(tmp_path / "x.zip", resolution=(8, 10), channels=3), images[order])
    reference = open_reference(tmp_path / "x.zip")
    assert len(reference.data) == 12 and reference.data.size == (8, 10)


def test_arrays_and_tensors(images, tmp_path):
    np.save(tmp_path / "a.npy", images)
    np.save(tmp_path / "turned.npy", images.transpose(0, 3, 1, 2))
    np.savez(tmp_path / "b.npz", images, np.arange(12))
    np.savez(tmp_path / "c.npz", images=images, mu=np.zeros(3))
    first = torch.tensor(images.transpose(0, 3, 1, 2))
    torch.save(first, tmp_path / "d.pt")
    torch.save({"images": first, "labels": torch.arange(12)}, tmp_path / "e.pt")
    torch.save([first], tmp_path / "f.pth")
    torch.save(torch.tensor(images), tmp_path / "g.pt")
    names = ("a.npy", "turned.npy", "b.npz", "c.npz", "d.pt", "e.pt", "f.pth", "g.pt")
    for name in names:
        assert same(opened(tmp_path / name), images), name
        assert not opened(tmp_path / name).labelled
        assert np.array_equal(open_reference(tmp_path / name).data.images, first.numpy()), name
    np.save(tmp_path / "grey.npy", images[..., 0])
    assert same(opened(tmp_path / "grey.npy"), images[..., :1])
    five = np.concatenate([images, images], axis=3)[..., :5]
    np.save(tmp_path / "five.npy", five)
    assert same(opened(tmp_path / "five.npy"), five)
    small = opened(tmp_path / "a.npy", resolution=8, channels=1).images
    wanted = Image.fromarray(images[0][:, 1:9]).convert("L")
    assert np.array_equal(small.images[0, 0], np.asarray(wanted))


def test_files_that_are_no_images(images, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    (tmp_path / "x.npy").write_bytes(b"no array")
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("notes.txt", "text")
    np.savez(tmp_path / "statistics.npz", mu=np.zeros(3), sigma=np.eye(3))
    np.savez(tmp_path / "two.npz", x=images, y=images)
    np.save(tmp_path / "float.npy", images / 127.5 - 1)
    np.save(tmp_path / "one.npy", images[0])
    np.save(tmp_path / "five.npy", np.zeros((4, 5, 16, 16), np.uint8))
    torch.save({"net": torch.nn.Linear(2, 2)}, tmp_path / "object.pt")
    torch.save({"a": 1}, tmp_path / "no.pt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / "a.npz", images)
    for name, words in (
        ("x.zip", "cannot be unpacked"),
        ("x.npy", "cannot be read as an array"),
        ("x.tar", "no file of images"),
        ("empty.zip", "no image found in it"),
        ("statistics.npz", "mu and sigma are statistics, which serve as --reference"),
        ("two.npz", r"which array are the images\? It holds x \[12, 8, 10, 3\], y"),
        ("object.pt", "cannot be read as a tensor"),
        ("no.pt", "holds no tensor of images"),
        ("empty", "no class folders; found nothing"),
        ("arrays", "no image found in it"),
    ):
        with pytest.raises(ConfigError, match=rf"{words}.*What is read: a folder of images"):
            opened(tmp_path / name)
    for name, words in (
        ("float.npy", r"float64 .* from -1 to 1 \(\(images \+ 1\) \* 127\.5.*needed: uint8"),
        ("one.npy", r"uint8 \[8, 10, 3\] \(one image\?\); needed: uint8 \[N, height, width"),
        ("five.npy", r"uint8 \[4, 5, 16, 16\]; needed: uint8 \[N, height, width, channels\]"),
    ):
        with pytest.raises(ConfigError, match=words):
            opened(tmp_path / name)


def test_a_packed_file_has_its_own_size(images, tmp_path):
    from reacgan.data import prepare_data

    write(images, tmp_path / "samples")
    prepare_data(tmp_path / "samples", tmp_path / "p.safetensors", resolution=8)
    assert opened(tmp_path / "p.safetensors").images.size == (8, 8)


def test_how_images_are_made_is_not_asked_of_a_folder(reacgan, images, tmp_path):
    folder = write(images, tmp_path / "samples")
    for option, value, name in (
        ("--truncation", "0.5", "truncation is 0.5"),
        ("--seed", "0", "seed is 0"),
        ("--psi", "0.7", "psi is 0.7"),
        ("--statistics", "batch", "statistics is 'batch'"),
        ("--labels", "balanced", "labels is 'balanced'"),
        ("--langevin", "5", "langevin is 5"),
    ):
        code, _, err = reacgan(
            "evaluate",
            folder,
            "--reference",
            folder,
            option,
            value,
            "--extractor",
            "domain",
            "--out",
            tmp_path / "out",
        )
        assert code == 1 and f"{name}, which only a generator has" in err
