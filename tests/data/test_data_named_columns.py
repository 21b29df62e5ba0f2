"""Columns, encodings and names of tables that the user gives or the table has in another language."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from PIL import Image

import reacgan
from reacgan.cli import main
from reacgan.config import ConfigError, DataConfig
from reacgan.data import DataError, inspect_data, open_dataset, prepare_data, survey_dataset

CLASSES = ("frog", "dog")


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures in ``bilder``, and what a table may say of each."""
    folder = tmp_path / "bilder"
    folder.mkdir()
    rows = []
    for number in range(8):
        pixels = np.full((8, 8, 3), 30 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = "test" if number > 5 else "train"
        rows.append((f"bilder\\{number}.png", CLASSES[number % 2], "schön; gut", split))
    return tmp_path, rows


def csv_of(folder, rows, header, *, name="t.csv", encoding="utf-8", mark=";"):
    lines = [mark.join(header)]
    for path, label, remark, split in rows:
        cells = {0: path, 1: label, 2: f'"{remark}"', 3: split}
        lines.append(mark.join(cells[index] for index in range(len(header))))
    file = folder / name
    file.write_bytes("\r\n".join(lines).encode(encoding))
    return file


def config(table, kind="csv", **options):
    return DataConfig(name=kind, path=str(table), resolution=8, options=options)


def counts(survey):
    return dict(zip(survey.class_names, survey.counts.tolist(), strict=True))


@pytest.mark.parametrize("label", ["Art", "Klasse", "espèce", "вид"])
@pytest.mark.parametrize("file", ["Datei", "Bild", "файл"])
def test_names_in_other_languages(pictures, label, file):
    folder, rows = pictures
    table = csv_of(folder, rows, (file, label, "Bemerkung"))
    survey = survey_dataset(config(table))
    assert counts(survey) == {"dog": 4, "frog": 4}
    assert survey.notes[0] == f"column {file} is taken for the file, {label} for the class"


def test_columns_by_options(pictures):
    folder, rows = pictures
    table = csv_of(folder, rows, ("Wo", "Tierchen", "Bemerkung", "Menge1"))
    with pytest.raises(DataError, match=r"t\.csv: has only.*--set data\.options\.label=Tierchen"):
        survey_dataset(config(table))
    options = {"file": "wo", "label": "Tierchen", "split_column": "Menge1"}
    survey = survey_dataset(config(table, **options))
    assert counts(survey) == {"dog": 3, "frog": 3}
    assert survey.notes == ("columns not read: Bemerkung",)
    assert len(open_dataset(config(table, **options), "test")) == 2
    with pytest.raises(DataError, match="label is 'Tier': no such column; the columns: Wo, Tier"):
        survey_dataset(config(table, label="Tier"))
    with pytest.raises(ConfigError, match=r"Allowed: encoding, file, .*, split_column, white\."):
        survey_dataset(config(table, klass="Tier"))
    with pytest.raises(ConfigError, match="an option of tables, but .* is a folder"):
        survey_dataset(config(folder, "folder", label="Tier"))


def test_keys_of_json_lines(pictures):
    folder, rows = pictures
    table = folder / "t.jsonl"
    lines = [json.dumps({"bild": path, "Art": label, "x": label}) for path, label, *_ in rows]
    table.write_text("\n".join(lines))
    survey = survey_dataset(config(table, "jsonl"))
    assert counts(survey) == {"dog": 4, "frog": 4}
    assert "column bild is taken for the file, Art for the class" in survey.notes
    assert counts(survey_dataset(config(table, "jsonl", label="x"))) == {"dog": 4, "frog": 4}
    with pytest.raises(DataError, match="label is 'y': no such column; the columns: bild, Art, x"):
        survey_dataset(config(table, "jsonl", label="y"))


def test_encodings(pictures):
    folder, rows = pictures
    table = csv_of(folder, rows, ("Datei", "Art", "Bemerkung"), encoding="cp1252")
    with pytest.raises(DataError, match=r"line 2, near .*; save it as UTF-8.*encoding=cp1252"):
        survey_dataset(config(table))
    assert len(survey_dataset(config(table, encoding="cp1252")).files) == 8
    with pytest.raises(DataError, match="encoding is 'klingon'; allowed: a name that Python knows"):
        survey_dataset(config(table, encoding="klingon"))


def test_messages_name_the_table(pictures, monkeypatch, caplog):
    folder, rows = pictures
    csv_of(folder, [*rows, ("fehlt.png", "dog", "", "train")], ("Datei", "Art"))
    monkeypatch.chdir(folder)
    survey = survey_dataset(config("t.csv"))
    assert str(survey.source) == "t.csv"
    with pytest.raises(DataError, match=r"^t\.csv: 1 of 9 files was refused"):
        open_dataset(config("t.csv"))
    assert "t.csv: column Datei is taken for the file" in caplog.text


def test_a_table_is_packed_and_inspected(pictures):
    folder, rows = pictures
    table = csv_of(folder, rows, ("Datei", "Tierchen", "Bemerkung", "split"))
    out, options = folder / "set.safetensors", {"label": "Tierchen"}
    data = prepare_data(table, out, resolution=8, options=options)
    assert data.class_names == ("dog", "frog") and len(data) == 6
    assert len(open_dataset(config(out, "archive"), "test")) == 2
    assert len(inspect_data(table, options=options).files) == 6


def test_every_command_takes_the_options(pictures, reacgan, monkeypatch):
    folder, rows = pictures
    csv_of(folder, rows * 2, ("Datei", "Tierchen", "Bemerkung", "split"))
    monkeypatch.chdir(folder)
    chosen = "--set", "data.options.label=Tierchen"
    code, out, err = reacgan("data", "inspect", "t.csv", *chosen)
    assert code == 0 and out.startswith("found in t.csv\n"), err
    code, out, err = reacgan("new", "t.csv", *chosen, "--seconds", "0")
    assert code == 0, err
    plan = (folder / "experiment.yaml").read_text()
    assert "made by: reacgan new t.csv --set data.options.label=Tierchen\n" in plan
    assert "    label: Tierchen\n" in plan and "new dictionary" not in plan
    assert "\nname: t\n" in plan
    code, out, err = reacgan("train", "--data", "t.csv", "--dry-run", "--device", "cpu", *chosen)
    assert code == 0 and json.loads(out)["data"]["options"]["label"] == "Tierchen", err
    compared = "evaluate", "t.csv", "--reference", "t.csv", "--metrics", "fid", "--device", "cpu"
    domain = "--extractor", "domain", "--set", "extractor.epochs=1"
    code, out, err = reacgan(*compared, *domain)
    assert code and "--set data.options.label=Tierchen" in err
    code, out, err = reacgan(*compared, *domain, "data.options.label=Tierchen")
    assert code == 0 and "of csv, 2 classes" in out, err


@pytest.fixture
def survey_table(tmp_path):
    """A table with a number, fractions, places and a class that no known name has."""
    header = ["ID", "Bilddatei", "Tierklasse", "Fundort", "Aufteilung", "Breite"]
    rows = []
    for number in range(24):
        path = f"{number}.png"
        Image.new("RGB", (8, 8), (number * 10, 90, 0)).save(tmp_path / path)
        kind, split = ("Vogel", "Lurch")[number % 2], ("train", "test")[number >= 20]
        rows.append([number, path, kind, f"H\u00fctte {number % 5}", split, f"{number / 10:.1f}"])
    lines = [";".join(map(str, row)) for row in (header, *rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    objects = [json.dumps(dict(zip(header, row, strict=True))) for row in rows]
    (tmp_path / "t.jsonl").write_text("\n".join(objects), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_candidates_for_the_class(survey_table, kind):
    said = (
        r"has only ID, Bilddatei, Tierklasse, Fundort, Aufteilung, Breite, of which Tierklasse, Fundort "
        r"may hold the class; .*--set data\.options\.label=Tierklasse$"
    )
    with pytest.raises(DataError, match=said):
        survey_dataset(config(survey_table / f"t.{kind}", kind))
    notes = survey_dataset(config(survey_table / f"t.{kind}", kind, label="Breite")).notes
    assert any(
        "20 classes of 1.0 images each" in note and "options.label" in note for note in notes
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_training_from_a_table_through_the_command_line(survey_table, kind, monkeypatch, capsys):
    monkeypatch.chdir(survey_table)
    tiny = ["data.resolution=8", "model.generator.width=4", "model.backbone.width=4"]
    words = ["train", "--data", f"t.{kind}", "--out", "run", "--images", "64", "--device", "cpu"]
    words += ["--set", "data.options.label=Tierklasse", "training.batch=8", *tiny]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code, capsys.readouterr().err
    model = reacgan.load("run")
    assert model.class_names == ("Lurch", "Vogel")


def test_notes_of_a_table_are_said_once(survey_table, caplog):
    options = {"label": "Tierklasse"}
    prepare_data(
        survey_table / "t.csv", survey_table / "p.safetensors", resolution=8, options=options
    )
    assert caplog.text.count("is taken for the split") == 1


def test_images_in_place_of_an_experiment(survey_table, monkeypatch, capsys):
    monkeypatch.chdir(survey_table)
    for name in ("t.csv", "my photos.safetensors"):
        with pytest.raises(SystemExit) as ended:
            main(["train", name])
        assert ended.value.code == 1
        words = shlex.join(["reacgan", "train", "--data", name])
        assert words in " ".join(capsys.readouterr().err.split())
