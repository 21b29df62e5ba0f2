"""The first hour: what is found in a folder, the plan for it, and how long it would take."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from PIL import Image

import reacgan as package
from reacgan.config import ConfigError, check_changes, load_experiment, parse_assignments
from reacgan.data import DataError, open_dataset
from reacgan.experiments import EXPERIMENTS
from reacgan.experiments.derive import ImageFacts, derive
from reacgan.models import build_discriminator, build_generator
from reacgan.outlook import prospect, stages
from reacgan.planning import propose, time_steps
from reacgan.planning.plan_file import to_yaml
from reacgan.planning.start_weights import MEASURED, TRIED, fitting, values_of
from reacgan.progress import rough_duration
from toy import pictures, toy

TINY = {
    "training.batch": 16,
    "model.generator.width": 4,
    "model.backbone.width": 4,
    "model.head.embedding_dim": 8,
}
COUNTS = {"cat": 12, "Žluťoučký кот": 3, "猫 🐈": 5}


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Names in three scripts, unequal classes, a copy in another class, and a broken file."""
    root = tmp_path_factory.mktemp("new") / "my pets"
    generator = np.random.default_rng(0)
    for name, count in COUNTS.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.integers(0, 256, (9, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number}.png")
    copied = (root / "cat" / "0.png").read_bytes()
    (root / "猫 🐈" / "again.png").write_bytes(copied)
    (root / "cat" / "broken.jpg").write_bytes(b"no picture at all")
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache of new"))


def told(path, **options):
    parts = []
    return propose(path, device="cpu", tell=parts.append, **options), parts


def test_what_is_found_is_said_by_name(pets):
    proposal, parts = told(pets, seconds=0)
    text = "\n".join(parts)
    assert proposal.overview.images == 21 and proposal.overview.copies.spare == 1
    for words in (
        f"found in {pets}",
        "21 colour images of 3 classes: cat (12), 猫 🐈 (6), Žluťoučký кот (3)",
        "shorter sides: 8 pixels",
        "unequal: the largest class has 4 times the images of the smallest",
        "cat/broken.jpg: content is none of",
        "1 file is a copy of another: cat/0.png = 猫 🐈/again.png",
        "in several classes",
        "copies are kept and trained on; move a file out of the folder to leave it out",
        "data.balanced = true: the largest class has 12 images, the smallest 3",
        "21 images of 3 classes, about 7 a class, are very few",
        "--from runs/NAME",
    ):
        assert words in text, text
    assert [part.split()[0] for part in parts] == ["found", "proposed:", "what"]
    assert proposal.experiment.data.balanced and proposal.experiment.training.batch == 16


def test_the_file_holds_the_plan_with_its_reasons_and_is_never_lost(pets, tmp_path, monkeypatch):
    proposal, _ = told(pets, seconds=0)
    file = proposal.write(tmp_path / "plan.yaml")
    assert load_experiment(file) == proposal.experiment.replace(
        **{"name": "plan", "data.path": str(pets)}
    )
    text = file.read_text("utf-8")
    for choice in proposal.derived.choices:
        assert choice.reason.split(":")[0].split()[0] in text
    assert "# Show every class equally often" in text and "made by: reacgan new" in text
    below = [line for line in text.splitlines() if re.match(r"  \w+: ", line)]
    assert len(below) > 10
    with pytest.raises(ConfigError, match="exists, and is not replaced; --force replaces it"):
        proposal.write(file)
    file.write_text("mine", "utf-8")
    assert proposal.write(file, force=True).read_text("utf-8") == text
    with pytest.raises(DataError, match="choose an --out elsewhere"):
        proposal.write(pets / "plan.yaml")
    with pytest.raises(ConfigError, match="it is a folder; give the name of a file"):
        proposal.write(tmp_path)
    monkeypatch.chdir(pets.parent)
    assert propose(pets.name, device="cpu", seconds=0).text.count(str(pets)) == 1  # found anywhere


def test_every_experiment_survives_as_a_file_with_comments():
    for experiment in EXPERIMENTS.values():
        to_yaml(experiment, {}, head="x")  # which compares what it would read


def facts(images, **changes):
    values = {"path": "photos", "dataset": "folder", "images": images, "side": 64, "grey": False}
    return ImageFacts(**{**values, "classes": ("cat", "dog"), "accelerator": False, **changes})


def test_sets_of_every_size_have_a_plan():
    plans = [derive(facts(images)).experiment for images in (30, 500, 5_000, 50_000, 10**6)]
    assert [plan.augment.name for plan in plans] == ["diffaug"] * 4 + ["identity"]
    assert [plan.training.images for plan in plans] == [
        *(200_000, 400_000, 400_000, 2_000_000, 2_000_000)
    ]
    assert [plan.training.batch for plan in plans] == [16, 64, 64, 64, 64]
    longest = derive(facts(10**6, accelerator=True)).experiment.training.images
    assert longest == 20_000_000
    reasons = {choice.key: choice.reason for choice in derive(facts(10**6)).choices}
    assert "long; --images changes it" in reasons["training.images"]


@pytest.mark.parametrize("images", [30, 135, 199, 900])
@pytest.mark.parametrize("side", [8, 32])
def test_small_sets_are_not_trained_beyond_what_adds_anything(images, side):
    plan = derive(facts(images, side=side)).experiment
    *_, best = stages(side, images, 2)
    assert plan.training.images == min(best.images_seen, 400_000)
    assert best.name == "as good as it gets" and "more training adds little" in best.pictures


@pytest.mark.parametrize(
    ("images", "expected", "promised"),
    [(60, "near-copies", False), (135, "copies of single", False), (3_000, "less variety", True)],
)
def test_what_is_said_of_a_set_is_said_of_its_stages(images, expected, promised):
    said, stage_words = prospect(images, 6).said, [each.pictures for each in stages(32, images, 6)]
    assert expected in said and expected in stage_words[-1]
    assert ("recognisable" in said) == promised
    assert ("recognisable" in " ".join(stage_words)) == promised
    assert ("usable" in [each.name for each in stages(32, images, 6)]) == promised


def test_one_class_and_one_image_a_class_have_one_too():
    single = derive(facts(8, classes=("cat",))).experiment
    assert single.model.head.name == "unconditional" and single.training.batch == 8
    asked = derive(facts(8, classes=("cat",), given={"model.head.name": "projection"}))
    assert asked.experiment.model.head.name == "projection"
    few = derive(facts(4, classes=("a", "b", "c", "d"), counts=(1, 1, 1, 1))).experiment
    assert few.training.batch == 8 and not few.data.balanced
    with torch.device("meta"):
        build_generator(single.model.generator, single.data, 1)
        build_discriminator(single.model.backbone, single.model.head, single.data, 1)


def test_trained_weights_bring_their_networks(pets, reacgan, tmp_path):
    needed = values_of("digits-reacgan", images=21)
    assert needed["data.resolution"] == 8 and needed["training.freeze_d"] >= 1
    assert values_of("digits-reacgan", images=5_000)["training.freeze_d"] == 0
    with pytest.raises(ConfigError, match="did you mean 'digits-reacgan'"):
        values_of("digit-reacgan", images=21)
    file = tmp_path / "plan.yaml"
    words = [
        "new",
        pets,
        "--from",
        "digits-reacgan",
        "--set",
        "data.channels=1",
        "--seconds",
        0,
        "--out",
        file,
        "--device",
        "cpu",
    ]
    code, out, err = reacgan(*words)
    assert code == 0, err
    assert "training.start_from = digits-reacgan" in out
    assert "begins with digits-reacgan (digits, 8 x 8 x 1, 10 classes" in out
    assert "have seen similar" not in out
    plan = load_experiment(file)
    assert plan.data.channels == 1 and plan.training.start_from == "digits-reacgan"
    code, out, err = reacgan(
        "train", file, "--images", 16, "--out", tmp_path / "run", "--device", "cpu"
    )
    assert code == 0, err
    assert "began with" in err and "weights/digits-reacgan" in err
    frozen = [line for line in err.splitlines() if line.startswith("new:")]
    assert frozen and "discriminator/backbone" not in frozen[0]  # D came with the published weights


def test_weights_of_unlike_images_are_refused(pets, tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as refused:
        propose(pets, device="cpu", seconds=0, start_from="digits-reacgan")
    said = str(refused.value)
    assert "8 x 8 grey images; here 8 x 8 colour images are proposed" in said
    assert "digits, 8 x 8 x 1, 10 classes" in said and said.endswith("--set data.channels=1")
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("L", (32, 32), 20 * number)
            picture.save(tmp_path / "photos" / name / f"{number}.png")
    with pytest.raises(ConfigError, match="8 x 8 grey.*32 x 32 grey .*--set data.resolution=8$"):
        propose(tmp_path / "photos", device="cpu", seconds=0, start_from="digits-reacgan")
    small = {"data.resolution": 8}
    given = propose(
        tmp_path / "photos", device="cpu", seconds=0, start_from="digits-reacgan", given=small
    )
    assert given.experiment.training.start_from == "digits-reacgan"


def test_only_weights_that_fit_are_advised(pets, monkeypatch):
    from reacgan.hub import places

    bundled, checkout = places.weight_folders()[:2]
    monkeypatch.setattr(places, "weight_folders", lambda: [bundled])  # as in an installation
    proposal, parts = told(pets, seconds=0)
    assert "--from runs/NAME, a run of your own on similar images\n" in parts[-1] + "\n"
    grey = proposal.experiment.replace(**{"data.channels": 1}).data
    assert list(fitting(grey)) == ["digits-reacgan"]
    assert list(fitting(proposal.experiment.replace(**{"data.resolution": 32}).data)) == []
    monkeypatch.setattr(places, "weight_folders", lambda: [bundled, checkout])
    for side, advised in ((8, False), (16, False), (32, True), (64, True), (80, False)):
        wanted = proposal.experiment.replace(**{"data.resolution": side}).data
        assert (TRIED in fitting(wanted)) == advised, side
    larger, parts = told(pets, seconds=0, given={"data.resolution": 32})
    assert f"photos in colour gain by --from {TRIED}, for non-commercial" in parts[-1]
    assert MEASURED.split(",")[0] in " ".join(parts[-1].split())
    assert TRIED not in proposal.expected() and larger.source is None


def test_steps_are_timed_and_leave_nothing(pets, tmp_path, monkeypatch, reacgan):
    monkeypatch.chdir(tmp_path)
    words = [item for key, value in TINY.items() for item in ("--set", f"{key}={value}")]
    code, out, err = reacgan("new", pets, "--seconds", 0.01, "--device", "cpu", *words)
    assert code == 0, err
    assert "on this machine (cpu) about" in out and "an estimate" in out
    for stage in ("first shapes", "halfway", "as good as it gets", "this plan"):
        assert stage in out
    assert out.splitlines()[-1] == "next: reacgan train experiment.yaml"
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]
    code, _, err = reacgan("train", "experiment.yaml", "--images", 16, "--device", "cpu")
    assert code == 0 and (tmp_path / "runs" / "my pets" / "model").is_dir(), err


def test_a_plan_beside_another_run_gets_a_folder_of_its_own(pets, tmp_path, monkeypatch, reacgan):
    monkeypatch.chdir(tmp_path)
    tiny = [item for key, value in TINY.items() for item in ("--set", f"{key}={value}")]
    new = ["new", pets, "--seconds", 0, "--device", "cpu", *tiny, "--set", "training.images=16"]
    for folder, batch in ("my pets", 16), ("my pets-2", 8):
        other = ["--set", f"training.batch={batch}", "--out", f"{batch}/experiment.yaml"]
        code, out, err = reacgan(*new, *other)
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if line.startswith("next: ")]
        code, _, err = reacgan(*shlex.split(line)[2:], "--device", "cpu")
        assert code == 0, err
        assert (tmp_path / "runs" / folder / "model").is_dir()
        code, out, err = reacgan(*new, *other, "--force")  # its own run is no obstacle
        assert code == 0 and line in out.splitlines(), err


def test_a_run_is_called_by_its_plan(pets, tmp_path, monkeypatch, reacgan):
    """Two plans for the same images, neither of which was trained yet, are two runs."""
    monkeypatch.chdir(tmp_path)
    new = ["new", pets, "--seconds", 0, "--device", "cpu", "--json"]
    made = {}
    for out, more in (
        ("experiment.yaml", ()),
        ("from-tiny.yaml", ()),
        ("16.yaml", ()),
        ("other.yaml", ("--set", "name=mine")),
    ):
        code, said, err = reacgan(*new, "--out", out, *more)
        assert code == 0, err
        facts = json.loads(said)
        assert facts["next"] == f"reacgan train {out}"
        made[out] = load_experiment(out).name
        assert facts["experiment"]["name"] == made[out]
    assert list(made.values()) == ["my pets", "from-tiny", "16", "mine"]


def test_refused_files_are_said_of_a_packed_set_too(pets, caplog):
    plan = told(pets, seconds=0)[0].experiment
    for _ in range(2):
        caplog.clear()
        open_dataset(plan.replace(**{"data.channels": 3, "data.resolution": 8}).data)
        assert "1 file refused: 1 content is none of" in caplog.text
        assert "(cat/broken.jpg)" in caplog.text


def test_the_loss_of_sides_is_said():
    choices = derive(facts(500, sizes={(90, 60): 500})).choices
    (why,) = [choice.reason for choice in choices if choice.key == "data.resolution"]
    assert "about 33% of an image is cut off left and right: --set data.resolution=32x48" in why


def test_a_timing_is_of_whole_cycles_after_a_warm_up(monkeypatch):
    from reacgan.training.loop import Trainer

    cycles = []
    whole = Trainer.cycle
    monkeypatch.setattr(Trainer, "cycle", lambda *words: (cycles.append(1), whole(*words)))
    plan = toy(EXPERIMENTS["cifar10/reacgan"])
    timing = time_steps(plan, pictures(plan), device="cpu", seconds=1e-6)
    assert len(cycles) == 5 and timing.images_per_second > 0
    lines = list(timing.lines(plan, side=8, images=100, classes=10))
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "5 s"), (89, "89 s"), (600, "10 min"), (7_200, "2.0 h"), (400_000, "5 days")],
)
def test_times_are_said_as_people_say_them(seconds, words):
    assert rough_duration(seconds) == words


def test_train_says_the_same_in_short_and_every_value_on_request(pets, reacgan, tmp_path):
    words = ["train", "--data", pets, "--images", 16, "--device", "cpu"]
    tiny = ["--set", *(f"{key}={value}" for key, value in TINY.items())]
    code, out, err = reacgan(*words, "--out", tmp_path / "short", *tiny)
    assert code == 0, err
    assert "plan: ReACGAN at 8 x 8 pixels, 16 images to see" in out and "augment.name" not in out
    assert len(out.splitlines()) < 15 and "cat/broken.jpg" in out
    assert "memory:" not in err and "precision: " in err
    code, out, err = reacgan(*words, "--out", tmp_path / "long", "--verbose", *tiny)
    assert code == 0 and "augment.name = diffaug" in out and "speed:" in err and "memory:" in err
    code, out, err = reacgan(*words, "--out", tmp_path / "dry", "--dry-run", *tiny)
    assert code == 0 and "augment.name = diffaug: " in err and json.loads(out)["name"] == "my pets"


def test_too_many_unreadable_files_are_said_after_what_was_found(tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "set" / "cat" / "a.png")
    (tmp_path / "set" / "cat" / "b.png").write_bytes(b"nothing")
    parts = []
    with pytest.raises(DataError, match="more than the share"):
        propose(tmp_path / "set", device="cpu", seconds=0, tell=parts.append)
    assert len(parts) == 1 and "cat/b.png" in parts[0]


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        (["set/a.png"], "set", "no class folders; it holds 1 image.*one sub-folder for all if"),
        (["set/cat/"], "set", "no image in the folders of its classes .cat/."),
        (["photos/cat/a.png"], "fotos", "holds no 'fotos'; did you mean '.*photos'"),
        (["photos/cat/a.png"], "phtos/train", "holds no 'phtos'; did you mean '.*photos'"),
        ([], "zzz", "Data sets by name: reacgan data list"),
    ],
)
def test_errors_say_what_to_do(tmp_path, made, asked, message):
    for name in made:
        path = tmp_path / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True)
        if not name.endswith("/"):
            Image.new("RGB", (8, 8)).save(path)
    with redirect_stdout(io.StringIO()), pytest.raises(DataError, match=message):
        propose(tmp_path / asked, device="cpu", seconds=0)


def test_the_front_door_has_it():
    assert package.propose is propose


def test_a_set_with_a_shape_of_its_own_keeps_it():
    plan = propose("digits", device="cpu", seconds=0).experiment
    assert (plan.data.name, plan.data.resolution, plan.data.channels) == ("digits", 8, 1)


def test_what_is_set_is_in_the_plan_as_said(pets):
    given = {"loss.adversarial": "least_squares", "training.images": 5_000}
    proposal, parts = told(pets, seconds=0, given=given)
    assert "loss.adversarial = least_squares: as you say" in parts[1]
    assert "training.images = 5,000: as you say" in parts[1]
    assert "Here: as you say.\n  adversarial: least_squares\n" in proposal.text


def test_a_reader_that_goes_away_costs_no_plan(pets, tmp_path):
    words = ["new", str(pets), "--seconds", "0", "--out", str(tmp_path / "plan.yaml")]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "reacgan", *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141 and (tmp_path / "plan.yaml").is_file(), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "-1"], "minutes is -1.0; allowed: a positive number"),
        (["--device", "cuda:99"], "device is cuda:99, which is not usable here"),
        (["--set", "training.precision=half"], "training.precision: "),
        (["--set", "training.seed=-1"], "training.seed: "),
        (["--set", "model.head.temprature=2"], "of any head; did you mean 'temperature'?"),
        (["--set", "data.options.wite=1"], "of any data set; did you mean 'white'?"),
        (["--set", "training.sed=1"], "did you mean 'seed'?"),
        (["--out", __file__], "a file; needed: the folder of a run"),
    ],
)
def test_wrong_values_are_refused_before_images_are_looked_at(reacgan, tmp_path, words, said):
    code, _, err = reacgan("train", "--data", tmp_path / "nothing", *words)
    assert code == 1 and said in " ".join(err.split()) and "nothing: " not in err


def test_what_other_values_decide_is_not_refused_early():
    check_changes({"training.batch": 20, "training.accumulate": 3, "model.generator.depth": 2})


def test_none_is_null_and_words_like_numbers_stay_words(tmp_path):
    assert parse_assignments(["x=None", "y='None'", "z=null", "a=none"]) == {
        "x": None, "y": "None", "z": None, "a": "none",
    }  # fmt: skip
    for name in ("None", "1e3", "null", "01"):
        plan = to_yaml(EXPERIMENTS["digits/reacgan"].model_copy(update={"name": name}), {}, head="")
        (tmp_path / "plan.yaml").write_text(plan)
        assert load_experiment(tmp_path / "plan.yaml").name == name
        assert "None" not in plan.replace(f'"{name}"', "")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".CSV"])
def test_a_run_is_called_by_the_stem_of_its_table(tmp_path, ending):
    (tmp_path / "a").mkdir()
    for number in range(4):
        picture = Image.new("RGB", (16, 16), (40 * number, 0, 0))
        picture.save(tmp_path / "a" / f"{number}.png")
    separator = "\t" if ending == ".tsv" else ","
    rows = [f"a/{number}.png{separator}{'xy'[number % 2]}" for number in range(4)]
    table = tmp_path / f"Tabelle 2.1{ending}"
    table.write_text("\n".join([f"path{separator}label", *rows]) + "\n")
    assert package.derive_experiment(str(table)).experiment.name == "Tabelle 2.1"


def test_a_note_is_said_once(tmp_path, reacgan, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "first"))
    for number in range(20):
        (tmp_path / "scans" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 3_700, (9, 9), np.uint16)
        Image.fromarray(pixels).save(tmp_path / "scans" / "ab"[number % 2] / f"{number}.tif")
    code, out, err = reacgan("new", "scans", "--seconds", "0.01", "--device", "cpu")
    assert code == 0 and (out + err + caplog.text).count("integers of more") == 1
    assert "shades and layout" in " ".join(out.split()) and "colours" not in out
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "second"))
    train = "train", "--data", "scans", "--images", "16", "--device", "cpu", "--out", "run"
    code, out, err = reacgan(*train, "--set", "training.batch=8")
    assert code == 0 and (out + err + caplog.text).count("integers of more") == 1
