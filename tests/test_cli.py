"""The command line: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cli_help import FILE, help_pages
from commands import TINY
from reacgan.assembly import complete
from reacgan.cli import main
from reacgan.config import ConfigError, load_experiment
from reacgan.experiments import EXPERIMENTS


def test_help_is_as_documented():
    """After a change of the help: ``python tests/cli_help.py`` writes the file anew."""
    assert FILE.read_text(encoding="utf-8") == help_pages()


def test_help_answers_at_once():
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "reacgan", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: reacgan" in done.stdout
    assert time.perf_counter() - started < 2


def test_version(reacgan):
    from reacgan import __version__

    assert reacgan("--version")[:2] == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("train", 1, "nothing to train: give an experiment"),
        ("train digits/reacga", 1, "unknown experiment 'digits/reacga'; did you mean 'digits/re"),
        ("train digits/reacgan --set training.btch=3", 1, "training.btch: unknown key; did you"),
        (
            "train digits/reacgan --set model.head.margn=3",
            1,
            "model.head.margn: unknown option of d2dce; ",
        ),
        ("train digits/reacgan --set batch", 1, "--set 'batch': needed: key=value"),
        ("train digits/reacgan --set training.batch=x", 1, "training.batch: Input should be"),
        ("train digits/reacgan --set g_optimizer.lr=-1", 1, "g_optimizer.lr: Input should be"),
        ("train digits/reacgan --images 10", 1, "training.images is 10, less than one cycle"),
        ("train digits/reacgan --minutes 0 --out X", 1, "minutes is 0.0; allowed: a positive num"),
        ("train digits/reacgan --out FILE", 1, "FILE"),
        ("train digits/reacgan --out FILE/run", 1, "FILE"),
        ("train --data nowhere", 1, "nowhere: no such folder"),
        (
            "train RUN",
            1,
            "is a folder, needed: an experiment; to train on its images: reacgan train",
        ),
        ("new nowhere", 1, "nowhere: no such folder"),
        ("new FILE --out FILE", 1, "FILE: exists, and is not replaced; --force replaces it"),
        ("train no.yaml", 1, "no.yaml: no such file; give a JSON or YAML file"),
        ("sample nowhere --out X", 1, "nowhere: no such folder; give a run's folder"),
        ("sample FILE --out X", 1, "neither a run's folder nor a model folder"),
        ("sample RUN --out X --classes 12", 1, "class index is 12; allowed: 0 to 9"),
        ("sample RUN --out X --classes cat", 1, "unknown class 'cat'. Known: 0, 1"),
        ("sample RUN --out X --truncation 0", 1, "truncation is 0.0; allowed: a positive number"),
        ("sample RUN --out X --truncation nan", 1, "truncation is nan; allowed: a positive"),
        ("sample RUN --out X --num 0", 1, "num is 0; allowed: 1 "),
        ("sample RUN --out X --seed -1", 1, "seed is -1; allowed: 0 or more"),
        ("sample RUN --out FILE/x", 1, "FILE"),
        ("sample RUN --out X --psi 0.5", 1, "has no styles w to truncate; truncate z instead"),
        ("sample RUN --out X --psi-layers 2", 1, "layers is 2, but psi is not given"),
        ("sample RUN --out X --langevin -1", 1, "steps is -1; allowed: 0 or more"),
        ("sample RUN --out X --statistics mean", 2, "--statistics"),
        ("walk RUN --out X", 1, "nothing to draw: give --between A,B, --seeds 0,1 or --directions"),
        (
            "walk RUN --out X --between 1",
            1,
            "--between 1: needed: two classes separated by a comma",
        ),
        ("walk RUN --out X --seeds 1,x", 1, "--seeds 1,x: needed: two seeds separated by a comma"),
        ("walk RUN --out X --between 1,2 --num 0", 1, "num is 0; allowed: 1 "),
        ("walk RUN --out X --between 1,2 --steps 1", 1, "steps is 1; allowed: 2 "),
        ("walk RUN --out X --directions 99", 1, "directions is 99; allowed: 1 to"),
        ("experiments show cifar10/x", 1, "unknown experiment 'cifar10/x'"),
        ("experiments show digits/reacgan --num-classes 0", 1, "num_classes is 0; allowed"),
        ("experiments show digits/reacgan --set data.name=folder", 1, "give --num-classes"),
        ("data inspect nowhere", 1, "nowhere: no such folder"),
        (
            "data prepare nowhere X --resolution 7",
            1,
            "resolution is 7 x 7; allowed: sides of 8 to 1024",
        ),
        ("trian", 2, 'Did you mean "train"?'),
        ("train digits/reacgan --device tpu", 2, 'Invalid value "tpu" for --device'),
        ("train digits/reacgan --images many", 2, "--images"),
        ("train digits/reacgan --bach 3", 2, "--bach"),
        ("sample RUN", 2, "--out"),
        ("sample RUN --out X --num x", 2, "--num"),
    ],
)
def test_mistakes(reacgan, tmp_path, run_folder, monkeypatch, command, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("x")
    words = [str(run_folder) if word == "RUN" else word for word in command.split()]
    ended, out, err = reacgan(*words)
    assert ended == code
    assert message in " ".join((out + err).split())
    assert "Traceback" not in err
    if code == 1:
        lines = err.splitlines()
        if words[0] == "train" and "starting" in lines[0]:
            lines = lines[1:]
        assert len(lines) == 1 and lines[0].startswith("reacgan: ") and not out
    assert not (tmp_path / "X").exists() or not list((tmp_path / "X").rglob("*.png"))


def test_a_device_that_is_not_there(reacgan, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    code, _, err = reacgan("train", "digits/reacgan", "--device", "cuda", "--out", tmp_path / "x")
    assert code == 1 and "device is cuda, which is not usable here; usable here: cpu" in err
    assert not (tmp_path / "x").exists()


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(name):
        raise ValueError("a bug")

    monkeypatch.setattr("reacgan.experiments.experiment", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["train", "digits/reacgan"])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_written_of_an_experiment_is_read_back(tmp_path, name):
    wanted = complete(EXPERIMENTS[name])
    (tmp_path / "one.json").write_text(wanted.to_json())
    assert load_experiment(tmp_path / "one.json") == wanted


# Some of each data set; the estimate of memory takes seconds for those of larger images.
SOME = [pytest.param(name, marks=pytest.mark.slow) for name in list(EXPERIMENTS)[::25]]


@pytest.mark.parametrize("name", [*SOME, "digits/acgan", "cifar10/r3gan"])
def test_dry_run_is_an_experiment(reacgan, tmp_path, name):
    code, out, _ = reacgan("train", name, "--dry-run", "--set", "training.seed=3")
    assert code == 0
    printed = json.loads(out)
    assert printed.pop("out").endswith(name.replace("/", "-"))
    (tmp_path / "one.json").write_text(json.dumps(printed))
    held = load_experiment(tmp_path / "one.json")
    assert held.training.seed == 3 and held.name == name
    assert reacgan("train", tmp_path / "one.json", "--dry-run")[:2] == (0, out)


def test_experiments(reacgan):
    code, out, _ = reacgan("experiments", "list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(EXPERIMENTS)
    code, out, _ = reacgan("experiments", "show", "cifar10/reacgan", "--json")
    assert code == 0
    assert json.loads(out)["parameters"] == {"generator": 9416196, "discriminator": 2517186}
    code, out, _ = reacgan("experiments", "show", "digits/reacgan", "--set", "training.batch=7")
    assert code == 0 and "  batch: 7\n" in out and "  flip: False\n" in out


def test_settings_may_be_given_in_several_ways(reacgan):
    words = "train digits/reacgan --dry-run --set training.batch=8 --set training.seed=2 a.b=1"
    code, _, err = reacgan(*words.split())
    assert code == 1 and "a: unknown section" in err
    code, out, _ = reacgan(*words.split()[:-1])
    training = json.loads(out)["training"]
    assert code == 0 and (training["batch"], training["seed"]) == (8, 2)


def test_train_and_resume(reacgan, run_folder):
    expected = {"experiment.json", "environment.json", "journal.jsonl"}
    assert expected <= {path.name for path in run_folder.iterdir()}
    journal = (run_folder / "journal.jsonl").read_text()
    weights = (run_folder / "model" / "model.safetensors").read_bytes()
    words = ["train", "digits/reacgan", "--images", "256", "--out", run_folder, *TINY]
    code, _, err = reacgan(*words)
    assert code == 0 and "resuming at 256 images" in err
    assert (run_folder / "journal.jsonl").read_text() == journal
    assert (run_folder / "model" / "model.safetensors").read_bytes() == weights
    code, _, err = reacgan(*words, "--set", "g_optimizer.lr=7e-5")
    assert code == 1
    assert "holds a run of another configuration" in err and " -> 7e-05" in err


@pytest.fixture
def pets(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(10):
            noise = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def test_a_folder_of_images(reacgan, pets, tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code, out, _ = reacgan("data", "inspect", pets)
    assert code == 0 and "20 colour images of 2 classes" in out
    code, out, err = reacgan("train", "--data", pets, "--images", 64, *TINY)
    assert code == 0, err
    assert "plan: ReACGAN at 8 x 8 pixels, 64 images to see" in out
    assert "64 images 100%" in err
    assert (tmp_path / "runs" / "pets" / "model" / "config.json").exists()
    code, _, _ = reacgan("sample", "runs/pets", "--classes", "dog", "--num", 1, "--out", "made")
    assert code == 0 and (tmp_path / "made" / "dog" / "0.png").exists()


def test_a_packed_file(reacgan, pets, tmp_path):
    packed = tmp_path / "pets.safetensors"
    code, out, err = reacgan("data", "prepare", pets, packed, "--resolution", 8, "--channels", 1)
    assert code == 0 and "20 images, 2 classes, 1 x 8 x 8" in out, err
    for number, words in enumerate((["digits/reacgan"], [])):  # as its help says
        folder = tmp_path / str(number)
        code, _, err = reacgan(
            "train", *words, "--data", packed, "--images", 64, "--out", folder, *TINY
        )
        assert code == 0, err
        assert (folder / "model" / "config.json").exists()


def test_doctor(reacgan):
    code, out, _ = reacgan("doctor")
    assert code == 0
    for word in ("reacgan", "torch", "cuda", "mps", "trains on", "cpu_threads"):
        assert any(line.startswith(word) for line in out.splitlines())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_stops(tmp_path, number, code):
    out = tmp_path / "run"
    words = [
        "train",
        "digits/reacgan",
        "--out",
        str(out),
        *TINY,
        "--set",
        "report.journal_every=64",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "reacgan", *words],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "ETA" in line:
                process.send_signal(number)
                break
        seen += process.stderr.read().splitlines(keepends=True)
    assert process.returncode == code, "".join(seen)
    assert "the same command resumes" in seen[-1]
    saved = int(max(path.name for path in (out / "checkpoints").iterdir()))
    assert f"stopped at {saved:,} images" in seen[-1]
    with pytest.raises(SystemExit) as ended:  # the rest: one more cycle
        main([*words, "--quiet", "--images", str(saved + 32)])
    assert not ended.value.code
    assert (out / "checkpoints" / f"{saved + 32:012d}").exists()


def test_a_closed_pipe_is_no_mistake():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "reacgan", "experiments", "list"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_errors_of_any_kind_are_configuration_errors():
    from reacgan.data import DataError
    from reacgan.training.checkpoint import CheckpointError

    assert issubclass(DataError, ConfigError) and issubclass(CheckpointError, ConfigError)
