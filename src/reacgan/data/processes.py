"""Further processes that work on files: small images keep the interpreter busy, which threads share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import IO, Any

from reacgan.data.walk import Entry
from reacgan.data.work import Task
from reacgan.data.worker import read_frame, write_frame

_FEWEST_FILES = 4000
_SMALL_BYTES = 32 * 1024
_MOST = 15
_AHEAD = 3
# An empty entry of the path is the current folder, where anything may lie.
_CODE = "import sys; sys.path = [p for p in sys.path if p]; from reacgan.data.worker import main; main()"


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Worker:
    """One further process. It takes a moment to start, and nothing is asked of it before it is ready."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._waiting: deque[tuple[Task, Future[list[Any]]]] = deque()
        self._reader = threading.Thread(target=self._read, daemon=True, name="reacgan-worker")
        self._ready = False
        self._ended = False
        self._lock = threading.Lock()
        self._reader.start()

    @property
    def has_room(self) -> bool:
        """Whether it is worth asking for more."""
        return self._ready and len(self._waiting) < _AHEAD

    def submit(self, task: Task, items: Sequence[Any]) -> Future[list[Any]]:
        """Ask for the results of some items; the future fails where the process does."""
        future: Future[list[Any]] = Future()
        with self._lock:
            if self._ended:
                future.set_exception(BrokenPipeError("the process has ended"))
                return future
            self._waiting.append((task, future))
        request = json.dumps([type(task).__name__, task.settings(), list(items)])
        try:
            write_frame(self._input, request.encode())
            self._input.flush()
        except (OSError, ValueError):
            self._ready = False  # the reader sees the end and fails what waits
        return future

    def close(self) -> None:
        """End the process at once; it has nothing to lose."""
        self._ready = False
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._output.close()
        with suppress(OSError):
            self._input.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _read(self) -> None:
        """Hand out results in the order of requests; at the end, fail what still waits."""
        try:
            self._ready = read_frame(self._output) is not None
            while (facts := read_frame(self._output)) is not None:
                content = read_frame(self._output)
                if content is None:
                    break
                task, future = self._waiting[0]
                future.set_result(task.unpack(json.loads(facts), content))
                self._waiting.popleft()
        finally:
            self._ready = False
            with self._lock:
                self._ended = True
            while self._waiting:
                self._waiting.popleft()[1].set_exception(BrokenPipeError("the process has ended"))


@contextmanager
def workers_for(entries: Sequence[Entry]) -> Iterator[list[Worker]]:
    """Processes beside this one where a listing has many small files and there are idle cores.

    Yields an empty list where they would not pay, or cannot be started.
    """
    workers: list[Worker] = []
    small = sum(entry.size for entry in entries) <= _SMALL_BYTES * len(entries)
    try:
        if len(entries) >= _FEWEST_FILES and small and sys.executable:
            with suppress(OSError):
                for _ in range(min(_MOST, usable_cores() - 1)):
                    workers.append(Worker())
        yield workers
    finally:
        for worker in workers:
            worker.close()
