"""Files with labels beside folders: read where they leave no choice, else named."""

from __future__ import annotations

import io
import json
import re

import pytest
from PIL import Image

from reacgan.cli import main
from reacgan.config import DataConfig
from reacgan.data import (
    DataError,
    find_dataset,
    inspect_data,
    open_dataset,
    prepare_data,
    survey_dataset,
)

PIXELS = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PIXELS, "PNG")


def images(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PIXELS.getvalue())
    return root


def table(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def style_gan(path, labels):
    path.write_text(json.dumps({"labels": labels}))
    return path


def labels_of(root, split="train"):
    """Class of each file, as the set is scanned."""
    scan = inspect_data(root, split=split)
    names = (scan.class_names[label] for label in scan.labels)
    return dict(zip(scan.files, names, strict=True)), " | ".join(scan.notes)


NUMBERED = [f"{k // 4:05d}/img{k:08d}.png" for k in range(8)]


def test_dataset_json_is_read_as_labels(tmp_path):
    root = images(tmp_path / "set", *NUMBERED)
    style_gan(root / "dataset.json", [[name, k % 3] for k, name in enumerate(NUMBERED)])
    held, notes = labels_of(root)
    assert held == {name: str(k % 3) for k, name in enumerate(NUMBERED)}
    assert "classes from dataset.json, for 8 images" in notes
    assert labels_of(tmp_path)[0].keys() == held.keys()  # one folder above
    data = open_dataset(DataConfig(name="folder", path=str(root), resolution=8))
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    direct = find_dataset(str(root / "dataset.json"))
    assert open_dataset(direct.model_copy(update={"resolution": 8})).digest == data.digest


def test_dataset_json_with_vectors_and_in_a_flat_folder(tmp_path):
    root = images(tmp_path / "set", "a.png", "b.png", "c.png")
    style_gan(root / "dataset.json", [["a.png", [0, 1]], ["b.png", [1, 0]], ["c.png", [0, 1]]])
    assert labels_of(root)[0] == {"a.png": "1", "b.png": "0", "c.png": "1"}
    style_gan(root / "dataset.json", [["a.png", [0.2, 0.8]], ["b.png", [1, 0]], ["c.png", [0, 1]]])
    with pytest.raises(DataError, match=r"dataset\.json, label 1: label is \[0\.2, 0\.8\]"):
        labels_of(root)


@pytest.mark.parametrize("labels", [None, [[name, None] for name in NUMBERED]])
def test_dataset_json_without_labels_makes_one_class(tmp_path, labels):
    root = images(tmp_path / "set", *NUMBERED)
    style_gan(root / "dataset.json", labels)
    held, notes = labels_of(root)
    assert held == dict.fromkeys(NUMBERED, "images")
    assert "dataset.json declares no labels: one class" in notes


def test_dataset_json_beside_class_folders(tmp_path):
    files = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    root = images(tmp_path / "set", *files)
    expected = {name: name[:3] for name in files}
    style_gan(root / "dataset.json", None)
    held, notes = labels_of(root)
    assert held == expected and "declares no labels; the folders are used" in notes
    style_gan(root / "dataset.json", [[name, int(name[0] == "d")] for name in files])
    assert labels_of(root) == (expected, "")
    style_gan(root / "dataset.json", [[name, int(name[4])] for name in files])
    assert labels_of(root)[0] == {name: name[4] for name in files}
    (root / "dataset.json").write_text(json.dumps({"images": [], "annotations": []}))  # COCO
    held, notes = labels_of(root)
    assert held == expected and "dataset.json: holds no labels" in notes


TRAINING = [f"{number}.png" for number in "abcdef"]
CLASS = dict(zip(TRAINING, "xyxyxy", strict=True))

# name: (folder of the training images, further images, name of the table, its lines)
COMPETITIONS = {
    "id and breed, without extension": (
        "train", ["test/g.png", "test/h.png"], "labels.csv",
        ["id,breed", *(f"{name[0]},{CLASS[name]}" for name in TRAINING)],
    ),
    "image_id and label": (
        "train_images", ["test_images/g.png"], "train.csv",
        ["image_id,label", *(f"{name},{CLASS[name]}" for name in TRAINING)],
    ),
    "a column a class": (
        "images", ["images/Test_0.png", "images/Test_1.png"], "train.csv",
        ["image_id,x,y", *(f"{name[0]},{'1,0' if CLASS[name] == 'x' else '0,1'}" for name in TRAINING)],
    ),
    "folders that unpack into themselves": (
        "train/train", ["test/test/g.png"], "train.csv",
        ["id,has_it", *(f"{name},{CLASS[name]}" for name in TRAINING)],
    ),
    "train and test side by side": (
        "images", ["images/Test_0.png", "images/Test_1.png"], "train.csv",
        ["image_id,disease", *(f"{name[0]},{CLASS[name]}" for name in TRAINING)],
    ),
    "the same names in test": (
        "train", [f"test/{name}" for name in TRAINING], "train_labels.csv",
        ["id,label", *(f"{name[0]},{CLASS[name]}" for name in TRAINING)],
    ),
    "two folders of parts": (
        "", [], "metadata.csv",
        ["file_name,label", *(f"{name},{CLASS[name]}" for name in TRAINING[2:])],
    ),
    "Hugging Face": (
        "train", [], "train/metadata.csv",
        ["file_name,label", *(f"{name},{CLASS[name]}" for name in TRAINING)],
    ),
    "Hugging Face, JSON lines": (
        "train", [], "train/metadata.jsonl",
        [json.dumps({"file_name": name, "label": CLASS[name]}) for name in TRAINING],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPETITIONS)
def test_tables_give_the_classes_where_folders_give_none(tmp_path, name):
    folder, further, where, lines = COMPETITIONS[name]
    root = tmp_path / "set"
    if folder:
        images(root, *(f"{folder}/{one}" for one in TRAINING), *further)
    else:
        images(root, *(f"part_{k // 2 % 2 + 1}/{one}" for k, one in enumerate(TRAINING[2:])))
    table(root / where, *lines)
    table(root / "sample_submission.csv", "id,label", "g,x")
    held, notes = labels_of(root)
    wanted = TRAINING if folder else TRAINING[2:]
    assert {path.rpartition("/")[2]: label for path, label in held.items()} == {
        one: CLASS[one] for one in wanted
    }
    assert f"classes from {where.rpartition('/')[2]}, for {len(wanted)} images" in notes
    assert "not read: sample_submission.csv" in notes
    assert ("2 images are not in train.csv" in notes) == ("Test_0" in str(further))
    with pytest.raises(DataError, match="has no test split"):
        inspect_data(root, split="test")


@pytest.mark.parametrize("way", ["column", "folder", "table", "sister"])
def test_held_out_images_of_a_table(tmp_path, way):
    root = images(
        tmp_path / "set", *(f"train/{one}" for one in TRAINING), "test/g.png", "test/h.png"
    )
    held_out = {"test/g.png": "y", "test/h.png": "x"}
    training = {f"train/{one}": CLASS[one] for one in TRAINING}
    rows = [f"{path},{label}" for path, label in training.items()]
    tests = [f"{path},{label}" for path, label in held_out.items()]
    if way == "column":
        both = [f"{one},train" for one in rows] + [f"{one},test" for one in tests]
        table(root / "metadata.csv", "file_name,label,split", *both)
    elif way == "folder":
        table(root / "metadata.csv", "file_name,label", *rows, *tests)
    elif way == "table":
        table(root / "train.csv", "file_name,label", *rows)
        table(root / "test.csv", "file_name,label", *tests)
    else:
        table(root / "train" / "metadata.csv", "file_name,label", *(row[6:] for row in rows))
        table(root / "test" / "metadata.csv", "file_name,label", *(row[5:] for row in tests))
    assert sorted(labels_of(root)[0].values()) == ["x"] * 3 + ["y"] * 3
    assert list(labels_of(root, "test")[0].values()) == ["y", "x"]
    prepare_data(root, tmp_path / "out.safetensors", resolution=8)
    assert (tmp_path / "out.test.safetensors").is_file()


def test_a_table_beside_class_folders(tmp_path):
    files = ["cat/0.png", "cat/1.png", "dog/2.png", "dog/3.png"]
    root = images(tmp_path / "set", *files)
    expected = {name: name[:3] for name in files}
    table(root / "labels.csv", "file,label", *(f"{name},{name[0]}" for name in files))
    assert labels_of(root) == (expected, "")
    path = table(
        root / "labels.csv", "file,label", *(f"{name},{int(name[4]) % 2}" for name in files)
    )
    held, notes = labels_of(root)
    assert held == expected and f"other classes than the folders, which are taken: .*{path}"
    assert "labels.csv gives other classes than the folders, which are taken" in notes
    table(root / "labels.csv", "a,b", "1,2")
    held, notes = labels_of(root)
    assert held == expected and "not read: " in notes and "labels.csv: has only a, b" in notes
    (root / "labels.csv").unlink()
    (root / "_annotations.coco.json").write_text("{}")
    held, notes = labels_of(root)
    assert held == expected and "beside the images are not read: _annotations.coco.json" in notes


def test_why_no_table_serves_is_said(tmp_path):
    root = images(tmp_path / "set", *(f"train/{one}" for one in TRAINING))
    lines = [f"{one},{k / 7},{k}" for k, one in enumerate(TRAINING)]
    table(root / "train.csv", "id,weight,number", *lines)
    with pytest.raises(
        DataError, match=r"train/ holds 6 images(.|\n)*train\.csv: has only id, wei"
    ):
        inspect_data(root)
    table(root / "train.csv", "id,weight", *(line.rpartition(",")[0] for line in lines[1:]))
    with pytest.raises(
        DataError, match=r"train\.csv: has the column weight, which holds fractions"
    ):
        inspect_data(root)
    table(root / "train.csv", "id,label", *(f"q{k},x" for k in range(9)))
    with pytest.raises(DataError, match=r"train\.csv: .*(not there|needed: one of path)"):
        inspect_data(root)
    table(root / "train.csv", "id,label", *(f"{one},{CLASS[one]}" for one in TRAINING))
    table(root / "labels.csv", "id,label", *(f"{one},x" for one in TRAINING))
    with pytest.raises(DataError, match=r"labels\.csv and .*train\.csv both name images"):
        inspect_data(root)


def test_folders_that_are_hardly_classes_beside_a_table_that_may_have_them(tmp_path):
    root = images(tmp_path / "set", *(f"images_part_{k % 2}/{k}.png" for k in range(6)))
    assert "called as parts of one set: images_part_0, images_part_1" in labels_of(root)[1]
    path = table(root / "HAM_metadata.csv", "id,dx", *(f"{k},{'xy'[k // 3]}" for k in range(6)))
    with pytest.raises(DataError, match=f"called as parts of one set.*Give {path}"):
        inspect_data(root)
    found = survey_dataset(find_dataset(str(path)))
    assert found.class_names == ("x", "y") and found.counts.tolist() == [3, 3]
    root = images(tmp_path / "other", "images/1.png", "images/2.png")
    assert labels_of(root)[0] == {"images/1.png": "images", "images/2.png": "images"}
    table(root / "labels.csv", "id,score,rank", "1,0.5,1", "2,0.25,2")
    with pytest.raises(
        DataError, match=r"images/ names no class, and the table.*(.|\n)*has only id"
    ):
        inspect_data(root)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def test_what_training_would_refuse_is_said_before(tmp_path, capsys):
    root = images(
        tmp_path / "pets", *(f"{one}/{k}.png" for one in ("cat", "dog") for k in range(5))
    )
    (root / "cat" / "x.jp2").write_bytes(b"GIF89a")
    said = r"1 of 11 files was refused, .* 1 x not an image's extension \(\.jp2\): save.*x\.jp2"
    code, out, _ = run(capsys, "data", "inspect", root)
    assert code == 0 and re.search(f"training would refuse this: .*{said}", " ".join(out.split()))
    for words in (["--data", root], ["derived.json", "--data", root]):
        if "derived.json" in words:
            held = json.dumps({"name": "x", "data": {"name": "folder", "resolution": 8}})
            (tmp_path / "derived.json").write_text(held)
            words[0] = tmp_path / "derived.json"
        code, _, err = run(capsys, "train", *words, "--dry-run")
        assert code == 1 and re.search(said, err)
    (root / "cat" / "x.jp2").unlink()
    (root / "extra.csv").write_text("a,b\n")
    code, out, err = run(capsys, "train", *words, "--dry-run")
    assert code == 0 and json.loads(out)["data"]["path"] == str(root)
    assert "note: files beside the images are not read: extra.csv" in err
    code, out, _ = run(capsys, "data", "inspect", root)
    out = " ".join(out.split())
    assert code == 0 and "would refuse" not in out and "not read: extra.csv" in out
    code, _, err = run(capsys, "train", "--data", tmp_path, "--dry-run")
    assert code == 0 and "note: the classes are the folders in pets/" in err


def test_files_beside_images_are_counted_and_small_copies_skipped(tmp_path):
    files = [f"{one}/{k}.png" for one in ("cat", "dog") for k in range(3)]
    root = images(tmp_path / "pets", *files)
    for path in list(root.rglob("*.png")):
        path.with_suffix(".txt").write_text("a cat")
        path.with_suffix(".xml").write_text("<annotation/>")
        path.with_name(f"{path.name}.json").write_text("{}")
    for folder in ("@eaDir", ".thumbnails", "thumbnails", "Thumbs", "#recycle", "__MACOSX"):
        images(root, f"cat/{folder}/0.png")
    scan = inspect_data(root)
    assert list(scan.files) == files and not scan.refused
    assert "20 files beside the images ignored: 6 .json, 6 .txt, 6 .xml" in " ".join(scan.notes)
    assert open_dataset(
        DataConfig(name="folder", path=str(root), resolution=8)
    ).counts.tolist() == [3, 3]


def test_classes_in_any_unicode_form_are_one(tmp_path):
    one, other = "caf\u00e9", "cafe\u0301"
    root = images(
        tmp_path / "set",
        *(f"train/{name}/{k}.png" for name in (one, "dog ") for k in range(3)),
        *(f"test/{name}/{k}.png" for name in (other, "dog ") for k in range(3)),
    )
    for split in ("train", "test"):
        scan = inspect_data(root, split=split)
        assert scan.class_names == (one, "dog ") and scan.counts.tolist() == [3, 3]
    images(root, f"train/{other}/9.png")
    scan = inspect_data(root)
    assert scan.class_names == (one, "dog ") and scan.counts.tolist() == [4, 3]
    assert any("two Unicode forms are one class: caf\u00e9" in note for note in scan.notes)
