"""Every command where PyTorch is missing or broken: two lines on how to get it, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import leaves
from reacgan.cli import build_app
from test_terminal import COMMANDS, words_of

SOURCE = Path(__file__).parents[1] / "src"
BROKEN = "raise ImportError('libtorch_cpu.so: cannot open shared object file')"
# One process for all: each command is a fresh start of the command line.
RUN_ALL = """
import contextlib, io, json, sys
if sys.argv[2] == "missing":
    sys.modules["torch"] = None  # as Python says that there is none
from reacgan.cli import main
answers = {}
for name, words in json.loads(sys.argv[1]).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            answers[name] = int(ended.code or 0), out.getvalue(), err.getvalue()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module", params=["missing", "broken"])
def answers(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("without")
    (root / "torch").mkdir()
    (root / "torch" / "__init__.py").write_text(BROKEN)
    here = {"PHOTOS": str(root), "MADE": str(root), "RUN": "digits-reacgan"}
    commands = {
        name: words_of(name, here, root / "OUT") if name in COMMANDS else name.split()
        for name in ("", "--help", "--version", "help of train", *dict(leaves(build_app())))
    }
    commands["doctor --json"] = ["doctor", "--json"]
    commands["sample --json"] = ["sample", "digits-reacgan", "--out", str(root), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(commands), request.param],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(SOURCE)))},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_command_works_or_says_how_to_get_it(answers):
    said = {}
    for name, (code, _, err) in answers.items():
        assert "Traceback" not in err
        if "PyTorch" in err:
            assert code == 1
            lines = [line for line in err.splitlines() if "starting" not in line]
            assert len(lines) == 2, err
            assert "pip install torch --index-url https://download.pytorch.org/whl/cpu" in lines[0]
            assert lines[1].endswith(": pip install torch")
            said[name] = lines
    needing = {"new", "export", "generate", "augment-study", "train", "sample", "walk", "evaluate",
               "report", "doctor", "weights check", "weights convert", "weights publish",
               "experiments run", "cache"}  # fmt: skip
    assert needing <= set(said)


def test_help_and_version_work(answers):
    from reacgan import __version__

    for name in ("", "--help", "help of train"):
        assert answers[name][0] == 0 and "Usage: reacgan" in answers[name][1]
    assert answers["--version"][:2] == [0, f"{__version__}\n"]


def test_what_does_not_need_it_works(answers):
    for name in ("experiments list", "experiments methods", "data list"):
        assert answers[name][0] == 0 == COMMANDS[name][1] and answers[name][1]


def test_doctor_reports_the_rest(answers):
    code, out, _ = answers["doctor"]
    assert code == 1
    assert "torch          missing (supported: >=2." in out and "pillow " in out
    assert json.loads(answers["doctor --json"][1])["torch"] is None


def test_the_error_is_an_object_with_json(answers):
    code, out, err = answers["sample --json"]
    assert code == 1 and "pip install torch" in json.loads(out)["error"] and "PyTorch" in err
