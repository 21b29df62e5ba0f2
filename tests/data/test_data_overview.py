"""One survey of a set, in words and as facts: what ``data inspect`` says, ``new`` says too."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import reacgan as package
from reacgan.data import inspect_data, open_dataset, prepare_data
from reacgan.data.names import plural
from reacgan.data.overview import overview_of
from reacgan.experiments.derive import derive_experiment, find_set


@pytest.fixture
def photos(tmp_path):
    """Unequal classes of grey and colour images, a copy, and seven files that are none."""
    root = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for name, count in {"cat": 12, "dog": 12, "猫": 2}.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            shape = (9 + number, 12) if name == "猫" else (9 + number, 12, 3)
            noise = generator.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number}.png")
    (root / "dog" / "again.png").write_bytes((root / "cat" / "0.png").read_bytes())
    for number in range(5):
        (root / "cat" / f"bad{number}.jpg").write_bytes(b"no picture")
    for number in range(2):
        (root / "dog" / f"empty{number}.png").write_bytes(b"")
    return root


LINES = """found in {}
  27 colour images of 3 classes: dog (13), cat (12), 猫 (2)
  images a class: 2 to 13, median 12
  shorter sides: 9 to 12 pixels, median 12
  stored as L, RGB
  1 with less than half of the mean: 猫 (2)
  7 files (20.6%) cannot be used:
    5 x content is none of PNG, JPEG, WEBP, BMP, TIFF, GIF, PPM, HEIC, AVIF: cat/bad0.jpg, cat/bad1.jpg, cat/bad2.jpg and 2 more
    2 x empty file: dog/empty0.png, dog/empty1.png
  1 file is a copy of another: cat/0.png = dog/again.png
    copies are kept and trained on; move a file out of the folder to leave it out
    in several classes, so wrong in one at least: cat/0.png = dog/again.png"""  # noqa: E501


def test_all_of_it_in_words(photos):
    text = overview_of(inspect_data(photos)).text()
    lines = [line for line in text.splitlines() if "unequal" not in line]
    assert "\n".join(lines) == LINES.format(photos)
    assert "the largest class has 6.5 times the images of the smallest" in text


def test_both_commands_say_the_same(reacgan, photos, tmp_path):
    code, inspected, _ = reacgan("data", "inspect", photos)
    assert code == 0
    code, proposed, err = reacgan("new", photos, "--seconds", 0, "--out", tmp_path / "plan.yaml")
    assert code == 1 and "7 of 34 files were refused" in err
    said, _, refusal = inspected.partition("training would refuse this:")
    assert proposed == said and "7 of 34 files were refused" in " ".join(refusal.split())


def test_facts_of_files_and_of_what_is_opened(reacgan, photos):
    facts = json.loads(reacgan("data", "inspect", photos, "--json")[1])
    assert facts["copies"] == facts["copies_across_classes"] == [["cat/0.png", "dog/again.png"]]
    assert facts["classes"] == {"cat": 12, "dog": 13, "猫": 2} and facts["refused"] == 7
    assert [*facts["reasons"].values()] == [5, 2] and len(facts["refused_files"]) == 7
    assert facts["shorter_side"] == {"smallest": 9, "median": 12, "largest": 12}
    opened = json.loads(reacgan("data", "inspect", "digits", "--json")[1])
    data = open_dataset(find_set("digits"))
    assert (opened["size"], opened["channels"], opened["digest"]) == ([8, 8], 1, data.digest)
    assert "copies" not in opened and "refused" not in opened


def test_generated_images_are_known(reacgan, tmp_path):
    package.generate_dataset("digits-reacgan", tmp_path / "made", num=2, device="cpu")
    out = reacgan("data", "inspect", tmp_path / "made")[1]
    assert "note: generated images: manifest.json says how they were made" in out
    assert "not read" not in out and "ignored" not in out
    (tmp_path / "made" / "manifest.json").write_text('{"kind": "of a shop"}')
    assert "not read: manifest.json" in reacgan("data", "inspect", tmp_path / "made")[1]


def test_counts_in_words():
    assert [plural(number, "file") for number in (0, 1, 2000)] == [
        "0 files",
        "1 file",
        "2,000 files",
    ]
    assert plural(1, "class", "es") == "1 class" and plural(2, "class", "es") == "2 classes"


def test_classes_that_look_alike_are_named(tmp_path):
    for name in ("ZEBRA", "zebra", "Caf\u00e9", "cafe\u0301", "frog ", "frog", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "set" / name / "1.png")
    (note,) = [note for note in inspect_data(tmp_path / "set").notes if "alone" in note]
    for pair in ("'ZEBRA' and 'zebra'", "'Caf\u00e9' and 'caf\u00e9'", "'frog' and 'frog '"):
        assert pair in note
    assert "dog" not in note and "put the images into one folder" in note
    packed = prepare_data(tmp_path / "set", tmp_path / "set.safetensors", resolution=8)
    assert "'ZEBRA' and 'zebra'" in overview_of(packed).notes[0]


def test_a_packed_set_is_said_to_be_packed(photos, tmp_path):
    prepare_data(photos, tmp_path / "p.safetensors", resolution=16, max_refused=1)
    choices = derive_experiment(tmp_path / "p.safetensors", device="cpu").choices
    (resolution,) = [choice for choice in choices if choice.key == "data.resolution"]
    assert (resolution.value, resolution.reason) == (16, "packed at 16 px")


def test_facts_are_rounded(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    assert overview_of(inspect_data(tmp_path)).facts()["effective_classes"] == 3.0
