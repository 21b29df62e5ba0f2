"""The commands that make images from a run: ``sample`` and ``walk``."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
from PIL import Image

from reacgan.sampling import class_folders
from reacgan.text import file_stem


def test_sample(reacgan, run_folder, tmp_path):
    code, out, _ = reacgan(
        "sample", run_folder, "--classes", "3,7", "--num", 5, "--seed", 4, "--grid",
        "--out", tmp_path / "a",
    )  # fmt: skip
    assert code == 0 and out == f"10 images in {tmp_path / 'a'}, sheet {tmp_path / 'a/grid.png'}\n"
    made = sorted(str(path.relative_to(tmp_path / "a")) for path in tmp_path.rglob("*.png"))
    expected = ["grid.png", *(f"{name}/{seed}.png" for name in "37" for seed in range(4, 9))]
    assert made == sorted(expected)
    with Image.open(tmp_path / "a" / "3" / "4.png") as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")
    code, _, _ = reacgan(
        "sample", run_folder / "model", "--num", 1, "--seed", 8, "--out", tmp_path / "b"
    )
    assert code == 0 and len(list((tmp_path / "b").rglob("*.png"))) == 10
    for name in "37":
        one, other = (tmp_path / where / name / "8.png" for where in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_other_ways_to_sample(reacgan, run_folder, tmp_path):
    words = ["sample", run_folder, "--classes", "3", "--num", 2, "--out"]
    kinds = {
        "plain": [],
        "langevin": ["--langevin", 2, "--langevin-rate", 0.5, "--langevin-noise", 0.1],
        "standing": ["--statistics", "standing"],
        "batch": ["--statistics", "batch", "--grid"],
    }
    made = {}
    for kind, more in kinds.items():
        code, _, err = reacgan(*words, tmp_path / kind, *more)
        assert code == 0, err
        made[kind] = (tmp_path / kind / "3" / "1.png").read_bytes()
    assert len(set(made.values())) == len(kinds)
    assert (tmp_path / "batch" / "grid.png").exists()


def test_walk(reacgan, run_folder, tmp_path):
    def words(name):
        with Image.open(tmp_path / name) as picture:
            return json.loads(picture.text["sheet"])

    code, out, err = reacgan(
        "walk", run_folder, "--between", "3,7", "--num", 3, "--steps", 4, "--directions", 2,
        "--classes", "1,2", "--out", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    names = ["between.png", "direction-1.png", "direction-2.png"]
    assert out.splitlines() == [str(tmp_path / name) for name in names]
    between, along = words(names[0]), words(names[1])
    assert between["names"] == ["3\nseed 0", "3\nseed 1", "3\nseed 2"]
    assert between["ends"] == ["7\nseed 0", "7\nseed 1", "7\nseed 2"]
    assert between["heads"] == ["0%", "33%", "67%", "100%"]
    assert along["names"] == ["1", "2"] and along["heads"] == ["-3", "-1", "+1", "+3"]
    assert "seed 0 moved along direction 1 of 2, by standard deviations" in along["caption"]
    assert (tmp_path / names[1]).read_bytes() != (tmp_path / names[2]).read_bytes()
    for more, rows in ((["--classes", "1,2"], 2), (["--between", "0,9"], 1)):
        code, _, err = reacgan("walk", run_folder, "--seeds", "0, 5", "--out", tmp_path, *more)
        assert code == 0, err
        assert len(words("between.png")["names"]) == rows
        assert words("between.png")["ends"][0].endswith("seed 5")


def test_the_runs_own_sheet_is_what_the_model_draws(run_folder):
    from reacgan import load
    from reacgan.sampling import class_sheet

    model = load(run_folder, device="cpu")
    drawn = np.asarray(class_sheet(model.generator, model.class_names)).astype(int)
    with Image.open(run_folder / "samples" / "000000000256.png") as kept:
        shown = np.asarray(kept.convert("RGB")).astype(int)
    assert abs(shown[: len(drawn)] - drawn).max() <= 1  # below them is a line of words


def test_class_folders_are_safe_and_never_shared():
    names = ["cat", "a/b", "a_b", "0_a_b", "..", "4", "", " cat", "cat.", "~", "a\\b", "c:", "\n"]
    folders = class_folders(names)
    assert len(set(folders)) == len(folders)
    assert folders[:3] == ("cat", "1~a_b", "a_b")
    for folder in folders:
        assert folder not in ("", ".", "..") and not set(folder) & set("/\\:\n")
        assert folder == folder.strip(" .")


def test_class_folders_keep_what_every_system_takes():
    names = [
        "गाय (काली)",
        "Żółw #1",
        "カメラ 📷",
        "a & b + c = 50% @!$;[]{}^`",
        "👨\u200d👩",
        "می\u200cخواهم",
    ]
    assert class_folders(names) == tuple(names)
    odd = class_folders(["a\u202eb", "a?b", "カメラ\u30002", "nul"])
    assert odd == ("0~a_b", "1~a_b", "2~カメラ 2", "3~_nul")
    assert file_stem("गाय (काली)") == "गाय-काली" and file_stem("Żółw #1") == "Żółw-1"


def test_class_folders_differ_without_case_and_in_any_unicode_form():
    names = ["Cat", "cat", "dog", "\u00e9", "e\u0301", "stra\u00dfe", "STRASSE", "\u0131", "I"]
    names += ["con", "Aux.txt", "x" * 300, "y" * 300 + "1", "y" * 300 + "2", "\u732b" * 100]
    folders = class_folders(names)
    seen = {unicodedata.normalize("NFD", folder.upper().casefold()) for folder in folders}
    assert len(seen) == len(names) and folders[2] == "dog"
    assert all(len(folder.encode()) <= 255 for folder in folders)
    assert {folder.partition("~")[2].partition(".")[0] for folder in folders[9:11]} == {
        "_con",
        "_Aux",
    }
