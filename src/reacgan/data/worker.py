"""A process that works on files for another one: requests on its input, results on its output.

Both are frames of eight bytes of length (little-endian) and as many bytes. A request is one frame of
JSON: the task, its settings, items. A result is a frame of JSON and a frame of pixels. An empty frame
at the beginning says that the process is ready; it ends where its input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO

from reacgan.data.decode import pillow_warnings_off
from reacgan.data.work import TASKS


def write_frame(file: IO[bytes], content: bytes) -> None:
    """Send one frame; the caller flushes."""
    file.write(len(content).to_bytes(8, "little"))
    file.write(content)


def read_frame(file: IO[bytes]) -> bytes | None:
    """Receive one frame; None where the other side has ended."""
    length = file.read(8)
    if len(length) < 8:
        return None
    size = int.from_bytes(length, "little")
    content = file.read(size)
    return content if len(content) == size else None


def main() -> None:
    """Serve until the input ends. What libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that asked decides when it is over
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with pillow_warnings_off():
            _serve(asked, told)
    except BrokenPipeError:
        os._exit(0)  # nobody listens; closing the output would raise once more


def _serve(asked: IO[bytes], told: IO[bytes]) -> None:
    write_frame(told, b"")
    told.flush()
    while (request := read_frame(asked)) is not None:
        name, settings, items = json.loads(request)
        task = TASKS[name](**settings)
        facts, content = task.pack([task(item) for item in items])
        write_frame(told, json.dumps(facts).encode())
        write_frame(told, content)
        told.flush()
