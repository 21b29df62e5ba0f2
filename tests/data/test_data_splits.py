"""Which images are held out: columns of splits, names in several folders, splits that do not fit."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from reacgan.cli import main
from reacgan.config import DataConfig
from reacgan.data import DataError, find_dataset, inspect_data, open_dataset, survey_dataset
from reacgan.evaluation.reference import open_held_out, open_reference

PIXELS = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PIXELS, "PNG")


def images(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PIXELS.getvalue())
    return root


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def config_of(path):
    return find_dataset(str(path)).model_copy(update={"resolution": 8})


def files_of(path, split="train"):
    scan = survey_dataset(config_of(path), split)
    return list(scan.files), " | ".join(scan.notes)


COLUMNS = {
    "German": ("Aufteilung", "Lernmenge", "Prüfmenge"),
    "German, another": ("Teilmenge", "Training", "Test"),
    "Polish": ("zestaw", "uczący", "testowy"),
    "French": ("ensemble", "apprentissage", "essai"),
    "Spanish": ("conjunto", "entrenamiento", "prueba"),
    "Italian": ("insieme", "addestramento", "verifica"),
    "Japanese": ("区分", "学習用", "評価用"),
    "Russian": ("выборка", "обучающая", "тестовая"),
    "decomposed": ("podzia\u0142", "ucza\u0328cy", "testowy"),
    "set": ("set", "Train", "VALID"),
    "Usage": ("Usage", "Training", "PublicTest"),
    "is_test": ("is_test", "False", "True"),
    "is_train": ("is_train", "1", "0"),
    "any name": ("bag", "train-set", "test_set"),
    "documented": ("split", "Lernen", "Prüfen"),
}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_splits_in_many_languages(tmp_path, name, kind):
    column, train, test = COLUMNS[name]
    root = images(tmp_path, *(f"{k}.png" for k in range(4)))
    rows = [(f"{k}.png", "xy"[k % 2], train if k < 2 else test) for k in range(4)]
    if kind == "csv":
        path = table(root / "t.csv", f"path,label,{column}", *(",".join(row) for row in rows))
    else:
        keys = ("path", "label", column)
        lines = (json.dumps(dict(zip(keys, row, strict=True))) for row in rows)
        path = table(root / "t.jsonl", *lines)
    held, notes = files_of(path)
    assert held == ["0.png", "1.png"]
    assert (f"column {column.casefold()} is taken for the split" in notes.casefold()) == (
        name != "documented"
    )
    assert files_of(path, "test")[0] == ["2.png", "3.png"]


def test_columns_that_are_not_read_are_named(tmp_path):
    root = images(tmp_path, *(f"{k}.png" for k in range(3)))
    rows = [f"{k}.png,x,{'ABA'[k]},{k}.5" for k in range(3)]
    held, notes = files_of(table(root / "t.csv", "path,label,Aufteilung,Güte", *rows))
    assert len(held) == 3 and notes == (
        "columns not read: Aufteilung (A, B), Güte; if Aufteilung is the split, call it split "
        "and its values train and test"
    )
    path = table(
        root / "t.jsonl", *(f'{{"path": "{k}.png", "label": 1, "fold": {k}}}' for k in (0, 1))
    )
    assert "columns not read: fold (0, 1); if fold is the split" in files_of(path)[1]
    rows = ["0.png,x,train,test", "1.png,y,test,train", "2.png,x,train,train"]
    with pytest.raises(DataError, match="columns set and phase, which may both be the split"):
        files_of(table(root / "t.csv", "path,label,set,phase", *rows))


@pytest.mark.parametrize("column", ["split", "Aufteilung"])
def test_an_empty_cell_of_a_split_is_refused(tmp_path, column):
    root = images(tmp_path, *(f"{k}.png" for k in range(3)))
    rows = ["0.png,x,train", "1.png,y,", "2.png,x,test"]
    needed = rf"row 3: {column} is empty; allowed: train, training, test"
    with pytest.raises(DataError, match=needed):
        files_of(table(root / "t.csv", f"path,label,{column}", *rows))
    lines = ('{"path": "0.png", "label": 1, "split": "test"}', '{"path": "1.png", "label": 1}')
    with pytest.raises(DataError, match="line 2: split is empty; allowed: train"):
        files_of(table(root / "t.jsonl", *lines))


@pytest.fixture
def clashing(tmp_path):
    """The names 0.png to 3.png in train/ and in test/."""
    return images(tmp_path, *(f"{part}/{k}.png" for part in ("train", "test") for k in range(4)))


def test_names_in_two_folders_are_those_that_the_table_is_called_for(clashing):
    rows = [f"{k}.png,{'xy'[k % 2]}" for k in range(4)]
    called = {"test.csv": "test", "train.csv": "train", "trainLabels.csv": "train"}
    for name, folder in called.items():
        held, _ = files_of(table(clashing / name, "id,label", *rows))
        assert held == [f"{folder}/{k}.png" for k in range(4)]
    told = r"labels\.csv: names 0\.png, which may be test/0\.png or train/0\.png; write the path"
    path = table(clashing / "labels.csv", "id,label", *rows)
    with pytest.raises(DataError, match=told):
        files_of(path)
    for name in called:
        (clashing / name).unlink()
    with pytest.raises(DataError, match=told):
        files_of(clashing)


@pytest.mark.parametrize("name", ["sample_submission.csv", "sampleSubmission.csv"])
def test_examples_of_answers_are_never_proposed(clashing, name):
    table(clashing / name, "id,label", *(f"{k}.png,x" for k in range(4)))
    with pytest.raises(DataError) as refused:
        files_of(clashing)
    assert "give it" not in str(refused.value) and name not in str(refused.value)


def test_a_table_given_as_a_file_holds_out_what_lies_below_test(tmp_path):
    paths = [f"{part}/{part}{k}.png" for part in ("train", "test") for k in range(3)]
    root = images(tmp_path, *paths)
    path = table(root / "labels.csv", "path,label", *(f"{one},x" for one in paths))
    for given in (path, root):
        held, notes = files_of(given)
        assert held == paths[:3] and files_of(given, "test")[0] == paths[3:]
        assert "3 images are held out, as their folders say: test/test0.png and 2 more" in notes
    table(path, "path,label", *(f"{one},x" for one in paths[3:]))
    assert files_of(path)[0] == paths[3:]  # the only images there are


FOREIGN = {"unknown": ["test/unknown/9.png"], "case": ["test/Cat/9.png", "test/Dog/9.png"]}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_test_split_of_other_classes_is_said(tmp_path, kind, capsys):
    root = images(
        tmp_path / "set", *(f"train/{one}/{k}.png" for one in ("cat", "dog") for k in "12")
    )
    images(root, *FOREIGN[kind])
    said = "the test split test/ is not used: its classes"
    scan = inspect_data(root)
    assert said in " | ".join(scan.notes) and "not those of train (cat, dog)" in scan.notes[0]
    with pytest.raises(DataError, match=said):
        open_dataset(config_of(root), "test")
    reference = open_reference(str(root))
    assert reference.facts["split"] == "train"
    assert any(said in warning for warning in reference.warnings)
    with pytest.raises(SystemExit):
        main(["data", "inspect", str(root)])
    assert said in " ".join(capsys.readouterr().out.split())


def test_held_out_images_that_cannot_be_used_are_warned_of(tmp_path, caplog):
    root = images(tmp_path, *(f"train/{one}/{k}.png" for one in ("cat", "dog") for k in "12"))
    config = DataConfig(name="folder", path=str(root), resolution=8)
    assert open_held_out(config) is None and not caplog.records
    images(root, "test/cat/1.png", "test/dog/1.png", "test/cow/1.png")
    assert "test/ has classes that train has not, cow: 1 image not used, of 3" in files_of(root)[1]
    assert open_held_out(config) is None
    assert "no held-out images are used: " in caplog.text
    assert "its class has no training image" in caplog.text
    assert any("no held-out images are used" in one for one in open_reference(config).warnings)


def test_notes_beside_tables_are_true(tmp_path):
    root = images(tmp_path / "a", *(f"images/{k}.png" for k in range(6)))
    table(root / "train.csv", "file,label", *(f"{k}.png,x" for k in range(4)))
    table(root / "test.csv", "file,label", "4.png,x", "5.png,x")
    table(root / "val.csv", "file,label", "5.png,x")
    notes = files_of(root)[1]
    assert "test: classes from test.csv, for 2 images" in notes
    assert "not read: val.csv" in notes
    root = images(tmp_path / "b", "bilder/1.png", "bilder/2.png")
    path = table(root / "tabelle.csv", "Datei,Klasse", "1.png,x", "2.png,y")
    assert f"give {path} if it has the labels" in files_of(root)[1]
    root = images(tmp_path / "c", "cat/1.png", "dog/1.png", "test/cat/1.png", "test/dog/1.png")
    with pytest.raises(DataError, match="Move the class folders into train/") as refused:
        files_of(root)
    assert "Give" not in str(refused.value)


@pytest.mark.parametrize("row", ["1.png,1,1,0", "1.png,0,0,0", "1.png,0.5,0.5,0", "1.png,2,0,0"])
def test_why_columns_are_not_one_a_class(tmp_path, row):
    root = images(tmp_path, "0.png", "1.png")
    path = table(root / "t.csv", "image,cat,dog,cow", "0.png,0,1,0", row)
    cells = row.split(",")
    with pytest.raises(
        DataError, match=rf"exactly one 1 and 0 in the others.*: row 3 has cat '{cells[1]}', dog"
    ):
        files_of(path)
