from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from reacgan import hub, sample
from reacgan.config import ConfigError, Experiment
from reacgan.models import build_generator
from reacgan.models.trained import NormStatistics, TrainedGenerator

ODD_NAMES = (
    "a,b", "", " ", "über 猫", 'quote " and `tick`', "new\nline", "../up", "all", "\udcff", "---",
)  # fmt: skip


def make(names=("cat", "dog"), *, seed=0, dtype=torch.float32):
    held = Experiment(name="tiny").replace(
        **{
            "data.name": "digits",
            "data.resolution": 8,
            "data.channels": 1,
            "model.generator.width": 4,
            "model.generator.latent_dim": 4,
            "model.generator.shared_dim": 4,
            "model.generator.attention_after": (1,),
            "model.backbone.width": 4,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = build_generator(held.model.generator, held.data, len(names))
        with torch.no_grad():
            for value in generator.state_dict().values():
                value.add_((torch.rand_like(value) - 0.5) * 0.1)
    generator.to(dtype).to(memory_format=torch.channels_last)
    norms = NormStatistics("moving", 0.0)  # as if they had been checked
    return TrainedGenerator(
        generator.eval().requires_grad_(False), held, tuple(names), 12_345, norms
    )


def images_of(model):
    return torch.stack([one.image for one in sample(model, "all", 3)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(tmp_path, dtype):
    model = make(dtype=dtype)
    random = torch.random.get_rng_state()
    folder = hub.save(model, tmp_path / "deep" / "model")
    loaded = hub.load(folder, device="cpu")
    assert torch.equal(random, torch.random.get_rng_state())
    assert torch.equal(images_of(loaded), images_of(model))
    assert (loaded.experiment, loaded.class_names) == (model.experiment, model.class_names)
    assert loaded.images_seen == 12_345
    assert not loaded.generator.training
    assert next(loaded.generator.parameters()).dtype == dtype
    assert not any(held.requires_grad for held in loaded.generator.parameters())
    assert not any(held.is_meta for held in loaded.generator.state_dict().values())
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_the_cards_own_lines_work(tmp_path, monkeypatch, capsys):
    """``reacgan.load(".")`` inside the folder, as the card says."""
    folder = hub.save(make(("it's", "dog")), tmp_path / "model")
    monkeypatch.chdir(folder)
    card = Path("README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    exec(compile(code, "card", "exec"), {})
    assert capsys.readouterr().out.splitlines()[3] == "it's 3 torch.Size([1, 8, 8])"
    hub.save(make(), ".")
    assert hub.load(folder).class_names == ("cat", "dog")


def test_a_run_folder_is_a_model(tmp_path):
    hub.save(make(), tmp_path / "run" / "model")
    assert hub.load(tmp_path / "run").class_names == ("cat", "dog")
    assert hub.load(str(tmp_path / "run" / "model")).class_names == ("cat", "dog")


def test_odd_class_names(tmp_path):
    model = make(ODD_NAMES)
    loaded = hub.load(hub.save(model, tmp_path / "m"))
    assert loaded.class_names == ODD_NAMES
    assert torch.equal(images_of(loaded), images_of(model))


def test_saving_again_replaces_the_whole(tmp_path):
    folder = hub.save(make(), tmp_path / "m")
    (folder / "old.txt").write_text("old")
    hub.save(make(("a", "b", "c"), seed=1), folder)
    assert hub.load(folder).class_names == ("a", "b", "c")
    assert not (folder / "old.txt").exists()


@pytest.mark.parametrize("fails", ["weights", "card", "first rename", "second rename"])
def test_a_save_that_fails_loses_nothing(tmp_path, monkeypatch, fails):
    old, new = make(), make(seed=1)
    folder = hub.save(old, tmp_path / "run" / "model")
    with monkeypatch.context() as patched:
        rename = Path.rename

        def fail(*given, **options):
            raise OSError("disk full")

        def renamed(path, target):
            second = path.name.startswith(".writing")
            if path.name.startswith(".old") or second is (fails == "first rename"):
                return rename(path, target)
            return fail()

        if fails == "weights":
            patched.setattr(hub.models, "write_tensors", fail)
        elif fails == "card":
            patched.setattr(hub.models, "card", fail)
        else:
            patched.setattr(Path, "rename", renamed)
        with pytest.raises(OSError, match="disk full"):
            hub.save(new, folder)
    assert folder.is_dir()
    for path in (folder, folder.parent):
        assert torch.equal(images_of(hub.load(path)), images_of(old))
    hub.save(new, folder)
    assert torch.equal(images_of(hub.load(folder)), images_of(new))
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_save_that_is_killed_between_its_renames_loses_nothing(tmp_path):
    old = make()
    folder = hub.save(old, tmp_path / "run" / "model")
    folder.rename(folder.with_name(".old-model"))
    for path in (folder, folder.parent):
        assert torch.equal(images_of(hub.load(path)), images_of(old))
    hub.save(make(seed=1), folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_nothing_else_is_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for place in ("thesis", "file"):
        with pytest.raises(ConfigError, match=f"{place}: exists and is not a model folder; choose"):
            hub.save(make(), tmp_path / place)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "x"
    (tmp_path / "empty").mkdir()
    hub.save(make(), tmp_path / "empty")


@pytest.fixture
def saved(tmp_path):
    return hub.save(make(), tmp_path / "model")


def rewrite(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    config.pop("seal", None)  # as a message tells people who change it themselves
    (folder / "config.json").write_text(json.dumps(config))


def refused(folder, message):
    with pytest.raises(ConfigError, match=message) as caught:
        hub.load(folder)
    return str(caught.value)


def test_damaged_weights(saved):
    file = saved / "model.safetensors"
    whole = file.read_bytes()
    for damaged, said in (
        (whole[:-1], r"damaged \(.* bytes, its header describes .*\)"),
        (whole[:50], r"damaged \(its header is not readable .*\)"),
        (b"", r"damaged \(its header is not readable .*\)"),
        (whole[:-4] + b"\xff\xff\xff\xff", r"checksum mismatch .*SHA-256.*"),
    ):
        file.write_bytes(damaged)
        refused(saved, rf"model.safetensors: {said}; copy the model again")
    file.unlink()
    refused(saved, r"model.safetensors: not readable.*; copy the model again")


def test_weights_that_fit_another_configuration(saved, tmp_path):
    other = hub.save(make(("a", "b", "c")), tmp_path / "other")
    digest = json.loads((other / "config.json").read_text())["sha256"]
    shutil.copy(other / "model.safetensors", saved)
    rewrite(saved, sha256=digest)
    refused(saved, r"model.safetensors: does not fit its config.json; copy")
    (saved / "model.safetensors").write_bytes(b"no safetensors")
    rewrite(saved, sha256=hub.folder.digest(saved / "model.safetensors"))
    refused(saved, r"model.safetensors: damaged \(its header is not readable .*; copy")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"experiment": 1}', "\udcff"])
def test_unreadable_configuration(saved, text):
    (saved / "config.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    refused(saved, r"config.json: not readable .*; copy the model again")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("experiment", [1]),
        ("experiment", None),
        ("class_names", 3),
        ("class_names", "ab"),
        ("class_names", []),
        ("class_names", [1, 2]),
        ("images_seen", "many"),
        ("images_seen", -1),
        ("sha256", None),
    ],
)
def test_damaged_configuration(saved, key, value):
    rewrite(saved, **{key: value})
    refused(saved, f"config.json: damaged .missing or wrong: {key}.; copy the model again")


def test_two_classes_of_one_name(saved):
    """The second one could never be asked for."""
    config = json.loads((saved / "config.json").read_text())
    rewrite(saved, class_names=config["class_names"][:1] * 2)
    with pytest.raises(ConfigError, match="class_names has '.*' more than once.*give each its own"):
        hub.load(saved)


def test_wrong_values_in_the_configuration(saved):
    held = json.loads((saved / "config.json").read_text())["experiment"]
    rewrite(saved, experiment={**held, "extra": 1})
    refused(saved, r"config.json: extra: unknown key")
    held["model"]["generator"]["name"] = "stylegan9"
    rewrite(saved, experiment=held)
    refused(saved, r"config.json: unknown generator 'stylegan9'.* Known: biggan")


def without_strength(file):
    """As files were before there was a strength of the condition."""
    tensors = {
        name: held for name, held in load_file(file).items() if "condition_strength" not in name
    }
    save_file(tensors, file)
    return hub.folder.digest(file)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_of_the_version_before_has_its_condition_in_full(tmp_path, dtype):
    model = make(dtype=dtype)
    model.generator.condition_strength.fill_(1)
    folder = hub.save(model, tmp_path / "model")
    rewrite(folder, sha256=without_strength(folder / "model.safetensors"))
    loaded = hub.load(folder)
    assert torch.equal(images_of(loaded), images_of(model))
    assert loaded.generator.condition_strength == 1
    assert loaded.generator.condition_strength.dtype == dtype
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("output.bias")
    save_file(tensors, folder / "model.safetensors")
    rewrite(folder, sha256=hub.folder.digest(folder / "model.safetensors"))
    refused(folder, "(?s)does not fit its config.json; .*output.bias")


def test_another_format(saved):
    rewrite(saved, format=2)
    message = refused(saved, "config.json: is of format 2, this version reads 1; load it with the")
    assert "version that wrote it" in message


def test_where_nothing_is(tmp_path):
    refused(tmp_path / "no", "no: no such folder; give a run's folder or a model folder")
    refused(tmp_path, "neither a run's folder nor a model folder")
    (tmp_path / "config.json").write_text("{}")  # another program's
    refused(tmp_path, "config.json: not readable")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "experiment.json").write_text("{}")
    refused(tmp_path / "run", "has not saved a generator yet; let it train longer")
    refused(tmp_path / "config.json", "neither a run's folder nor a model folder")


def test_bad_device(saved):
    with pytest.raises(ConfigError, match=r"device is 'tpu'; allowed: auto, cpu, cuda, cuda:0"):
        hub.load(saved, device="tpu")
    missing = "mps" if not torch.backends.mps.is_available() else "cuda:99"
    with pytest.raises(ConfigError, match=f"device is {missing}, which is not usable here"):
        hub.load(saved, device=missing)


def test_every_file_of_a_model_is_as_readable_as_the_others(saved):
    assert len({file.stat().st_mode for file in saved.iterdir()}) == 1
