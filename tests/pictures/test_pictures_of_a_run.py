"""Everything of a run in one folder, and on its page."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.pictures import PICTURES, pictures
from reacgan.records import sealed
from reacgan.reports import plots
from reacgan.reports.run_part import picture_parts
from reacgan.sampling import save_image

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
ALL = [
    "sheet", "neighbours-pixels", "interpolations-latents", "interpolations-classes", "tsne",
    "spectra",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return pictures(run_folder, folder, num=60, device="cpu"), folder


def test_all_are_made_and_say_how(made):
    held, folder = made
    assert list(held["pictures"]) == ALL and held["skipped"] == {}
    assert json.loads((folder / "pictures.json").read_text()) == held
    for name, told in held["pictures"].items():
        assert (folder / told["file"]).read_bytes().startswith(b"\x89PNG"), name
        assert told["caption"]
    assert held["images_seen"] == held["discriminator_images_seen"] == 256
    assert held["reference"]["split"] == "test" and held["training"]["images"] == 1201
    assert held["pictures"]["tsne"]["numbers"]["real"]["images"] == 60
    assert held["pictures"]["spectra"]["numbers"]["images"] == {"real": 60, "generated": 60}
    assert "/" not in json.dumps(held["reference"])


def test_the_same_again_bit_for_bit(made, run_folder, tmp_path):
    held, folder = made
    again = pictures(run_folder, tmp_path, num=60, device="cpu")
    assert again == held
    for name in ALL:
        assert (tmp_path / f"{name}.png").read_bytes() == (folder / f"{name}.png").read_bytes()
    other = pictures(run_folder, tmp_path, num=60, seed=1, which=["sheet", "spectra"], device="cpu")
    assert list(other["pictures"]) == ["sheet", "spectra"]
    assert (tmp_path / "sheet.png").read_bytes() != (folder / "sheet.png").read_bytes()


def test_what_cannot_be_made_says_why(run_folder, tmp_path):
    """A model folder alone, of data that has gone: no discriminator, no real images."""
    alone = tmp_path / "alone"
    shutil.copytree(run_folder / "model", alone)
    config = json.loads((alone / "config.json").read_text())
    config["experiment"]["data"] |= {"name": "folder", "path": str(tmp_path / "gone")}
    (alone / "config.json").write_text(json.dumps(sealed(config)))
    held = pictures(alone, tmp_path / "out", num=20, device="cpu")
    assert list(held["pictures"]) == ["sheet", "interpolations-latents", "interpolations-classes"]
    assert held["skipped"] == {
        "neighbours": "the training images of the run are missing",
        "tsne": "no discriminator: there is no checkpoint, and a model folder holds the generator alone",
        "spectra": "no real images: the run's own are missing",
    }
    assert "reference" not in held and str(tmp_path) not in json.dumps(held)
    with pytest.raises(ConfigError, match="no picture could be drawn:\n  spectra: no real images"):
        pictures(alone, tmp_path / "none", which=["spectra"], device="cpu")
    # Real images that are named serve; classes of another order are put in the generator's.
    held = pictures(alone, tmp_path / "out", reference="digits", num=20, device="cpu")
    assert list(held["skipped"]) == ["tsne"] and held["training"]["images"] == 1201
    with pytest.raises(ConfigError, match="no such picture: sheets; known: sheet, neighbours"):
        pictures(alone, tmp_path / "out", which=["sheets"])
    with pytest.raises(ConfigError, match="num is 0"):
        pictures(alone, tmp_path / "out", num=0)


def test_classes_in_another_order_are_the_same_classes(made, run_folder, tmp_path):
    """t-SNE of a reference whose classes are numbered backwards has the same purity."""
    data = open_dataset(DataConfig(name="digits", resolution=8, channels=1), "test")
    turned = ImageData(data.images, 9 - data.labels, data.class_names[::-1], "backwards")
    held = pictures(run_folder, tmp_path, reference=turned, which=["tsne"], num=60, device="cpu")
    expected = made[0]["pictures"]["tsne"]["numbers"]
    assert held["pictures"]["tsne"]["numbers"] == expected
    other = ImageData(data.images, np.zeros(len(data), np.int64), ("thing",), "things")
    held = pictures(run_folder, tmp_path, reference=other, which=["tsne", "sheet"], device="cpu")
    assert held["skipped"] == {"tsne": "the real images have other classes than the generator"}


def few_digits(folder):
    """Three real images a class, as class folders."""
    data = open_dataset(DataConfig(name="digits", resolution=8, channels=1), "test")
    for label, name in enumerate(data.class_names):
        for place in np.flatnonzero(data.labels == label)[:3]:
            save_image(torch.tensor(data.images[place]), folder / name, str(place))
    return folder


def test_on_the_page(reacgan, run_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plots, "have_plots", lambda: False)  # curves take time
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    without = reacgan("report", run)
    assert without[0] == 0 and "<h3>Pictures" not in (run / "report.html").read_text("utf-8")
    few = few_digits(tmp_path / "few")
    code, out, _ = reacgan("report", run, "--pictures", "--device", "cpu", "--reference", few)
    assert code == 0 and out.splitlines()[0] == f"pictures: {run / 'pictures'}: {', '.join(ALL)}"
    page = (run / "report.html").read_text("utf-8")
    captions = re.findall(r"<figcaption>([^<]*)</figcaption>", page)
    for words in ("t-SNE of the discriminator", "power by frequency", "nearest of 1,201 training"):
        assert sum(words in caption for caption in captions) == 1, words
    assert str(tmp_path) not in page
    assert reacgan("report", run)[0] == 0  # what is there stays on the page
    assert "power by frequency" in (run / "report.html").read_text("utf-8")
    code, _, err = reacgan("report", run, "--extractor", "domain")
    assert code == 1 and "go with pictures" in err


def test_an_evaluation_has_no_pictures(reacgan, tmp_path):
    (tmp_path / "scores.jsonl").write_text("")
    code, out, _ = reacgan("report", tmp_path, "--pictures")
    assert code == 0 and "none, it is an evaluation and no run" in out


def test_the_page_believes_no_file(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert picture_parts(folder) == []
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    (folder / "odd.png").write_bytes(b"<script>")
    held = {"pictures": {"../secret": {}, "odd": [], "gone": {}}, "skipped": {"<b>": "<script>"}}
    (folder / "pictures.json").write_text(json.dumps(held))
    page = "".join(picture_parts(folder))
    assert "base64" not in page and "<script" not in page and "odd.png is not a PNG" in page
    assert "The picture gone is missing" in page and "<b>" not in page
    for text in ("[]", "{torn", '{"pictures": 3}'):
        (folder / "pictures.json").write_text(text)
        assert "base64" not in "".join(picture_parts(folder))


def test_the_table_is_what_is_made(made):
    assert {name.split("-")[0] for name in ALL} == set(PICTURES)
