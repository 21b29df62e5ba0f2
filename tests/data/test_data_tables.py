"""Tables of files and classes, and what the command line says of any data set."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from reacgan.cli import main
from reacgan.config import DataConfig, parse_experiment
from reacgan.data import (
    DATASETS,
    LISTERS,
    DataError,
    describe_opener,
    find_dataset,
    open_dataset,
    prepare_data,
    survey_dataset,
)


def opened(path, split="train", name=None):
    kind = name or path.suffix[1:]
    return open_dataset(DataConfig(name=kind, path=str(path), resolution=8), split)


@pytest.fixture
def pictures(tmp_path):
    """Files 0.png to 5.png in two folders, each filled with 40 times its number."""
    for number in range(6):
        folder = tmp_path / "files" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 40 * number).save(folder / f"{number}.png")
    return tmp_path


def rows_of(labels, splits=None):
    rows = [
        {"path": f"files/{'ab'[k % 2]}/{k}.png", "label": label} for k, label in enumerate(labels)
    ]
    for row, split in zip(rows, splits or (), strict=False):
        row["split"] = split
    return rows


def write_csv(path, rows, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    return path


def numbers(data):
    return (data.images[:, 0, 0, 0] // 40).tolist()


@pytest.mark.parametrize("kind", ["csv", "csv with a mark", "tabs", "jsonl"])
def test_rows_become_labels(pictures, kind):
    rows = rows_of(["wolf, grey", "dog", "été", "dog", "été", "dog"])
    if kind == "jsonl":
        table = write_jsonl(pictures / "t.jsonl", rows)
    elif kind == "tabs":
        table = write_csv(pictures / "t.tsv", rows, "\t")
    else:
        coding = "utf-8-sig" if kind == "csv with a mark" else "utf-8"
        table = write_csv(pictures / "t.csv", rows, encoding=coding)
    data = opened(table, name="jsonl" if kind == "jsonl" else "csv")
    assert data.class_names == ("dog", "wolf, grey", "été")
    assert numbers(data) == [0, 2, 4, 1, 3, 5]
    assert data.labels.tolist() == [1, 2, 2, 0, 0, 0]
    assert find_dataset(str(table)).name == ("jsonl" if kind == "jsonl" else "csv")
    with pytest.raises(DataError, match="has no test split; add a column called split"):
        opened(table, "test", "jsonl" if kind == "jsonl" else "csv")


@pytest.mark.parametrize("path_key", ["path", "file", "filename", "file_name", "image"])
@pytest.mark.parametrize("label_key", ["label", "class", "target"])
def test_names_of_columns(pictures, path_key, label_key):
    rows = [
        {"id": "x", label_key: row["label"], path_key: row["path"]} for row in rows_of([10, 9] * 3)
    ]
    for table in (write_csv(pictures / "t.csv", rows), write_jsonl(pictures / "t.jsonl", rows)):
        data = opened(table)
        assert data.class_names == ("9", "10")  # as numbers
        assert data.labels.tolist() == [1, 1, 1, 0, 0, 0]


def test_splits(pictures):
    rows = rows_of(
        ["a", "b", "a", "b", "a", "c"], ["train", "Training", "learn", "val", "test", "test"]
    )
    table = write_csv(pictures / "t.csv", rows)
    assert numbers(opened(table)) == [0, 2, 1]
    rows[5]["label"] = "a"
    assert numbers(opened(write_csv(table, rows), "test")) == [4, 3, 5]
    rows[5]["label"] = "c"
    with pytest.raises(DataError, match=r"1 of 3 files.*its class has no training image"):
        opened(write_csv(table, rows), "test")
    rows[5]["split"] = "extra"
    with pytest.raises(
        DataError, match=r"t\.csv, row 7: split is 'extra'; allowed: train, training"
    ):
        opened(write_csv(table, rows))
    held_out = write_csv(table, rows_of(["a"], ["test"]))
    with pytest.raises(DataError, match="names no image for train"):
        opened(held_out)


def test_absolute_paths_and_changed_labels(pictures):
    rows = rows_of("ab" * 3)
    for row in rows:
        row["path"] = str(pictures / row["path"])
    (pictures / "elsewhere").mkdir()
    table = write_csv(pictures / "elsewhere" / "t.csv", rows)
    before = opened(table)
    rows[0]["label"] = "b"
    after = opened(write_csv(table, rows))
    assert before.counts.tolist() == [3, 3] and after.counts.tolist() == [2, 4]


def test_classes_that_look_like_numbers_and_are_none(pictures):
    rows = rows_of(["--1", "3", "10", "-2", "---2", "3"])
    assert opened(write_csv(pictures / "t.csv", rows)).class_names == tuple(
        sorted({row["label"] for row in rows})
    )


TWO = "files/a/0.png", "files/b/1.png", "files/a/2.png"

# name: (text with {0}, {1}, {2} for three files, words of a note)
WRITTEN = {
    "semicolons": ("path;label\n{0};x\n{1};y\n{2};x\n", ""),
    "bars": ("path|label\n{0}|x\n{1}|y\n{2}|x\n", ""),
    "capitals and spaces": ("Path , LABEL\n{0}, x\n{1},y \n{2},x\n", ""),
    "an empty last row": ("path,label\n{0},x\n{1},y\n{2},x\n,\n", ""),
    "empty rows": ("path,label\n\n{0},x\n , \n{1},y\n{2},x\n\n\n", ""),
    "old line ends": ("path,label\r{0},x\r{1},y\r{2},x\r", ""),
    "Windows line ends": ("path,label\r\n{0},x\r\n{1},y\r\n{2},x\r\n", ""),
    "a spreadsheet's first line": ("sep=;\r\npath;label\r\n{0};x\r\n{1};y\r\n{2};x\r\n", ""),
    "line breaks within quotes": (
        'path,text,label\n{0},"a\nb, c",x\n{1},"",y\n{2},"\n\n",x\n',
        "columns not read: text",
    ),
    "long columns": (
        "path,text,label\n{0}," + "w" * 200_000 + ",x\n{1},,y\n{2},,x\n", "columns not read: text"
    ),
    "another language": (
        "Pfad;Klasse;Gewicht (kg, mit Kiste)\r\n{0};x;0,5\r\n{1};y;1,25\r\n{2};x;3,0\r\n",
        "column Pfad is taken for the file, Klasse for the class",
    ),
    "a third language": (
        "\u753b\u50cf,\u30e9\u30d9\u30eb\n{0},x\n{1},y\n{2},x\n", "\u753b\u50cf is taken for the file",
    ),
    "names that say nothing": (
        "a;b\n{0};x\n{1};y\n{2};x\n", "column a is taken for the file, b for the class"
    ),
    "an index in front": (",path,label\n0,{0},x\n1,{1},y\n2,{2},x\n", "not read: column 1 without a name"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("coding", "slashes"), [("utf-8", "/"), ("utf-8-sig", "\\"), ("utf-16", "\\")]
)
@pytest.mark.parametrize("name", WRITTEN)
def test_tables_as_spreadsheets_write_them(pictures, name, coding, slashes):
    text, note = WRITTEN[name]
    files = [file.replace("/", slashes) for file in TWO]
    path = pictures / "t.csv"
    path.write_bytes(text.format(*files).encode(coding))
    scan = survey_dataset(DataConfig(name="csv", path=str(path)))
    assert scan.files == tuple(sorted(TWO)) and scan.class_names == ("x", "y")
    assert dict(zip(scan.files, scan.labels.tolist(), strict=True)) == dict(
        zip(TWO, (0, 1, 0), strict=True)
    )
    assert note in " | ".join(scan.notes) and bool(scan.notes) == bool(note)


def test_files_named_twice(pictures):
    rows = rows_of("xyxyxy")
    rows += [{"path": "files/a/0.png", "label": "x"}, {"path": "./files/b/1.png", "label": "y"}]
    table = write_csv(pictures / "t.csv", rows)
    scan = survey_dataset(DataConfig(name="csv", path=str(table)))
    assert scan.counts.tolist() == [3, 3]
    assert any("2 files named more than once, counted once: files/a/0" in n for n in scan.notes)
    table = write_csv(table, [*rows, {"path": "files\\b\\5.png", "label": "x"}])
    scan = survey_dataset(DataConfig(name="csv", path=str(table)))
    assert scan.counts.tolist() == [3, 2] and scan.reasons == {
        "the table gives it several classes": 1
    }
    assert any("1 file of several classes, not read: files/b/5.png (x, y)" in n for n in scan.notes)
    rows = rows_of("xyxyxy", ["train"] * 6)
    table = write_csv(table, [*rows, {"path": "files/a/0.png", "label": "x", "split": "val"}])
    scan = survey_dataset(DataConfig(name="csv", path=str(table)), "test")
    assert any("1 file in train and in test, such as files/a/0.png" in n for n in scan.notes)


def test_files_in_other_folders_are_found_by_name_and_said(pictures):
    rows = [{"id": str(k), "label": "xy"[k % 2]} for k in range(6)]
    scan = survey_dataset(DataConfig(name="csv", path=str(write_csv(pictures / "t.csv", rows))))
    assert scan.counts.tolist() == [3, 3] and scan.files[0] == "files/a/0.png"
    assert "6 files found by name: 0 is files/a/0.png" in scan.notes
    assert "column id is taken for the file, label for the class" in scan.notes


def test_labels_in_two_unicode_forms_are_one_class(pictures):
    rows = rows_of(["caf\u00e9", "cafe\u0301", "dog"] * 2)
    for table in (write_csv(pictures / "t.csv", rows), write_jsonl(pictures / "t.jsonl", rows)):
        assert opened(table).class_names == ("caf\u00e9", "dog")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"empty; needed: a header line with path and label"),
        ("path,label\n", "names no image for train"),
        (
            "a.png,cat\nb.png,dog\n",
            r"the first line has only a\.png, cat; needed: one of path, file",
        ),
        (
            "path,kind,sort\na.png,x,y\n",
            r"has only path, kind, sort, of which kind, sort may hold the class; needed: one of label",
        ),
        ("path,label,class\na,b,c\n", r"has both label and class; needed: one of label"),
        ("path,label,label\na,b,c\n", r"names the column label twice"),
        ("path,label\na.png\n", r"row 2: 1 values, needed: 2, one for each of path, label"),
        ("path,label\na.png,x,y\n", r"row 2: 3 values, needed: 2.*double quotes"),
        ("path,label\na.png,\n", r"row 2: label is ''; needed: a text or a whole number"),
        (
            "path,label\na.png,x\n",
            r"among 1 file: 1 x not readable: No such file or directory \(such as .*a\.png\)",
        ),
        ("path,label\ntable.csv,x\n", r"not an image's extension \(\.csv\)"),
        ('path,label\n"a.png,x\n', "not readable as CSV"),
        (
            b"path,label\n\xff.png,x\n",
            r"not readable as utf-8, line 2, near '.\.png,x'; save it as UTF-8.*encoding=cp1252",
        ),
        (
            'file,weight\na.png,0.5\nb.png,"1,5"\n',
            "column weight, which holds fractions; rename it",
        ),
        (
            "file,caption\n" + "".join(f"{k}.png,text {k}\n" for k in range(30)),
            "column caption, with a different value in every line; rename it",
        ),
        (
            "left,right\na.png,b.png\n",
            "has only left, right, of which left, right may name the files",
        ),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, text, said):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=said):
        opened(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "line 1: not a JSON object such as"),
        ('{"path": "a.png"', "line 1: not a JSON object"),
        ("[" * 100_000, "line 1: not a JSON object"),
        ('{"path": "a.png"}', "line 1: has only path; needed: one of label"),
        ('{"path": "a.png", "label": null}', "label is None; needed: a text or a whole number"),
        ('{"path": "a.png", "label": true}', "label is True; needed"),
        ('{"path": "a.png", "label": [1]}', r"label is \[1\]; needed"),
        ('{"path": "a\\u0000.png", "label": "x"}', "needed: a text or a whole number"),
        ("", "names no image for train"),
    ],
)
def test_jsonl_that_cannot_be_used(tmp_path, text, said):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        opened(tmp_path / "t.jsonl")
    with pytest.raises(DataError, match="no such file"):
        opened(tmp_path / "absent.jsonl")


def test_every_set_describes_itself_and_has_its_lister():
    for name, opener in DATASETS.items():
        said = describe_opener(opener)
        assert said["what"].endswith(".") and said["path"].endswith("."), name
        assert "``" not in str(said) and ":func:" not in str(said)
    assert describe_opener(DATASETS["cub200"])["options"] == "box=False"
    assert set(LISTERS) < set(DATASETS)


def test_options_in_an_experiment():
    held = parse_experiment({"name": "x", "data": {"name": "cub200", "options": {"box": True}}})
    assert held.replace(**{"data.options.box": False}).data.options == {"box": False}
    assert held.replace(**{"data.name": "afhq"}).data.options == {}
    added = held.replace(**{"data.name": "ffhq", "data.options.train_on_all": True})
    assert added.data.options == {"train_on_all": True}
    assert parse_experiment(json.loads(held.to_json())) == held


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def test_the_command_names_every_set(capsys):
    code, out, _ = run(capsys, "data", "list")
    assert code == 0
    for name in DATASETS:
        assert f"\n{name} " in f"\n{out}"
    assert "options: box=False" in out and "OWNER/NAME" in out


def test_the_command_shows_the_tail(capsys, tmp_path):
    for name, count in (("cat", 40), ("dog", 30), ("ocelot", 4)):
        for number in range(count):
            path = tmp_path / "pets" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 9)).save(path)
    code, out, _ = run(capsys, "data", "inspect", str(tmp_path / "pets"))
    assert code == 0 and "74 grey images of 3 classes" in out
    out = " ".join(out.split())
    assert "the largest class has 10 times the images of the smallest" in out
    shares = np.array([40, 30, 4]) / 74
    assert f"as varied as {np.prod(shares**-shares):.1f} equal classes" in out
    assert "1 with less than half of the mean: ocelot (4)" in out
    assert "data.balanced=true shows each equally often" in out
    packed = tmp_path / "pets.safetensors"
    prepare_data(tmp_path / "pets", packed, resolution=(8, 10))
    code, out, _ = run(capsys, "data", "inspect", str(packed))
    assert code == 0 and "1 x 8 x 10" in out and "ocelot (4)" in out and "digest" in out


def test_the_command_looks_at_registered_sets(capsys, tmp_path):
    code, out, _ = run(capsys, "data", "inspect", "digits", "--split", "test")
    assert code == 0 and "596 grey images of 10 classes" in out and "balanced" not in out
    for number in (1, 60_001):
        path = tmp_path / f"{number:05d}.png"
        Image.new("L", (9, 9)).save(path)
    place = f"ffhq:{tmp_path}"
    assert "1 grey image of 1 class" in run(capsys, "data", "inspect", place)[1]
    asked = ("data", "inspect", place, "--set", "train_on_all=true")
    assert "2 grey images of 1 class" in run(capsys, *asked)[1]
    code, _, err = run(capsys, "data", "inspect", place, "--set", "all=1")
    assert code == 1 and "data.options.all: unknown option" in err
    code, _, err = run(capsys, "data", "inspect", "cub100")
    assert code == 1 and "cub100: no such folder" in err


def test_the_command_packs_at_height_and_width(capsys, two_classes, tmp_path):
    out = tmp_path / "p.safetensors"
    code, told, _ = run(
        capsys, "data", "prepare", str(two_classes), str(out), "--resolution", "8x12"
    )
    assert code == 0 and "3 x 8 x 12" in told
    for wrong in ("8x", "8x8x8", "big"):
        again = ("data", "prepare", str(two_classes), f"{out}2", "--resolution", wrong)
        code, _, err = run(capsys, *again)
        assert code == 1 and "needed: a side or height and width" in err
