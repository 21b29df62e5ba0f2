"""``reacgan export`` from the command to a picture without PyTorch."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import MEMBERS, STYLES, model
from PIL import Image

from reacgan import export, load, sample
from reacgan.config import ConfigError
from reacgan.exporting.export import EXPORTERS, TOLERANCE, Exporter
from reacgan.exporting.torch_files import read_torchscript
from reacgan.sampling import latents_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_sample.py"
WITHOUT_TORCH = """
import runpy, sys
sys.modules.update(torch=None, reacgan=None)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert sys.modules["torch"] is None
"""


def run_example(folder, *arguments):
    words = [sys.executable, "-c", WITHOUT_TORCH, str(EXAMPLE), *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    done = export("digits-reacgan", out=folder / "digits.onnx", latents=12)
    return folder, done


def test_the_file_was_compared(digits):
    folder, done = digits
    assert done.path == folder / "digits.onnx" and done.unchecked is None
    assert done.tolerance == TOLERANCE and done.difference is not None
    assert 0 < done.difference < 1e-5 and done.batches == (1, 3, 8)
    assert done.metadata["opset"] == 18 and done.metadata["name"] == "digits-reacgan"


def test_a_picture_without_torch_is_that_of_sampling(digits):
    folder, _ = digits
    seeds = [0, 1, 7, 123_456_789_012]
    said = run_example(folder, "digits.onnx", "7", *seeds)
    assert said.splitlines()[0] == "7-0.png: 7"
    trained = load("digits-reacgan", device="cpu")
    for seed in seeds:
        ours = next(iter(sample(trained, "7", seed=seed))).image[0].numpy().astype(int)
        theirs = np.array(Image.open(folder / f"7-{seed}.png")).astype(int)
        apart = np.abs(ours - theirs)
        assert ours.std() > 20 and apart.max() <= 1 and (apart > 0).mean() < 0.05


WORDS = [
    (["--help"], 0, "Usage: python onnx_sample.py FILE CLASS SEED"),
    (["digits.onnx"], 2, "Usage: python onnx_sample.py FILE CLASS SEED"),
    (["digits.onnx", "sevn", "0"], 1, "sevn: no such class; known: 0, 1, 2"),
    (["digits.onnx", "-1", "0"], 1, "-1: no such class; known: 0, 1, 2"),
    (["digit.onnx", "7", "0"], 1, "digit.onnx: no such file"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), WORDS)
def test_the_example_says_what_it_wants(digits, monkeypatch, capsys, arguments, code, said):
    monkeypatch.chdir(digits[0])
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    out, err = capsys.readouterr()
    # A text as the code is printed on standard error by Python, which then ends with 1.
    text, number = (
        ("", ended.value.code)
        if isinstance(ended.value.code, int | None)
        else (ended.value.code, 1)
    )
    assert (number or 0) == code and said in out + err + text


def test_the_seed_recipe_is_ours(tmp_path):
    code = f"""
import runpy, sys, json, types
sys.modules.update(torch=None, reacgan=None)
text = open({str(EXAMPLE)!r}).read().partition("if len(sys.argv)")[0]
exec(text)
print(json.dumps([latent(seed, 200) for seed in range(40)]))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    theirs = torch.tensor(json.loads(said.stdout), dtype=torch.float32)
    torch.testing.assert_close(theirs, latents_for(range(40), 200), rtol=1e-6, atol=1e-6)


def test_the_table_of_latents_is_a_check_for_another_program(digits):
    import onnxruntime

    folder, done = digits
    assert done.latents == folder / "digits.onnx.latents.npz"
    table = np.load(done.latents)
    assert table["seed"].tolist() == list(range(12)) and table["class"].tolist()[-2:] == [0, 1]
    session = onnxruntime.InferenceSession(done.path)
    images = session.run(None, {"z": table["z"], "class": table["class"]})[0]
    pixels = ((images + 1) * 127.5).round().astype(int)
    assert np.abs(pixels - table["images"]).max() <= 1
    trained = load("digits-reacgan", device="cpu")
    ours = next(iter(sample(trained, "5", seed=5))).image
    assert np.abs(table["images"][5].astype(int) - ours.numpy()).max() <= 1


def test_bytes_of_a_run_and_what_is_printed(run_folder, tmp_path, reacgan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = reacgan("export", run_folder, "--to", "torchscript", "--output", "uint8")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("run.torchscript: torchscript, ")
    assert lines[1].startswith("  in: z, float32 [batch, ") and lines[2].startswith("  in: class")
    assert lines[3] == "  out: images, uint8 [batch, 1, 8, 8], 0 to 255"
    assert "at batches of 1, 3, 8" in lines[4] and "(allowed: 1)" in lines[4]
    trained = load(run_folder, device="cpu")
    z, labels = latents_for(range(4), trained.latent_dim), torch.arange(4)
    images = read_torchscript(tmp_path / "run.torchscript")(z, labels)
    ours = torch.stack([next(iter(sample(trained, seed, seed=seed))).image for seed in range(4)])
    assert images.dtype == torch.uint8 and (images.int() - ours.int()).abs().max() <= 1


def test_an_existing_file_is_kept(tmp_path):
    file = tmp_path / "g.torchscript"
    file.write_text("mine")
    with pytest.raises(ConfigError, match=r"g\.torchscript: exists already.*--overwrite"):
        export(model(), "torchscript", file)
    assert file.read_text() == "mine"
    export(model(), "torchscript", file, overwrite=True)
    assert file.read_bytes()[:2] == b"PK"
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.torchscript"]


def test_the_name_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export(model(), "torchscript").path == Path("pets-tiny.torchscript")
    assert export(model(), "torchscript", tmp_path / "new" / "x").path == tmp_path / "new" / "x"
    assert export(model(), "torchscript", "new").path == Path("new/pets-tiny.torchscript")
    done = export(model(), out="y.safetensors")
    assert (done.to, done.path) == ("safetensors", Path("y.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "onx"}, "unknown format 'onx'.*onnx"),
        ({"output": "int8"}, "output is 'int8'; allowed: float32, uint8"),
        ({"to": "torchscript", "opset": 21}, "opset is 21, but torchscript has none"),
        ({"opset": 9}, "opset is 9; allowed: 18 to 23"),
        ({"to": "safetensors", "output": "uint8"}, "holds weights and no network"),
        ({"to": "torchscript", "out": "x.onnx"}, "suffix is that of onnx, .*choose .torchscript"),
        ({"psi": True}, "has no styles"),
        ({"latents": -1}, "latents is -1; allowed: 0 "),
        ({"statistics": "batch"}, "statistics is 'batch'"),
    ],
)
def test_what_is_refused(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        export(model(), **{"out": tmp_path / "g", **options})
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_is_not_kept(tmp_path, monkeypatch):
    ours = EXPORTERS["torchscript"]

    def brighter(plain, path, metadata):
        plain.network.output.bias.data.add_(0.01)
        ours.write(plain, path, metadata)

    wrong = Exporter(".torchscript", brighter, ours.read)
    monkeypatch.setitem(EXPORTERS, "torchscript", wrong)
    with pytest.raises(ConfigError, match=r"not written: its images differ .* allowed is 0\.0001"):
        export(model(), "torchscript", tmp_path / "g")
    assert not list(tmp_path.iterdir())


def test_psi_of_a_styled_generator(tmp_path):
    done = export(model(STYLES), "torchscript", tmp_path / "g", psi=True)
    assert done.metadata["inputs"] == ["z", "class", "psi"] and done.difference < 1e-5


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"package {name}, .* pip install 'reacgan\\[export\\]'"):
        export(model(MEMBERS["dcgan"]), out=tmp_path / "g.onnx")
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_it_is_said(digits, tmp_path, monkeypatch, reacgan):
    def written_before(plain, path, metadata, opset):
        shutil.copy(digits[1].path, path)

    again = replace(EXPORTERS["onnx"], write=written_before)
    monkeypatch.setitem(EXPORTERS, "onnx", again)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, err = reacgan("export", "digits-reacgan", "--out", tmp_path / "g.onnx")
    assert code == 0 and (tmp_path / "g.onnx").exists() and "compared" not in out
    assert "not compared with the generator, since onnxruntime is not installed" in err
