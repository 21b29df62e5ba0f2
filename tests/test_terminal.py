"""Every command with a standard output as it may come: another encoding, closed, nobody who reads."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from commands import leaves
from reacgan.cli import build_app, main, streams

NAMES = ("Žluťoučký кот 猫", "dog")
# Words of each command, and how it ends. PHOTOS, RUN and MADE are there already, OUT is not.
COMMANDS = {
    "": ("", 0),
    "--help": ("--help", 0),
    "--version": ("--version", 0),
    "a mistake": ("trian", 2),
    "help of train": ("train --help", 0),
    "new": ("new PHOTOS --seconds 0 --device cpu --out OUT/план.yaml", 0),
    "train": ("train --data PHOTOS --images 32 --out OUT SMALL", 0),
    "train, dry": ("train --data PHOTOS --dry-run SMALL", 0),
    "train, wrong": ("train --data PHOTOS/кот", 1),
    "sample": ("sample RUN --num 1 --grid --out OUT --device cpu", 0),
    "walk": ("walk RUN --directions 1 --num 1 --steps 2 --out OUT --device cpu", 0),
    "app": ("app RUN/nothing --port 0", 1),
    "export": ("export RUN --to safetensors --out OUT/кот.safetensors", 0),
    "generate": ("generate RUN --num 2 --out OUT --device cpu", 0),
    "augment-study": (
        "augment-study RUN --data PHOTOS --held-out MADE --out OUT --amounts 1 --repeats 1 --steps 1 "
        "--width 2 --batch 4 --device cpu",
        0,
    ),
    "experiments list": ("experiments list", 0),
    "experiments methods": ("experiments methods", 0),
    "experiments show": ("experiments show digits/reacgan", 0),
    "experiments suites": ("experiments suites --scale toy", 0),
    "experiments run": ("experiments run collapse --dry-run --out OUT", 0),
    "experiments report": ("experiments report collapse --out OUT", 1),
    "data list": ("data list", 0),
    "data inspect": ("data inspect PHOTOS", 0),
    "data prepare": ("data prepare PHOTOS OUT/кот.safetensors --resolution 8", 0),
    "evaluate": (
        "evaluate MADE --reference PHOTOS --metrics fid,per_class --extractor domain "
        "--set extractor.epochs=1 --out OUT --device cpu",
        0,
    ),
    "report": ("report RUN --out OUT/кот.html", 0),
    "report, tables": ("report RUN --markdown", 0),
    "weights list": ("weights list", 0),
    "weights show": ("weights show RUN", 0),
    "weights check": ("weights check RUN", 0),
    "weights renew": ("weights renew digits-reacgan --out OUT/ясно", 0),
    "weights publish": ("weights publish RUN --out OUT/кот --name cat", 0),
    "weights push": ("weights push RUN/nothing кот/猫", 1),
    "weights convert": ("weights convert кот.pth --experiment cifar10/reacgan --out OUT", 1),
    "cache": ("cache", 0),
    "cache clear": ("cache clear", 0),
    "doctor": ("doctor", 0),
}
SMALL = [
    "--device", "cpu", "--set", "training.batch=16", "model.generator={name: dcgan, width: 2}",
    "model.backbone={name: dcgan, width: 2}", "model.head=auxiliary",
]  # fmt: skip
WIDTHS = {"ascii": "0", "nobody reads": "1"}


def test_no_command_is_left_out():
    named = {words.split(",")[0] for words in COMMANDS}
    assert {words for words, _ in leaves(build_app())} <= named


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Photos, a run of them and samples, in a folder whose name is no ASCII either."""
    root = tmp_path_factory.mktemp("terminal") / "фото"
    rng = np.random.default_rng(0)
    for part in ("PHOTOS", "MADE"):
        for name in NAMES:
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(12):
                noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / f"{number}.png")
    held = {name: str(root / name) for name in ("PHOTOS", "MADE", "RUN")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REACGAN_CACHE", str(root / "cache"))
        words = ["train", "--data", held["PHOTOS"], "--images", "32", "--quiet", *SMALL]
        with pytest.raises(SystemExit) as ended:
            main([*words, "--out", held["RUN"]])
        assert not ended.value.code
        yield held


def words_of(command, places, out):
    parts = COMMANDS[command][0].split()
    parts = [*parts[:-1], *SMALL] if parts[-1:] == ["SMALL"] else parts
    for name, place in {**places, "OUT": str(out)}.items():
        parts = [part.replace(name, place) if part.startswith(name) else part for part in parts]
    return parts


@contextlib.contextmanager
def _streams(kind, folder):
    """Standard output and error of a kind; gives a function that reads what was written."""
    encoding = {"cp1252": "cp1252", "ascii": "ascii"}.get(kind, "utf-8")
    if kind == "closed":
        pair = [None, None]
    elif kind == "nobody reads":
        pair = []
        for _ in range(2):
            reader, writer = os.pipe()
            os.close(reader)
            raw = io.FileIO(writer, "w")
            pair.append(io.TextIOWrapper(raw, encoding, write_through=True))
    else:
        files = [(folder / name).open("wb") for name in ("out", "err")]
        pair = [io.TextIOWrapper(file, encoding, errors="strict") for file in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", pair[0])
        patch.setattr(sys, "stderr", pair[1])
        patch.setenv("TERM", "dumb")
        if kind in WIDTHS:
            patch.setenv("COLUMNS", WIDTHS[kind])
        yield lambda: "".join(
            (folder / name).read_bytes().decode(encoding) for name in ("out", "err")
        )
        for stream in pair:
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _slow(kind):
    """Two kinds of output meet every command each time; the other two are as likely to break."""
    return pytest.param(kind, marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", ["cp1252", _slow("ascii"), _slow("closed"), "nobody reads"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_never_undoes_the_work(places, tmp_path, command, kind):
    wanted = COMMANDS[command][1]
    with _streams(kind, tmp_path) as read:
        with pytest.raises(SystemExit) as ended:
            main(words_of(command, places, tmp_path / "OUT"))
        code = int(ended.value.code or 0)
        if sys.stdout is not None:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
        text = read() if kind in ("cp1252", "ascii") else ""
    assert "Traceback" not in text and "Error:" not in text
    if kind == "nobody reads":
        assert code in (141, wanted)
    else:
        assert code == wanted, text


def test_a_system_of_ascii_writes_and_reads_names_in_utf_8(places, tmp_path):
    words = [
        "sample",
        places["RUN"],
        "--classes",
        NAMES[0],
        "--num",
        "1",
        "--out",
        tmp_path / "вон",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "reacgan", *words, "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "вон" / NAMES[0] / "0.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sample", "reacgan sample: MODEL is missing. A run's folder"),
        ("sample digits-reacgan", "reacgan sample: --out is missing. Where to write."),
        ("sample digits-reacgan --out", "reacgan sample: --out has no value. Where to write."),
        ("generate digits-reacgan", "--out is missing. The folder to write; with --to zip the"),
    ],
)
def test_what_is_missing_is_explained_with_an_example(reacgan, words, said):
    code, _, err = reacgan(*words.split())
    plain = " ".join(err.replace("│", " ").split())
    assert code == 2 and said in plain and f"Example: reacgan {words.split()[0]} runs/" in plain


def test_a_message_of_the_log_is_printed_once_a_command():
    texts = ("1 file refused", "2 files refused", "1 file refused")
    for _ in range(2):  # commands
        streams.escape_notes()
        records = [logging.LogRecord("x", 30, "", 0, "%s", (text,), None) for text in texts]
        printed = [bool(logging.lastResort.filter(record)) for record in records]
        assert printed == [True, True, False]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")  # noqa: PTH110
def test_a_full_output_is_one_line_with_json_too():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "reacgan", "weights", "list", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "standard output: No space left on device" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder in use cannot be deleted")
def test_a_deleted_folder_is_said(tmp_path):
    place = tmp_path / "gone"
    place.mkdir()
    source = os.path.dirname(os.path.dirname(streams.__file__))  # noqa: PTH120
    done = subprocess.run(
        ["sh", "-c", 'cd gone && rmdir ../gone && exec "$0" -m reacgan --version', sys.executable],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.path.dirname(source)},  # noqa: PTH120
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "reacgan: the current folder was deleted; change to one that is there (cd ..)\n",
    )
