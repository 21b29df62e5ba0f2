"""Files of each format, opened by their own tools, give the images of the generator."""

from __future__ import annotations

import json
import zipfile

import onnx
import onnxruntime
import pytest
import torch
from networks import CODES, EVERY, MEMBERS, STYLES, VARIANTS, model, network

from reacgan.config import ConfigError
from reacgan.exporting import plain_generator
from reacgan.exporting.metadata import metadata_of
from reacgan.exporting.onnx_file import OPSETS, read_onnx, write_onnx
from reacgan.exporting.torch_files import (
    METADATA,
    read_program,
    read_torchscript,
    write_program,
    write_torchscript,
)

FACTS = {"class_names": ["Käse", "猫"], "latent_dim": 12, "name": "tiny"}
BATCHES = (1, 3, 8)
PATH = str(__file__).rpartition("/tests/")[0].encode()


def check(run, generator, plain, *, tolerance=1e-4):
    for count in BATCHES:
        inputs = plain.example(count, seed=count)
        images, psi = run(*inputs), inputs[2:]
        expected = (
            generator.truncated(*inputs[:2], psi=float(psi[0])) if psi else generator(*inputs)
        )
        assert images.shape == expected.shape and images.dtype == torch.float32
        assert float((images - expected.clamp(-1, 1)).abs().max()) < tolerance


def written(options, path, *, how=write_onnx, psi=False, half=False, **others):
    generator = network(options, **others)
    plain = plain_generator(generator, psi=psi, half=half)
    how(plain, path, FACTS)
    return generator, plain


@pytest.mark.parametrize(
    "name", [*MEMBERS, *(pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS)]
)
def test_onnx(name, tmp_path):
    path = tmp_path / "g.onnx"
    generator, plain = written(EVERY[name], path)
    file = onnx.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["g.onnx"]
    assert [(entry.domain, entry.version) for entry in file.opset_import] == [("", 18)]
    assert [entry.name for entry in file.graph.input] == ["z", "class"]
    assert [entry.name for entry in file.graph.output] == ["images"]
    for entry in (*file.graph.input, *file.graph.output):
        assert entry.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert PATH not in path.read_bytes()
    facts = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(facts["class_names"]) == FACTS["class_names"]
    assert (facts["latent_dim"], facts["name"]) == ("12", "tiny")
    check(read_onnx(path), generator, plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize(("resolution", "channels"), [(64, 3), ((16, 24), 1), (20, 4)])
def test_onnx_of_other_sizes(name, resolution, channels, tmp_path):
    path = tmp_path / "g.onnx"
    generator, plain = written(MEMBERS[name], path, resolution=resolution, channels=channels)
    check(read_onnx(path), generator, plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
def test_onnx_of_half_precision(name, tmp_path):
    generator, plain = written(MEMBERS[name], tmp_path / "half.onnx", half=True)
    written(MEMBERS[name], tmp_path / "full.onnx")
    check(read_onnx(tmp_path / "half.onnx"), generator, plain, tolerance=0.05)
    half, full = ((tmp_path / f"{kind}.onnx").stat().st_size for kind in ("half", "full"))
    assert half < full


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_onnx_of_every_opset(opset, tmp_path):
    for name in ("biggan", "stylegan2"):
        generator = network(MEMBERS[name])
        plain = plain_generator(generator)
        write_onnx(plain, tmp_path / "g.onnx", FACTS, opset=opset)
        check(read_onnx(tmp_path / "g.onnx"), generator, plain)


@pytest.mark.slow
def test_onnx_with_psi_and_weights_apart(tmp_path):
    generator = network(STYLES)
    plain = plain_generator(generator, psi=True)
    write_onnx(plain, tmp_path / "g.onnx", FACTS, largest=1000)
    assert {file.name for file in tmp_path.iterdir()} == {"g.onnx", "g.onnx.data"}
    file = onnx.load(tmp_path / "g.onnx")
    assert [entry.name for entry in file.graph.input] == ["z", "class", "psi"]
    check(read_onnx(tmp_path / "g.onnx"), generator, plain)


@pytest.mark.parametrize("opset", [17, 24])
def test_onnx_of_an_opset_that_there_is_not(opset, tmp_path):
    plain = plain_generator(network(MEMBERS["dcgan"]))
    with pytest.raises(ConfigError, match=f"opset is {opset}; allowed: 18 to 23"):
        write_onnx(plain, tmp_path / "g.onnx", FACTS, opset=opset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", EVERY)
def test_torchscript(name, tmp_path):
    path = tmp_path / "g.torchscript"
    generator, plain = written(EVERY[name], path, how=write_torchscript)
    check(read_torchscript(path), generator, plain)
    extra = {METADATA: ""}
    torch.jit.load(path, _extra_files=extra)
    assert json.loads(extra[METADATA]) == FACTS


@pytest.mark.parametrize(
    "name", ["stylegan2", *(pytest.param(one, marks=pytest.mark.slow) for one in EVERY)]
)
def test_program(name, tmp_path):
    path = tmp_path / "g.pt2"
    generator, plain = written(EVERY[name], path, how=write_program)
    check(read_program(path), generator, plain)
    extra = {METADATA: ""}
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra[METADATA]) == FACTS
    with zipfile.ZipFile(path) as archive:
        assert not any(PATH in archive.read(entry) for entry in archive.namelist())


@pytest.mark.parametrize(
    ("how", "read"),
    [
        (write_torchscript, read_torchscript),
        pytest.param(write_program, read_program, marks=pytest.mark.slow),
    ],
)
def test_torch_with_psi_codes_and_half(how, read, tmp_path):
    generator, plain = written(STYLES, tmp_path / "g", how=how, psi=True, codes=CODES)
    check(read(tmp_path / "g"), generator, plain)
    generator, plain = written(MEMBERS["resnet"], tmp_path / "h", how=how, half=True)
    check(read(tmp_path / "h"), generator, plain, tolerance=0.05)


def test_metadata_says_what_is_needed():
    trained = model(STYLES)
    plain = plain_generator(trained.generator, psi=True)
    facts = metadata_of(trained, plain, half=True, name="pets")
    assert facts["class_names"] == ["cat", "Ölkäfer", "猫"] and facts["images_seen"] == 12_800
    assert (facts["height"], facts["width"], facts["channels"], facts["colours"]) == (
        8,
        8,
        3,
        "RGB",
    )
    assert facts["inputs"] == ["z", "class", "psi"]
    assert facts["z"] == "float32 [batch, 12], standard normal"
    assert facts["class"].startswith("int64 [batch], 0 to 2")
    assert facts["images"].startswith("float32 [batch, 3, 8, 8], -1 to 1")
    assert "constant" in facts["noise"] and facts["precision"] == "float16 convolutions"
    assert facts["statistics"].startswith("the averages of training")
    assert facts["licence"] and facts["data"] and facts["torch"] == torch.__version__
    json.dumps(facts)


def test_the_digest_names_the_model_however_it_is_stored(tmp_path, reacgan):
    """That of a file is of its bytes, which differ by the type of its numbers; this is of values."""
    from reacgan import generate_dataset, load, save

    rounded = load(save(model(), tmp_path / "half", dtype="bfloat16"))
    whole = load(save(rounded, tmp_path / "whole", dtype="float32"))
    assert rounded.digest == whole.digest != model().digest
    for trained in (rounded, whole):
        plain = plain_generator(trained.generator)
        facts = metadata_of(trained, plain, half=True, name="pets")
        assert facts["model_digest"] == whole.digest
    made = generate_dataset(whole, tmp_path / "set", num=1)
    assert made.manifest["model"]["digest"] == whole.digest
    _, out, _ = reacgan("weights", "check", tmp_path / "whole")
    assert whole.digest in out


@pytest.mark.parametrize("name", ["resnet", "stylegan2"])
def test_torchscript_names_no_device(name):
    """A number that a trace makes on the CPU stays there, whatever device the file is loaded on."""
    plain = plain_generator(network(MEMBERS[name], codes=CODES))
    recorded = torch.jit.trace(plain, plain.example(2), check_trace=False)
    assert 'value="cpu"' not in str(recorded.inlined_graph)
