"""File operations of a process, counted, and a fault at any one of them.

A child does the work. Every opening for writing, renaming, deleting, making and removing of a folder, and
every flush below one root is an operation; before the n-th the child is killed, or it and each later one
that needs room fails as on a full disk.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Work = Callable[[Path], object]

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
_NEEDS_ROOM = {"open", "os.mkdir", "write tensors"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Ended(NamedTuple):
    """How a child ended."""

    operations: int
    """That it began."""
    signal: int
    code: int
    said: str


class _Watch:
    """Sees the operations of this process."""

    def __init__(self, root: Path, at: int | None, fault: str, counter: Path) -> None:
        self.root, self.at, self.fault = root, at, fault
        self.counter = os.open(counter, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.count, self.inside = 0, False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.inside:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in (mode or "") for letter in "wax+") or bool(flags & _WRITES)
            if writes and self.is_below(path, -1):
                self.operation(event)
        elif event in _CHANGES and self.is_below(arguments[0], arguments[-1]):
            self.operation(event)

    def is_below(self, path: object, folder: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        whole = Path(os.fsdecode(path))
        if not whole.is_absolute():
            of_folder = isinstance(folder, int) and folder >= 0
            self.inside = True
            base = Path(f"/proc/self/fd/{folder}").readlink() if of_folder else Path.cwd()
            self.inside = False
            whole = base / whole
        return self.root in whole.parents

    def operation(self, event: str) -> None:
        self.inside = True
        self.count += 1
        os.pwrite(self.counter, str(self.count).encode(), 0)
        if self.at is not None and self.count >= self.at:
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if event in _NEEDS_ROOM:
                self.inside = False
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.inside = False

    def install(self) -> None:
        from safetensors import torch as tensors

        flush, serialize = os.fsync, tensors.serialize_file

        def fsync(descriptor: int) -> None:
            self.operation("fsync")
            flush(descriptor)

        def serialize_file(parts: Any, path: Any, *more: Any, **options: Any) -> None:
            if self.is_below(path, -1):
                self.operation("write tensors")
            serialize(parts, path, *more, **options)

        os.fsync, tensors.serialize_file = fsync, serialize_file
        sys.addaudithook(self.hook)


def run(
    work: Work,
    root: Path,
    *,
    at: int | None = None,
    fault: str = "kill",
    below: str = "",
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """Do the work in a child.

    Args:
        work: is given the root.
        root: a folder of its own; ``cache`` in it is the cache of the package.
        at: the number of the operation before which the fault comes; None for no fault.
        fault: ``kill``, or ``full``: from there on nothing is made any more.
        below: the part of the root whose operations count.
        before: called in the child first.
    """
    counter = root.with_name(f"{root.name}.count")
    said = root.with_name(f"{root.name}.said")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), write_through=True)
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), write_through=True)
            logging.basicConfig(stream=sys.stderr, force=True, format="%(message)s")
            ours = logging.getLogger("reacgan")  # commands of earlier tests have changed it
            ours.handlers, ours.propagate, ours.level = [], True, logging.WARNING
            os.environ["REACGAN_CACHE"] = str(root / "cache")
            before()
            _Watch(root / below, at, fault, counter).install()
            work(root)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -number
    return Ended(int(counter.read_text() or 0), number, code, said.read_text(errors="replace"))


# Differ from run to run by their nature: times, the machine, speeds.
_UNLIKE = ("environment.json", "report.html")
# Empty, or a note that a file was read and found whole.
_ASIDE = {"locks", "checked"}


def content(root: Path) -> dict[str, str]:
    """A digest of every file below, by its path; of records only what is not a time."""
    return {
        str(path.relative_to(root)): _digest(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and not _ASIDE & set(path.parts)
    }


def folders(root: Path) -> set[str]:
    """All folders below."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_dir() and path.name not in _ASIDE
    }


def _digest(path: Path) -> str:
    if path.name in _UNLIKE:
        return ""
    data = path.read_bytes()
    if path.name == "journal.jsonl":
        data = _losses(data)
    elif path.name == "scores.jsonl":
        data = _scores(data)
    elif path.parent.name == "features":  # its header says when it was made
        data = data[8 + int.from_bytes(data[:8], "little") :]
    return hashlib.sha256(data).hexdigest()


def _losses(data: bytes) -> bytes:
    """The moments of the planned reports, in the order of the lines: a slow machine makes further ones."""
    seen = [json.loads(line)["images_seen"] for line in data.splitlines()]
    return json.dumps([at for at in seen if at % 16 == 0]).encode()


def _scores(data: bytes) -> bytes:
    lines = map(json.loads, data.splitlines())
    # Whoever is killed after the last line was written makes the same score once more.
    scores = {(line["metric"], line["value"], line.get("images_seen")) for line in lines}
    return json.dumps(sorted(scores, key=str)).encode()
