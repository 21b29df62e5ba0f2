"""The table of docs/exit-codes.md: every code of it is met by a real command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import TINY
from reacgan.cli import main
from reacgan.hub import known_models

PAGE = Path(__file__).parents[1] / "docs" / "exit-codes.md"
CODES = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)]
FOUND = re.findall(
    r"^\| `reacgan ([a-z]+(?: [a-z]+)?)[^`]*` \|", PAGE.read_text("utf-8"), re.MULTILINE
)
DIVERGES = ["watch.action=stop", "watch.every=64", "watch.patience=1", "g_optimizer.lr=1e-12",
            "d_optimizer.lr=0.01"]  # fmt: skip


def code_of(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def by_signal(number, out):
    words = ["train", "digits/reacgan", "--out", str(out), *TINY, "report.journal_every=64"]
    with subprocess.Popen(
        [sys.executable, "-m", "reacgan", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "ETA" in line:
                process.send_signal(number)
                break
        said = process.stderr.read()
    assert "the same command resumes" in said
    return process.returncode


def stalled(out):
    words = ["train", "digits/reacgan", "--out", str(out), *TINY, "training.timeout=0.01"]
    hangs = "from reacgan.training.loop import Trainer; Trainer.cycle = lambda *_: time.sleep(99)"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import time; {hangs}; import reacgan.cli; reacgan.cli.main({words})",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "nothing has moved for 1s (training.timeout); process 0 of 1" in done.stderr
    return done.returncode


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "reacgan", "experiments", "list"]
    with os.fdopen(writer, "wb") as output:
        return subprocess.run(
            words, stdout=output, stderr=subprocess.DEVNULL, check=False
        ).returncode


def _slow_if_a_signal(code):
    """Signals at a training have tests of their own; these are for the page."""
    return pytest.param(code, marks=pytest.mark.slow) if code in (4, 129, 130, 143) else code


@pytest.mark.parametrize("code", [*map(_slow_if_a_signal, CODES)])
def test_each_code_of_the_page(tmp_path, code):
    ways = {
        0: lambda: code_of("cache"),
        1: lambda: code_of("sample", "nothing", "--out", tmp_path / "x"),
        2: lambda: code_of("trian"),
        3: lambda: code_of(
            "train", "digits/reacgan", "--images", 1024, "--quiet", "--out", tmp_path / "run",
            *TINY, *DIVERGES,
        ),
        4: lambda: stalled(tmp_path),
        129: lambda: by_signal(signal.SIGHUP, tmp_path),
        130: lambda: by_signal(signal.SIGINT, tmp_path),
        141: closed_pipe,
        143: lambda: by_signal(signal.SIGTERM, tmp_path),
    }  # fmt: skip
    assert ways[code]() == code


def test_the_page_names_all_codes_of_the_command_line():
    """Those of the command line's own docstring, and of the signals that training answers."""
    named = re.findall(r"\b(\d+)\b", main.__doc__)
    assert sorted(CODES) == sorted({int(code) for code in named})


def test_what_was_found_is_a_code_too(reacgan, tmp_path):
    """The two that are cheap to meet; the suites' and the doctor's have tests of their own."""
    assert FOUND == ["evaluate", "weights check", "experiments run", "doctor"]
    model = shutil.copytree(known_models()["digits-reacgan"], tmp_path / "model")
    (model / "curve.png").write_bytes(b"another picture")
    code, out, _ = reacgan("weights", "check", model, "--json")
    assert code == 1 and not json.loads(out)["passed"]
    code, out, err = reacgan(
        "evaluate", "digits-reacgan", "--extractor", "domain", "--metrics", "fid,prdc", "--num", "20",
        "--set", "prdc.k=9999", "extractor.epochs=1", "--out", tmp_path / "scores", "--json",
    )  # fmt: skip
    answer = json.loads(out)
    assert code == 1 and list(answer["not_measured"]) == ["prdc"] and "not measured: prdc" in err
    assert [score["metric"] for score in answer["scores"]] == ["fid"]


def test_ctrl_c_at_any_command_is_said_and_has_its_code(tmp_path):
    """With ``--json`` the object says so, too."""
    words = ["sample", "digits-reacgan", "--num", "1000000", "--out", str(tmp_path / "x"), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "reacgan", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and not list(tmp_path.rglob("*.png")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "reacgan: interrupted" in err and "Traceback" not in err
    assert json.loads(out) == {"error": "interrupted"}
