"""A place that cannot be written is told at once, by path, reason and remedy, alike for every command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reacgan.config import ConfigError, refuse_unwritable

COMMANDS = {
    "export": ("export", "digits-reacgan", "--out"),
    "generate": ("generate", "digits-reacgan", "--num", 1, "--out"),
    "sample": ("sample", "digits-reacgan", "--out"),
    "walk": ("walk", "digits-reacgan", "--seeds", "0,1", "--out"),
    "report": ("report", "RUN", "--out"),
    "new": ("new", "digits", "--seconds", 0, "--out"),
    "prepare": ("data", "prepare", ".", "--resolution", 8, "--out"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_on_the_way(command, tmp_path, reacgan, run_folder):
    (tmp_path / "file").write_text("mine")
    words = [run_folder if word == "RUN" else word for word in COMMANDS[command]]
    code, out, err = reacgan(*words, tmp_path / "file" / "new")
    assert (code, out) == (1, "")
    assert f"{tmp_path / 'file' / 'new'}: cannot be written, since" in err
    assert "file is a file; choose another place (--out)" in err and "Errno" not in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_what_the_system_says_has_no_number(tmp_path):
    long = tmp_path / ("x" * 300)
    with pytest.raises(ConfigError, match=r"cannot be written.*: file name too long; choose"):
        refuse_unwritable(long, "folder")
    if Path("/proc/self").is_dir():  # where nobody can make a file, root included
        with pytest.raises(ConfigError, match=r"/proc/x/y: cannot be written in /proc: "):
            refuse_unwritable("/proc/x/y", "file")


def test_a_folder_without_permission(tmp_path):
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written in .*: permission denied"):
        refuse_unwritable(tmp_path / "a" / "b", "file")


def test_nothing_is_left_where_it_can_be_written(tmp_path):
    assert refuse_unwritable(tmp_path / "a" / "b", "folder") == tmp_path / "a" / "b"
    with pytest.raises(ConfigError, match=r"since it is a folder; give the name of a file"):
        refuse_unwritable(tmp_path, "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("export", "digits-reacgan", "--out", "foo.bar"),
            "the ending .bar is no format's; allowed",
        ),
        (
            ("export", "digits-reacgan", "--to", "onnx", "--out", "g.v2"),
            "its name ends in .v2; allowed: .onnx. Give --out g.v2.onnx",
        ),
        (
            ("generate", "digits-reacgan", "--to", "zip", "--out", "z.tar"),
            "its name ends in .tar; allowed: .zip. Give --out z.zip",
        ),
        (
            ("generate", "digits-reacgan", "--to", "parquet", "--out", "z.parquet"),
            "but a folder is written; allowed: a name without such an ending: --out z",
        ),
        (("generate", "digits-reacgan", "--out", "z.ZIP"), "or take --to zip"),
    ],
)
def test_an_ending_that_promises_something_else(arguments, said, tmp_path, monkeypatch, reacgan):
    monkeypatch.chdir(tmp_path)
    code, out, err = reacgan(*arguments)
    assert (code, out) == (1, "") and said in err
    assert not list(tmp_path.iterdir())
