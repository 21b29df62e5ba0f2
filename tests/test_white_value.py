"""The white value of images of more than 8 bits goes wherever a generator goes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image

import reacgan
from reacgan.exporting import export
from reacgan.generated import generate_dataset

WHITE, VALUE = 4095.0, "value = pixel / 255 * 4095, in steps of 16.1"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A tiny run on 12-bit scans of parts."""
    folder = tmp_path_factory.mktemp("scans")
    drawn = np.random.default_rng(0)
    for name in ("good", "scrap"):
        (folder / "scans" / name).mkdir(parents=True)
        for number in range(4):
            pixels = drawn.integers(200, 3700, (8, 8), np.uint16)
            Image.fromarray(pixels).save(folder / "scans" / name / f"{number}.tif")
    plan = {
        "name": "scans",
        "data": {"name": "folder", "path": str(folder / "scans"), "resolution": 8, "channels": 1},
        "model": {
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 4},
            "backbone": {"name": "dcgan", "width": 4},
        },
        "training": {"images": 8, "batch": 4},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    experiment = reacgan.load_experiment(folder / "plan.yaml")
    reacgan.train(experiment, folder / "run", quiet=True, device="cpu")
    return folder / "run"


def test_the_saved_model_and_its_card_say_it(scanned):
    model = reacgan.load(scanned, device="cpu")
    assert json.loads((scanned / "model" / "config.json").read_text())["white"] == WHITE
    assert model.white == WHITE and VALUE in model.values_in_words
    assert VALUE in (scanned / "model" / "README.md").read_text()
    assert reacgan.load("digits-reacgan", device="cpu").values_in_words == ""


def test_a_saved_copy_and_every_exported_file_say_it(scanned, tmp_path):
    import onnx

    model = reacgan.load(scanned, device="cpu")
    assert reacgan.load(model.save(tmp_path / "copy"), device="cpu").white == WHITE
    single, graph = tmp_path / "m.safetensors", tmp_path / "m.onnx"
    export(scanned, "safetensors", single)
    export(scanned, "onnx", graph)
    assert reacgan.load(single, device="cpu").white == WHITE
    said = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
    assert float(said["white"]) == WHITE and VALUE in said["values"]


def test_generated_sets_and_commands_say_it(scanned, tmp_path, request):
    run_command = request.getfixturevalue("reacgan")  # the module has the package's name
    made = generate_dataset(scanned, tmp_path / "set", num=1, device="cpu")
    assert made.manifest["white"] == WHITE and VALUE in made.manifest["values"]
    code, _, err = run_command("sample", scanned, "--num", "1", "--out", tmp_path / "x")
    assert code == 0 and VALUE in err


def test_every_place_where_values_matter_says_it(scanned, tmp_path, request):
    run_command = request.getfixturevalue("reacgan")
    words = ("safetensors", "--out", tmp_path / "x.safetensors")
    assert VALUE in " ".join(run_command("export", scanned, "--to", *words)[1].split())
    made = (
        "generate",
        scanned,
        "--num",
        "1",
        "--out",
        tmp_path / "made",
        "--device",
        "cpu",
        "--json",
    )
    assert json.loads(run_command(*made)[1])["white"] == WHITE
    said = " ".join(run_command("data", "inspect", tmp_path / "made")[1].split())
    assert "value = pixel / 255 * 4095, which a model that is trained on them does not know" in said
    assert VALUE in (
        reacgan.report(scanned, pictures=False) and (scanned / "report.html").read_text()
    )
    pack = tmp_path / "p.safetensors"
    scans = scanned.parent / "scans"
    packed = run_command(
        "data", "prepare", scans, pack, "--resolution", "8", "--white", "2000", "--json"
    )
    facts = json.loads(packed[1])
    assert facts["white"] == 2000 and "are clipped to 255" in facts["lost"][0]
    said = " ".join(run_command("data", "inspect", pack)[1].split())
    assert "value = pixel / 255 * 2000" in said and facts["lost"][0][:80] in said
