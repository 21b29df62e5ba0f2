"""A page, served by the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class Served:
    """A page, as a person starts it."""

    def __init__(self, arguments, folder: Path) -> None:
        self.asked = folder / "asked"
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            "HTTP_PROXY": "http://192.0.2.1:9",  # where a request outside would go
            "HTTPS_PROXY": "http://192.0.2.1:9",
            "GRADIO_SHARE": "True",
            "REACGAN_CACHE": str(folder / "cache"),
        }
        self.process = subprocess.Popen(
            [sys.executable, HERE / "watched.py", self.asked, "app", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        line = self.process.stdout.readline()
        assert line.startswith("http://"), line + self.process.stderr.read()
        self.address = line.split()[0]

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=90)[1]
        return self.process.returncode, errors
