"""A terminal that closes, a hangup that is ignored, and Ctrl-C before there is anything to save."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

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
