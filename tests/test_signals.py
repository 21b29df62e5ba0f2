"""A terminal that closes, a hangup that is ignored, and Ctrl-C before there is anything to save."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from commands import TINY

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TRAIN = ["train", "digits/reacgan", *TINY, "report.journal_every=64"]


def _as_a_terminal_starts_it():
    """What starts the tests may ignore signals (nohup, &), and its children would, too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _reacgan(*words, **options):
    return subprocess.Popen(
        [
            *options.pop("before", ()),
            sys.executable,
            *options.pop("python", ()),
            "-m",
            "reacgan",
            *words,
        ],
        env=ENVIRONMENT,
        preexec_fn=_as_a_terminal_starts_it,  # noqa: PLW1509 - there is one thread here
        **options,
    )


def _read_until(read, word):
    seen = b""
    while word not in seen:
        piece = read()
        assert piece, seen.decode(errors="replace")
        seen += piece
    return seen


def _saved(out):
    return int(max(path.name for path in (out / "checkpoints").iterdir()))


def test_a_terminal_that_closes_is_a_request_to_save(tmp_path):
    reader, writer = pty.openpty()
    process = _reacgan(
        *TRAIN,
        "--out",
        tmp_path,
        stdin=writer,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )
    os.close(writer)
    _read_until(lambda: os.read(reader, 1000), b"ETA")
    os.close(reader)  # from here on writing to it is an error
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # a shell that closes sends another
    assert process.wait(60) == 129
    assert _saved(tmp_path) > 0 and (tmp_path / "model" / "config.json").exists()


def test_nohup_trains_on(tmp_path):
    words = [*TRAIN, "--images", "100000", "--out", tmp_path]
    with _reacgan(*words, before=["nohup"], stdout=-1, stderr=subprocess.STDOUT) as process:
        _read_until(process.stdout.readline, b"ETA")
        process.send_signal(signal.SIGHUP)
        _read_until(process.stdout.readline, b"ETA")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 143


@pytest.mark.parametrize(
    "module",
    [
        b"import 'reacgan.cli'",
        b"import 'numpy.",
        pytest.param(b"import 'torch.", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_while_modules_are_imported_has_no_traceback(tmp_path, module):
    words = [*TRAIN, "--images", "64", "--out", tmp_path]
    with _reacgan(*words, python=["-v"], stdout=-1, stderr=subprocess.STDOUT) as process:
        _read_until(process.stdout.readline, module)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130, rest[-3000:].decode()
    assert b"Traceback" not in rest and b"KeyboardInterrupt" not in rest


LONG = """
import hashlib
from reacgan.training.signals import StopRequest
with StopRequest():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha512", b"", b"", 50_000_000)  # no handler of Python's runs meanwhile
"""


def test_two_signals_within_a_long_operation_are_two():
    with subprocess.Popen(
        [sys.executable, "-c", LONG],
        stdout=-1,
        stderr=subprocess.STDOUT,
        preexec_fn=_as_a_terminal_starts_it,  # noqa: PLW1509 - there is one thread here
    ) as process:
        _read_until(process.stdout.readline, b"ready")
        process.send_signal(signal.SIGINT)
        _read_until(process.stdout.readline, b"once more (Ctrl-C) ends at once")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130 and b"ended at once: what was saved before is whole" in rest


def test_a_quick_second_ctrl_c_leaves_the_last_state_whole(tmp_path):
    words = [*TRAIN, "report.checkpoint_every=64", "--images", "100000", "--out", tmp_path]
    with _reacgan(*words, stdout=-1, stderr=subprocess.STDOUT) as process:
        _read_until(process.stdout.readline, b"128 images")
        process.send_signal(signal.SIGINT)
        _read_until(process.stdout.readline, b"stopping: ")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    saved = _saved(tmp_path)
    assert saved >= 64
    with _reacgan(*words, stdout=-1, stderr=subprocess.STDOUT) as process:
        said = _read_until(process.stdout.readline, b"ETA")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert f"resuming at {saved:,} images".encode() in said and process.returncode == 143


def _photos(folder, count=300):
    for number in range(count):
        path = folder / f"class {number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 300), (number % 256, 0, 0)).save(path)
    return folder


def _some(folder):
    return lambda: folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def _interrupted(words, begun, **options):
    """What a command says after Ctrl-C that comes once ``begun`` says so, or a word of its output."""
    with _reacgan(*words, stdout=-1, stderr=subprocess.STDOUT, **options) as process:
        if isinstance(begun, bytes):
            _read_until(process.stdout.readline, begun)
        else:
            while not begun():
                assert process.poll() is None
                time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130 and b"Traceback" not in rest, rest[-2000:].decode()
    return rest.decode()


def test_ctrl_c_says_what_is_kept_of_samples(tmp_path):
    out = tmp_path / "out"
    words = ["sample", "digits-reacgan", "--num", "100000", "--out", out, "--device", "cpu"]
    assert "interrupted; images that were written stay" in _interrupted(words, _some(out))
    for path in out.rglob("*.png"):
        Image.open(path).load()


@pytest.mark.slow
def test_ctrl_c_says_what_is_kept_of_other_commands(tmp_path):
    model, cpu = "digits-reacgan", ["--device", "cpu"]
    walk = ["walk", model, "--num", "5000", "--steps", "50", "--out", tmp_path / "walk", *cpu]
    said = _interrupted(walk, b"import 'reacgan.sampling.walks'", python=["-v"])
    assert "interrupted; " in said and "whole" in said
    scored = ["evaluate", model, "--num", "100000", "--extractor", "domain", *cpu]
    scored += ["--out", tmp_path / "scores"]
    assert "interrupted; " in _interrupted(scored, b"training a classifier")
    packed = tmp_path / "packed.safetensors"
    prepare = ["data", "prepare", _photos(tmp_path / "photos"), packed, "--resolution", "8"]
    said = _interrupted(prepare, b"import 'reacgan.data.pack'", python=["-v"])
    assert "interrupted; " in said and not packed.exists()
    export = ["export", model, "--to", "safetensors", "--out", tmp_path / "export", *cpu]
    said = _interrupted(export, b"import 'reacgan.exporting.export'", python=["-v"])
    assert "interrupted; " in said and not any(tmp_path.glob("export*"))
    out = tmp_path / "set"
    made = ["generate", model, "--num", "100000", "--out", out, *cpu]
    assert "the same command goes on" in _interrupted(made, _some(out))
