"""Damages files of every binary kind, reads them, and says what came of it, one line of JSON a kind.

    python tests/security/fuzz.py RUN --count 100 --seed 0 [--kind NAME]

RUN is the folder of a run that has ended. A damaged file is refused with an error of the package that names
it, or gives the same as before; it takes less than a second of the processor and 256 MiB.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import damage
import readers
import torch

from reacgan.config import ConfigError

SECONDS, MEBIBYTES = 1.0, 256
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _memory(field: str) -> int:
    """Kibibytes of this process."""
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def fuzz(name: str, folder: Path, run: Path, *, count: int, seed: int) -> dict[str, Any]:
    """Counts of what came of the damages of one kind, and each case that should not be."""
    kind = readers.KINDS[name]
    readers.make(name, folder, run)
    whole = {file: (folder / file).read_bytes() for file in kind.files}
    rest = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    expected = kind.read(folder)
    result: dict[str, Any] = {"kind": name, "cases": 0, "refused": 0, "same": 0, "other": 0}
    wrong: list[str] = []
    for number in range(count):
        draw = random.Random(f"{name} {seed} {number}")
        file = kind.files[number % len(kind.files)]
        done, content = damage.damaged(whole[file], draw)
        for path, before in rest.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(before)
        (folder / file).write_bytes(content)
        case = f"{number} ({done} {file})"
        if kind.fit is not None:
            with suppress(ValueError, TypeError, KeyError, RecursionError):
                kind.fit(folder)
        _RESET.write_text("5")
        before, began = _memory("VmHWM"), time.process_time()
        outcome, problem = _outcome(kind, folder, expected)
        took, grew = time.process_time() - began, (_memory("VmHWM") - before) / 1024
        result["cases"] += 1
        result[outcome] = result.get(outcome, 0) + 1
        if problem:
            wrong.append(f"{case}: {problem}")
        if took > SECONDS or grew > MEBIBYTES:
            wrong.append(f"{case}: {took:.1f} s, {grew:.0f} MiB")
    return {**result, "wrong": wrong}


def _outcome(kind: readers.Kind, folder: Path, expected: object) -> tuple[str, str]:
    """What reading gives, and what is wrong with that."""
    try:
        got = kind.read(folder)
    except ConfigError as error:
        return "refused", "" if str(folder) in str(error) else f"names no file: {error}"
    except Exception as error:
        return "raised", f"{type(error).__name__}: {str(error)[:200]}"
    if got == expected:
        return "same", ""
    return "other", "taken silently" if kind.checked else ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(readers.KINDS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()
    limit = _memory("VmSize") * 1024 + 4 * 2**30  # what asks for more is stopped by the system
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name in [given.kind] if given.kind else readers.KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "files"
            result = fuzz(name, folder, given.run, count=given.count, seed=given.seed)
            shutil.rmtree(folder)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
