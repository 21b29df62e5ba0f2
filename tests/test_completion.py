"""``reacgan --install-completion``: a real shell completes commands, options, choices and paths."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
pty = pytest.importorskip("pty")
BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder after the installation for bash, zsh and fish, and ``reacgan`` on the path."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "photos one").mkdir()
    (folder / "pictures").mkdir()
    program = folder / "bin" / "reacgan"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reacgan "$@"\n')
    program.chmod(0o755)
    code = """
import sys
from reacgan.cli import main
for shell in ("bash", "zsh", "fish"):
    try:
        main(["--install-completion", "--shell", shell])
    except SystemExit as ended:
        assert not ended.code
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(folder), "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.count("installed to") == 3, done.stderr
    return folder


class Shell:
    """An interactive bash on a terminal, as a person has it."""

    def __init__(self, home: Path) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            environment = {
                "HOME": str(home),
                "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
                "TERM": "dumb",
                "PS1": "> ",
            }
            os.chdir(home)
            os.execve(str(BASH), ["bash", "--rcfile", str(home / ".bashrc"), "-i"], environment)

    def after_tab(self, line: str, wanted: str) -> str:
        """What the terminal shows once Tab was pressed twice, as soon as ``wanted`` is in it."""
        os.write(self.terminal, f"{line}\t\t".encode())
        shown, until = "", time.monotonic() + 20
        while wanted not in shown and time.monotonic() < until:
            if select.select([self.terminal], [], [], 0.1)[0]:
                shown += os.read(self.terminal, 4096).decode(errors="replace")
        os.write(self.terminal, b"\x15")  # Ctrl-U: an empty line again
        return shown

    def close(self) -> None:
        os.close(self.terminal)
        os.waitpid(self.process, 0)


@pytest.fixture(scope="module")
def shell(home):
    if BASH is None:
        pytest.skip("this machine has no bash")
    started = Shell(home)
    yield started
    started.close()


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("reacgan eva", "reacgan evaluate "),
        ("reacgan data insp", "reacgan data inspect "),
        ("reacgan weights c", "convert"),
        ("reacgan sample --prec", "reacgan sample --precision "),
        ("reacgan sample --precision b", "--precision bfloat16 "),
        ("reacgan evaluate x --prot", "--protocol "),
        ("reacgan evaluate x --reference pic", "--reference pictures"),
        ("reacgan sample pict", "reacgan sample pictures"),
    ],
)
def test_bash_completes(shell, line, completed):
    assert completed in shell.after_tab(line, completed)


def test_the_other_shells_get_their_file(home):
    zsh = (home / ".zsh" / "completions" / "_cyclopts_reacgan").read_text(encoding="utf-8")
    assert zsh.startswith("#compdef reacgan") and "evaluate" in zsh
    assert str(home / ".zsh" / "completions") in (home / ".zshrc").read_text(encoding="utf-8")
    fish = home / ".config" / "fish" / "completions" / "reacgan.fish"
    assert "complete -c reacgan" in fish.read_text(encoding="utf-8")
