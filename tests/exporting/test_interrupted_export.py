"""An export that ends early leaves nothing, and what a killed one leaves goes with the next."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import pytest
from networks import model

from reacgan import export
from reacgan.cli import main
from reacgan.exporting.export import EXPORTERS, Exporter

SLOW = "slow_to_import_for_a_test"


def waits(plain, path, metadata):
    path.write_text("begun")
    time.sleep(30)


def imports(plain, path, metadata):
    path.write_text("begun")
    __import__(SLOW)


def exporting(folder, write):
    EXPORTERS["torchscript"] = Exporter(".torchscript", write, EXPORTERS["torchscript"].read)
    sys.path.insert(0, str(folder))
    main(["export", "digits-reacgan", "--out", str(folder / "out" / "g.torchscript")])


def ended_by(number, folder, write):
    """The exit code of an export that got a signal in the middle."""
    (folder / f"{SLOW}.py").write_text("import time\ntime.sleep(30)")
    process = multiprocessing.get_context("fork").Process(target=exporting, args=(folder, write))
    process.start()
    while process.is_alive() and not list(folder.glob("out/.exporting-*/g.torchscript")):
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(process.pid, number)
    process.join(30)
    return process.exitcode


@pytest.mark.parametrize("write", [waits, imports])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_a_signal(number, write, tmp_path):
    assert ended_by(number, tmp_path, write) == 128 + number
    assert not list((tmp_path / "out").iterdir())


def test_what_a_killed_one_leaves_is_swept(tmp_path):
    assert ended_by(signal.SIGKILL, tmp_path, waits) == -signal.SIGKILL
    assert len(list((tmp_path / "out").iterdir())) == 1

    def beside(plain, path, metadata):
        """Another export to the same folder, while this one is under way."""
        export(model(), "safetensors", tmp_path / "out" / "other.safetensors")
        usual.write(plain, path, metadata)

    usual = EXPORTERS["torchscript"]
    EXPORTERS["torchscript"] = Exporter(".torchscript", beside, usual.read)
    try:
        export(model(), "torchscript", tmp_path / "out" / "g.torchscript")
    finally:
        EXPORTERS["torchscript"] = usual
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["g.torchscript", "other.safetensors"]
