"""Jobs of one or several processes that tests start, signal, stop and kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def environment() -> dict[str, str]:
    """Of a process that imports what this one does, and the helpers of the tests."""
    helpers = [str(HERE), str(HERE / "training"), str(HERE / "faults")]
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([*helpers, *filter(None, sys.path)]),
    }


def free_port() -> int:
    """A port that nobody listens to at this moment."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Job:
    """A training of :mod:`tiny` (``faults/job.py``) in a process, or in several under ``torchrun``.

    A context: what is left of it at the end is killed. Its output is read from a file.
    """

    def __init__(
        self, out: Path, processes: int = 1, *, launcher: tuple[str, ...] = (), **settings: object
    ) -> None:
        self.log = out.parent / f"{out.name}-{time.monotonic_ns()}.log"
        command = [str(HERE / "faults" / "job.py"), str(out), json.dumps(settings)]
        if processes > 1 or launcher:
            start = [*TORCHRUN, *(launcher or ("--standalone",))]
            command = [*start, "--nproc-per-node", str(processes), *command]
        else:
            command = [sys.executable, *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_as_usual,  # noqa: PLW1509 - a test has one thread
            )

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *error: object) -> None:
        for pid in (*self.ranks().values(), self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def ranks(self) -> dict[int, int]:
        """The process of each rank that has begun."""
        words = [line.split() for line in self.said.splitlines() if line.startswith("rank ")]
        return {int(line[1]): int(line[3]) for line in words}

    def until(self, text: str, seconds: float = 60) -> None:
        """Wait until it has printed this."""
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, f"no {text!r} in:\n{self.said}"
            time.sleep(0.02)

    def ends(self, seconds: float = 60) -> int:
        """Its exit code; an error where it has not ended by then."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds} s:\n{self.said}") from None


def _as_usual() -> None:
    """What starts the tests may ignore signals (nohup, &), and its children would, too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
