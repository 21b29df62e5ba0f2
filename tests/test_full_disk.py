"""What is said where a file cannot be written: which one. A limit of sizes stands for a full disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from commands import TINY

resource = pytest.importorskip("resource")


@pytest.mark.parametrize(
    ("words", "limit", "named"),
    [
        ("sample RUN --num 1 --out OUT", 100, "OUT/0/0.png"),
        ("report RUN --out OUT.html", 1000, "OUT.html"),
        ("generate RUN --num 200 --out OUT", 1900, "OUT/.generating/digests"),
        ("weights publish RUN --out OUT", 100, "OUT/model.safetensors"),
        (
            "train digits/reacgan --images 64 --out OUT",
            20_000,
            "checkpoints/.writing-000000000064/",
        ),
    ],
)
def test_a_file_that_cannot_be_written_is_named(reacgan, run_folder, tmp_path, words, limit, named):
    words = words.replace("RUN", str(run_folder)).replace("OUT", str(tmp_path / "OUT")).split()
    words += TINY if words[0] == "train" else []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        code, _, err = reacgan(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1 and named.replace("OUT", str(tmp_path / "OUT")) in err, err
    assert "File too large" in err.splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_named():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "reacgan", "experiments", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "reacgan: standard output: No space left on device\n"
