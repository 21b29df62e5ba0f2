"""Generated data sets: opened again by those who read such files, resumed, and never mixed."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import signal
import tarfile
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import reacgan
from reacgan.cli import main
from reacgan.config import ConfigError
from reacgan.data import find_dataset, inspect_data, open_dataset
from reacgan.evaluation.image_files import open_images
from reacgan.generated import FORMS, digest_of
from reacgan.generated.forms.base import MANIFEST
from reacgan.hub import load as reacgan_load
from reacgan.hub import save
from reacgan.sampling import Moves

AWKWARD = ("a/b", "Кошка", "猫", "cat", "Cat", "con", 'quo"te,comma', "8", "<9>", " x")


def where(folder, form):
    return folder / ("set.zip" if form == "zip" else "set")


def expected(model, num, **options):
    """The images of `reacgan sample` by class and seed."""
    made = reacgan.sample(model, num=num, **options)
    return {(item.label, item.seed): item.image for item in made}


def content(path):
    """Every file below a path, byte for byte."""
    if path.is_file():
        return path.read_bytes()
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def picture(data):
    with Image.open(io.BytesIO(data)) as opened:
        return torch.tensor(np.atleast_3d(np.asarray(opened))).permute(2, 0, 1)


def same(images, truth):
    assert images.keys() == truth.keys()
    assert all(torch.equal(images[key], truth[key]) for key in truth)


def test_a_folder_is_read_by_our_own_reader(digits, tmp_path):
    made = reacgan.generate_dataset(digits, tmp_path / "set", num=3, seed=5, truncation=0.8)
    truth = expected(digits, 3, seed=5, truncation=0.8)
    config = find_dataset(str(tmp_path / "set")).model_copy(update={"resolution": 8, "channels": 1})
    data = open_dataset(config)
    assert data.class_names == digits.class_names and data.counts.tolist() == [3] * 10
    pixels = {image.tobytes() for image in data.images}
    assert pixels == {image.numpy().tobytes() for image in truth.values()}
    read = {
        (label, seed): picture((tmp_path / "set" / str(label) / f"{seed}.png").read_bytes())
        for label, seed in truth
    }
    same(read, truth)
    assert (made.done, made.resumed, made.complete) == (30, 0, True)
    assert made.counts == dict.fromkeys(digits.class_names, 3)
    assert not list((tmp_path / "set").glob(".*"))


def test_a_zip_is_read_by_zipfile_and_by_ours(digits, tmp_path):
    reacgan.generate_dataset(digits, tmp_path / "set.zip", to="zip", num=3)
    truth = expected(digits, 3)
    with zipfile.ZipFile(tmp_path / "set.zip") as file:
        assert file.testzip() is None
        names = {name for name in file.namelist() if name.endswith(".png")}
        read = {
            tuple(int(part) for part in name.removesuffix(".png").split("/")): picture(
                file.read(name)
            )
            for name in names
        }
        assert json.loads(file.read(MANIFEST))["images"] == 30
    same(read, truth)
    opened = open_images(tmp_path / "set.zip", resolution=None, channels=None, most_refused=0)
    assert opened.labelled and opened.images.counts.tolist() == [3] * 10
    for image, label in zip(opened.images.images, opened.images.labels, strict=True):
        assert any(np.array_equal(image, truth[int(label), seed].numpy()) for seed in range(3))
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_shards_are_read_by_webdataset(digits, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    made = reacgan.generate_dataset(digits, tmp_path / "set", to="webdataset", num=3, shard=8)
    samples = list(webdataset.WebDataset(made.pattern, shardshuffle=False).decode("pil"))
    facts = [sample["json"] for sample in samples]
    read = {
        (fact["label"], fact["seed"]): torch.tensor(np.asarray(sample["png"].convert("L")))[None]
        for sample, fact in zip(samples, facts, strict=True)
    }
    same(read, expected(digits, 3))
    assert [sample["cls"] for sample in samples] == [fact["label"] for fact in facts]
    assert all(fact["class"] == digits.class_names[fact["label"]] for fact in facts)
    assert len(list((tmp_path / "set").glob("shard-*.tar"))) == 4
    labels = [fact["label"] for fact in facts]
    assert labels != sorted(labels) and len(set(labels[:8])) > 3  # shuffled
    with tarfile.open(tmp_path / "set" / "shard-000000.tar") as file:
        assert {member.mtime for member in file} == {0}


def test_parquet_is_read_by_pyarrow_and_datasets(digits, tmp_path, monkeypatch):
    parquet, datasets = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    reacgan.generate_dataset(digits, tmp_path / "set", to="parquet", num=3, shard=16)
    truth = expected(digits, 3)
    files = sorted((tmp_path / "set" / "data").iterdir())
    assert [file.name for file in files] == [f"train-0000{n}-of-00002.parquet" for n in (0, 1)]
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    same({(row["label"], row["seed"]): picture(row["image"]["bytes"]) for row in rows}, truth)
    read = datasets.load_dataset(
        str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert read.features["label"].names == list(digits.class_names)
    pictures = {
        (row["label"], row["seed"]): torch.tensor(np.asarray(row["image"]))[None] for row in read
    }
    same(pictures, truth)


def test_arrow_is_read_by_datasets_and_by_ours(digits, tmp_path):
    datasets = pytest.importorskip("datasets")
    reacgan.generate_dataset(digits, tmp_path / "set", to="hf", num=7)
    truth = expected(digits, 7)
    read = datasets.load_from_disk(str(tmp_path / "set"))
    pictures = {
        (row["label"], row["seed"]): torch.tensor(np.asarray(row["image"]))[None] for row in read
    }
    same(pictures, truth)
    config = find_dataset(f"hub:{tmp_path / 'set'}").model_copy(
        update={"resolution": 8, "channels": 1}
    )
    data = open_dataset(config)
    assert data.class_names == digits.class_names and data.counts.tolist() == [7] * 10


def test_names_that_no_folder_can_have(digits, tmp_path):
    model = replace(digits, class_names=AWKWARD)
    reacgan.generate_dataset(model, tmp_path / "set", num=2)
    table = open_dataset(
        find_dataset(str(tmp_path / "set" / "labels.csv")).model_copy(
            update={"resolution": 8, "channels": 1}
        )
    )
    assert set(table.class_names) == {name.strip() for name in AWKWARD}
    assert inspect_data(tmp_path / "set").counts.tolist() == [2] * 10
    with (tmp_path / "set" / "labels.csv").open(encoding="utf-8", newline="") as file:
        assert {row["class"] for row in csv.DictReader(file)} == set(AWKWARD)


def test_the_digest_is_that_of_the_images_whatever_the_form(digits, tmp_path):
    digests = {
        form: reacgan.generate_dataset(digits, where(tmp_path / form, form), to=form, num=2).digest
        for form in FORMS
    }
    truth = expected(digits, 2)
    labels, seeds = zip(*reversed(truth), strict=True)
    images = [truth[key] for key in reversed(truth)]
    assert set(digests.values()) == {digest_of(images, labels, seeds, digits.class_names)}
    images[3] = images[3] ^ 1
    assert digest_of(images, labels, seeds, digits.class_names) not in digests.values()


def test_the_manifest(digits, tmp_path):
    made = reacgan.generate_dataset(digits, tmp_path / "set", num=2, seed=3, classes="7,1")
    facts = json.loads((tmp_path / "set" / MANIFEST).read_text("utf-8"))
    assert facts == made.manifest
    assert facts["settings"] == {"seed": 3, "precision": "float32"}
    assert [(c["name"], c["images"], c["seeds"]) for c in facts["classes"]] == [
        ("1", 2, [3, 4]),
        ("7", 2, [3, 4]),
    ]
    assert facts["made_with"]["torch"] == torch.__version__
    assert len(facts["model"]["digest"]) == 64


@pytest.mark.parametrize("form", FORMS)
def test_stopped_and_taken_up_again(digits, tmp_path, form):
    options = {"to": form, "num": 16} | ({"shard": 32} if FORMS[form].sharded else {})
    whole, parted = (where(tmp_path / name, form) for name in ("whole", "parted"))
    made = reacgan.generate_dataset(digits, whole, **options)
    asked = iter([False] * 7 + [True])
    part = reacgan.generate_dataset(digits, parted, should_stop=lambda: next(asked), **options)
    assert not part.complete and part.digest == "" and 0 < part.done < 160
    reported = []
    rest = reacgan.generate_dataset(
        digits, parted, progress=lambda *numbers: reported.append(numbers), **options
    )
    assert rest.resumed == part.done and rest.done == 160
    assert reported[0] == (part.done, 160) and reported[-1] == (160, 160)
    assert rest.digest == made.digest and content(parted) == content(whole)
    again = reacgan.generate_dataset(digits, parted, should_stop=lambda: True, **options)
    assert again.complete and again.resumed == 160


@pytest.mark.parametrize("form", ["folder", "zip", "webdataset"])
def test_killed_and_taken_up_again(digits, tmp_path, form):
    options = {"to": form, "num": 16} | ({"shard": 32} if FORMS[form].sharded else {})
    whole, killed = (where(tmp_path / name, form) for name in ("whole", "killed"))
    reacgan.generate_dataset(digits, whole, **options)

    def die(done, total):
        if done >= 112:
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(
        target=reacgan.generate_dataset, args=(digits, killed), kwargs={**options, "progress": die}
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    made = reacgan.generate_dataset(digits, killed, **options)
    assert 0 < made.resumed < 160 and made.complete
    assert content(killed) == content(whole)


@pytest.mark.parametrize("form", FORMS)
def test_what_nobody_keeps_leaves_nothing(digits, tmp_path, form):
    def fail(done, total):
        if done >= 48:
            raise RuntimeError("no more")

    options = {"to": form, "num": 16, "keep": False}
    asked = iter([False] * 7 + [True])
    made = reacgan.generate_dataset(
        digits, where(tmp_path, form), should_stop=lambda: next(asked), **options
    )
    assert not made.complete and made.done == 0 and list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="no more"):
        reacgan.generate_dataset(digits, where(tmp_path, form), progress=fail, **options)
    assert list(tmp_path.iterdir()) == []
    assert reacgan.generate_dataset(digits, where(tmp_path, form), **options).complete
    reacgan.generate_dataset(digits, where(tmp_path, form), should_stop=lambda: True, **options)
    assert where(tmp_path, form).exists()


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_what_was_begun_by_others_stays(digits, tmp_path, form):
    options = {"to": form, "num": 16}
    asked = iter([False] * 7 + [True])
    path = where(tmp_path, form)
    begun = reacgan.generate_dataset(digits, path, should_stop=lambda: next(asked), **options)
    asked = iter([False] * 2 + [True])
    made = reacgan.generate_dataset(
        digits, path, should_stop=lambda: next(asked), keep=False, **options
    )
    assert made.resumed == made.done == begun.done == 64
    assert reacgan.generate_dataset(digits, path, **options).resumed == 64


def test_others_have_their_turn_between_passes(digits, tmp_path):
    class Turn:
        passes, inside = 0, False

        def __enter__(self):
            self.passes, self.inside = self.passes + 1, True

        def __exit__(self, *_):
            self.inside = False

    turn, reported = Turn(), []
    reacgan.generate_dataset(
        digits,
        tmp_path / "set",
        num=8,
        turn=turn,
        progress=lambda done, total: reported.append((done, turn.inside)),
    )
    assert reported == [(done, False) for done in range(0, 81, 16)] and turn.passes == 5


def test_moves_are_kept_in_mind(digits, tmp_path):
    moves = Moves(toward=((7, 0.25),), along=((1, 2.0),))
    asked = iter([False, False, True])
    options = {"num": 10, "seed": 3, "moves": moves}
    reacgan.generate_dataset(digits, tmp_path / "set", should_stop=lambda: next(asked), **options)
    with pytest.raises(ConfigError, match="settings.moves"):
        reacgan.generate_dataset(digits, tmp_path / "set", **{**options, "moves": None})
    made = reacgan.generate_dataset(digits, tmp_path / "set", **options)
    assert made.manifest["settings"]["moves"] == {"toward": [[7, 0.25]], "along": [[1, 2.0]]}
    truth = expected(digits, 10, seed=3, moves=moves)
    read = {
        (label, seed): picture((tmp_path / "set" / str(label) / f"{seed}.png").read_bytes())
        for label, seed in truth
    }
    same(read, truth)
    assert not torch.equal(read[4, 5], expected(digits, 10, seed=3)[4, 5])


def test_a_lost_file_is_made_again(digits, tmp_path):
    options = {"num": 16}
    asked = iter([False] * 9 + [True])
    reacgan.generate_dataset(digits, tmp_path / "set", should_stop=lambda: next(asked), **options)
    lost = tmp_path / "set" / "0" / "3.png"
    before = lost.read_bytes()
    lost.unlink()
    assert reacgan.generate_dataset(digits, tmp_path / "set", **options).resumed == 64
    assert lost.read_bytes() == before


@pytest.mark.parametrize("finished", [True, False])
def test_two_settings_are_never_mixed(digits, tmp_path, finished):
    stop = (lambda: False) if finished else iter([False, True]).__next__
    reacgan.generate_dataset(digits, tmp_path / "set", num=2, should_stop=stop)
    before = content(tmp_path / "set")
    for options, message in (
        ({"truncation": 0.5}, "settings.truncation is none there, asked for: 0.5"),
        ({"num": 3}, "images is 20 there, asked for: 30"),
        ({"num": 3}, "; 0: 2 images there, asked for: 3; 1: 2 images there, asked for: 3; .* more"),
        ({"classes": "3,7"}, "the classes are 0, 1, 2, 3, 4 and 5 more there, asked for: 3, 7; "),
        ({"seed": 1}, "settings.seed is 0 there, asked for: 1"),
        ({"to": "webdataset"}, "form is folder there, asked for: webdataset"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            reacgan.generate_dataset(digits, tmp_path / "set", **{"num": 2, **options})
        assert "{" not in str(caught.value)
    weights = {name: value.clone() for name, value in digits.generator.state_dict().items()}
    other = reacgan.load("digits-reacgan", device="cpu")
    next(other.generator.parameters()).mul_(1.5)
    with pytest.raises(ConfigError, match=r"model\.digest is .* there, asked for"):
        reacgan.generate_dataset(other, tmp_path / "set", num=2)
    renamed = replace(digits, class_names=tuple("abcdefghij"))
    with pytest.raises(
        ConfigError, match="otherwise: the model's classes are 0, 1, .* a, b, c, d, e and"
    ):
        reacgan.generate_dataset(renamed, tmp_path / "set", num=2)
    assert weights.keys() == digits.generator.state_dict().keys()
    assert content(tmp_path / "set") == before


def test_what_is_there_already_stays(digits, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ConfigError, match="exists and is no data set of `reacgan generate`"):
        reacgan.generate_dataset(digits, tmp_path / "mine", num=1)
    (tmp_path / "mine.zip").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists and is no data set"):
        reacgan.generate_dataset(digits, tmp_path / "mine.zip", to="zip", num=1)
    (tmp_path / "mine" / MANIFEST).write_text('{"theirs": 1}')
    with pytest.raises(ConfigError, match="exists and is no data set"):
        reacgan.generate_dataset(digits, tmp_path / "mine", num=1)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "tar"}, "unknown form 'tar'"),
        ({"num": 0}, "num is 0; allowed: 1 "),
        ({"num": 1, "total": 2}, "give one of them"),
        ({"shard": 5}, "folder has no shards"),
        ({"to": "webdataset", "shard": 0}, "shard is 0"),
        ({"order": "random"}, "order is 'random'; allowed: classes, shuffled"),
        ({"classes": "cow"}, "unknown class 'cow'"),
        ({"distribution": "even"}, "distribution is 'even'; allowed: balanced, training, or"),
        ({"distribution": "3=-1"}, "share of 3 is -1.0; allowed: 0 or more"),
        ({"distribution": "3=0"}, "gives no class an image"),
        ({"distribution": "3=1", "classes": "3"}, "names the classes itself"),
        ({"statistics": "batch"}, "do not fix an image"),
        ({"truncation": -1}, "truncation is -1"),
    ],
)
def test_what_cannot_be_asked_for(digits, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        reacgan.generate_dataset(digits, tmp_path / "set", **options)
    assert not (tmp_path / "set").exists()


def test_images_that_are_no_pictures(tmp_path, digits):
    from reacgan.generated.forms import HfForm, WebDatasetForm

    WebDatasetForm.check(7)
    with pytest.raises(ConfigError, match="7 channels.* take folder, zip or webdataset"):
        HfForm.check(7)


def test_a_command_that_is_interrupted(tmp_path, capfd):
    words = ["generate", "digits-reacgan", "--num", "5000", "--out", str(tmp_path / "set")]
    process = multiprocessing.get_context("fork").Process(target=main, args=(words,))
    process.start()
    while process.is_alive() and len(list((tmp_path / "set").rglob("*.png"))) < 20:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130
    assert "of 50,000 images; the same command goes on" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "set" / MANIFEST).exists()


def test_the_command(reacgan, tmp_path):
    words = ["generate", "digits-reacgan", "--total", 8, "--distribution", "3=3,7=1"]
    code, out, err = reacgan(*words, "--out", tmp_path / "set")
    assert code == 0, err
    assert out.startswith(
        f"8 images in {tmp_path / 'set'}: 3 6, 7 2\nopened by reacgan data inspect"
    )
    assert err == ""  # nothing of it takes long
    assert sorted(p.name for p in (tmp_path / "set" / "7").iterdir()) == ["0.png", "1.png"]
    code, _, err = reacgan(
        "sample", "digits-reacgan", "--classes", 7, "--num", 2, "--out", tmp_path / "s"
    )
    assert code == 0, err
    for seed in "01":
        names = [tmp_path / name / "7" / f"{seed}.png" for name in ("set", "s")]
        assert names[0].read_bytes() == names[1].read_bytes()
    code, out, err = reacgan(*words, "--out", tmp_path / "set", "--quiet")
    assert code == 0 and "(8 of them made before)" in out and err == ""
    renamed = replace(reacgan_load("digits-reacgan", device="cpu"), class_names=AWKWARD)
    save(renamed, tmp_path / "model")
    code, out, err = reacgan("generate", tmp_path / "model", "--num", 1, "--out", tmp_path / "odd")
    assert code == 0 and f"opened by reacgan data inspect {tmp_path / 'odd' / 'labels.csv'}" in out
    code, _, err = reacgan(*words, "--out", tmp_path / "set", "--psi", 0.5)
    assert code == 1 and err.startswith("reacgan: ")


def test_renamed_folders_are_said_with_their_true_names(tmp_path, reacgan):
    names = ("Tigré: Katze", *"123456789")
    odd = replace(reacgan_load("digits-reacgan", device="cpu"), class_names=names)
    save(odd, tmp_path / "model")
    line = "folder: 0~Tigré_ Katze is Tigré: Katze"
    words = [tmp_path / "model", "--num", 1, "--device", "cpu"]
    for form in ("folder", "zip"):
        out = tmp_path / ("a.zip" if form == "zip" else "a")
        code, said, err = reacgan("generate", *words, "--to", form, "--out", out)
        assert code == 0 and f"{line}; labels.csv has the true names\n" in said, said + err
    code, said, err = reacgan("sample", *words, "--out", tmp_path / "b")
    assert code == 0 and said.endswith(f"{line}\n"), said + err
    code, said, err = reacgan("sample", *words, "--classes", "1", "--out", tmp_path / "c")
    assert code == 0 and "Tigr" not in said, said + err
