from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import reacgan
from published_networks import PublishedDiscriminator, PublishedGenerator, used
from reacgan import hub
from reacgan.cli.convert import convert as convert_command
from reacgan.config import ConfigError, Experiment
from reacgan.hub.convert import convert_checkpoint
from reacgan.hub.convert.reading import read_published
from reacgan.models.norm_statistics import with_moving

CLASSES, LATENT = 5, 20
HEADS = {
    "PD": {"name": "projection"},
    "AC": {"name": "auxiliary"},
    "2C": {"name": "contrastive", "embedding_dim": 24},
    "D2DCE": {"name": "d2dce", "embedding_dim": 24},
    "W/O": {"name": "unconditional"},
    "MH": {"name": "multihinge"},
    "MD": {"name": "multilogit"},
}


def experiment_of(size=32, width=4, head="D2DCE", attention=(), **changes):
    loss = {"loss.adversarial": "none"} if head == "MH" else {}
    made = {"name": "biggan", "width": width, "latent_dim": LATENT, "shared_dim": 16}
    return Experiment(name="published/one").replace(
        **{
            "data.resolution": size,
            "model.generator": {**made, "attention_after": attention},
            "model.backbone": {"name": "biggan", "width": width, "attention_after": attention},
            "model.head": HEADS[head],
            "training.batch": 16,
            "training.d_steps": 5,
            **loss,
            **changes,
        }
    )


def latents():
    return torch.randn(8, LATENT), torch.randint(CLASSES, (8,))


def pair(size=32, width=4, head="D2DCE", attention=(), *, g=None, d=None):
    """Both networks of one published experiment, as after some training."""
    torch.manual_seed(size + width)
    generator = PublishedGenerator(
        size, width, CLASSES, LATENT, **{"attention": attention, **(g or {})}
    )
    judge = PublishedDiscriminator(
        size, width, CLASSES, head, **{"attention": attention, **(d or {})}
    )
    return used(generator, latents), used(judge, lambda: (pictures(size), latents()[1]))


def save_generator(network, path, **others):
    torch.save({"state_dict": network.state_dict(), **others}, path)
    return path


def optimiser_of(network):
    parameters = [value.detach().clone().requires_grad_(True) for value in network.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3)
    sum(value.square().sum() for value in parameters).backward()
    adam.step()
    return adam.state_dict()


def save_judge(network, path, **others):
    """What is published beside the weights: an optimiser, and a score that is a NumPy number."""
    held = {
        "state_dict": network.state_dict(),
        "optimizer": optimiser_of(network),
        "seed": 1,
        "run_name": "one-train-2021",
        "step": 76_000,
        "topk": "initialize",
        "ada_p": None,
        "best_step": 76_000,
        "best_fid": np.float64(7.792),
        "best_fid_ckpt": "/checkpoints/one",
        **others,
    }
    torch.save(held, path)
    return path


def both(folder, networks):
    """The files of a published folder; gives its path."""
    folder.mkdir(exist_ok=True)
    save_generator(networks[0], folder / "model=G_ema-best-weights-step=76000.pth")
    save_judge(networks[1], folder / "model=D-best-weights-step=76000.pth")
    return folder


TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


def close(ours, theirs):
    limit = TOLERANCE[theirs.dtype]
    torch.testing.assert_close(ours, theirs, rtol=limit, atol=limit)


def as_published(folder):
    """What was published, where other statistics fit the generator better."""
    return with_moving(reacgan.load(folder, device="cpu"))


def check_images(folder, generator, dtype=torch.float64):
    z, labels = latents()
    ours = as_published(folder).generator.to(dtype)
    expected = generator.to(dtype)(z.to(dtype), labels)
    assert expected.std() > 0.05
    assert expected.abs().mean() < 0.99
    close(ours(z.to(dtype), labels), expected)


def outputs_of(folder, images, labels):
    out = hub.load_discriminator(folder, device="cpu").to(images.dtype)(images, labels)
    found = {f"{'twin.' if twin else ''}{key}": value for twin, one in ((0, out), (1, out.twin))
             if one is not None for key, value in vars(one).items()}  # fmt: skip
    for role in ("", "twin."):
        if found.get(f"{role}class_vectors") is not None:
            vectors = found[f"{role}class_vectors"]
            found[f"{role}own vector"] = vectors[labels] if len(vectors) == CLASSES else None
    return found


def pictures(size):
    """Eight that differ in more than noise."""
    return torch.nn.functional.interpolate(torch.rand(8, 3, 2, 2) * 2 - 1, (size, size))


def check_judge(folder, judge, size, dtype=torch.float64):
    images, labels = pictures(size).to(dtype), latents()[1]
    theirs = judge.to(dtype)(images.clone(), labels)
    ours = outputs_of(folder, images, labels)
    for name, expected in theirs.items():
        assert expected.std(0).max() > 0.01, name
        close(ours[name], expected)


@pytest.mark.parametrize(
    ("size", "width", "head", "attention"),
    [
        (32, 4, "D2DCE", ()),
        (32, 8, "2C", (2,)),
        (32, 6, "AC", (1, 3)),
        (64, 2, "PD", ()),
        (64, 4, "D2DCE", (2,)),
        (64, 4, "AC", (2, 3)),
    ],
)
def test_outputs_are_those_of_the_published_networks(tmp_path, size, width, head, attention):
    networks = pair(size, width, head, attention)
    experiment = experiment_of(size, width, head, attention)
    out = convert_checkpoint(both(tmp_path / "files", networks), experiment, out=tmp_path / "out")
    for dtype in TOLERANCE:
        check_images(out, networks[0], dtype)
        check_judge(out, networks[1], size, dtype)


@pytest.mark.parametrize("head", ["W/O", "MH", "MD"])
def test_further_heads(tmp_path, head):
    networks = pair(head=head)
    out = convert_checkpoint(
        both(tmp_path / "f", networks), experiment_of(head=head), out=tmp_path / "o"
    )
    check_judge(out, networks[1], 32)


@pytest.mark.parametrize(("conditioning", "over"), [("AC", "auxiliary"), ("D2DCE", "d2dce")])
def test_a_twin_classifier(tmp_path, conditioning, over):
    networks = pair(head=conditioning, d={"classifier": "TAC"})
    dim = {"embedding_dim": 24} if over == "d2dce" else {}
    experiment = experiment_of(**{"model.head": {"name": "twin", "over": over, **dim}})
    out = convert_checkpoint(both(tmp_path / "f", networks), experiment, out=tmp_path / "out")
    check_judge(out, networks[1], 32)


def test_a_classifier_of_real_and_fake_classes(tmp_path):
    networks = pair(head="AC", d={"classifier": "ADC"})
    experiment = experiment_of(**{"model.head": {"name": "discriminative", "over": "auxiliary"}})
    out = convert_checkpoint(both(tmp_path / "f", networks), experiment, out=tmp_path / "out")
    check_judge(out, networks[1], 32)


def test_normalised_features_of_a_classifier(tmp_path):
    networks = pair(head="AC", d={"normalize": True})
    head = {"name": "auxiliary", "normalize_features": True}
    experiment = experiment_of(**{"model.head": head})
    out = convert_checkpoint(both(tmp_path / "f", networks), experiment, out=tmp_path / "out")
    check_judge(out, networks[1], 32)


@pytest.mark.parametrize("norm", ["spectral", "batch"])
@pytest.mark.parametrize("conditional", [True, False])
def test_the_narrower_residual_networks(tmp_path, norm, conditional):
    """Labels as one-hot rows or none; batch norm in D, whose ReLUs overwrite nothing that counts."""
    networks = pair(
        g={"shared": 0 if conditional else None, "spectral": False},
        d={"spectral": norm == "spectral", "attention": (1,)},
        width=8,
    )
    made = {"name": "resnet", "width": 8, "latent_dim": LATENT, "conditional": conditional}
    judge = {"name": "resnet", "width": 8, "norm": norm, "attention_after": (1,)}
    experiment = experiment_of(**{"model.generator": made, "model.backbone": judge})
    files = both(tmp_path / "f", networks)
    names = [f"class {number}" for number in range(CLASSES)]
    out = convert_checkpoint(files, experiment, out=tmp_path / "out", class_names=names)
    assert list(reacgan.load(out).class_names) == names
    check_images(out, networks[0])
    check_judge(out, networks[1], 32)
    if not conditional:
        with pytest.raises(ConfigError, match="does not tell its classes; give class_names"):
            convert_checkpoint(files, experiment, out=tmp_path / "other")


@pytest.mark.parametrize("spectral", [True, False])
def test_a_biggan_without_labels(tmp_path, spectral):
    """Its norms see chunks of z alone, here of 5 for 5 classes; the class embedding becomes zero."""
    networks = pair(head="W/O", g={"shared": None, "chunks": True, "spectral": spectral})
    experiment = experiment_of(head="W/O", **{"model.generator.spectral_norm": spectral})
    files = both(tmp_path / "f", networks)
    with pytest.raises(ConfigError, match="does not tell its classes; give class_names"):
        convert_checkpoint(files, experiment, out=tmp_path / "out")
    for names in (["things"], ["a", "b", "c", "d", "e"]):
        out = convert_checkpoint(files, experiment, out=tmp_path / "out", class_names=names)
        model = as_published(out)
        assert list(model.class_names) == names
        z, label = latents()[0], len(names) - 1
        made = model.generator.double()(z.double(), torch.full((8,), label))
        close(made, networks[0].double()(z.double(), None))
    check_judge(out, networks[1], 32)
    assert "model.generator.latent_dim=20 (here 40)" in refused(
        tmp_path / "other",
        files,
        experiment_of(head="W/O", **{"model.generator.latent_dim": 40}),
        class_names=["things"],
    )


def test_networks_without_spectral_norm(tmp_path):
    generator, _ = pair(g={"spectral": False})
    experiment = experiment_of(**{"model.generator.spectral_norm": False})
    file = save_generator(generator, tmp_path / "g.pth")
    check_images(convert_checkpoint(file, experiment, out=tmp_path / "out"), generator)


def test_relus_in_place_change_what_shortcuts_see(tmp_path):
    networks = pair(d={"in_place": True})
    plain = PublishedDiscriminator(32, 4, CLASSES, "D2DCE", in_place=False)
    plain.load_state_dict(networks[1].state_dict())
    plain.eval().requires_grad_(False)
    files = both(tmp_path / "f", networks)
    options = {"auto": True, True: True, False: False}
    for choice, expected in options.items():
        out = tmp_path / str(choice)
        convert_checkpoint(files, experiment_of(), out=out, in_place_relu=choice)
        options = reacgan.load(out).experiment.model.backbone.options
        assert options["preactivated_shortcut"] is expected
        right, other = (networks[1], plain) if expected else (plain, networks[1])
        check_judge(out, right, 32)
        with pytest.raises(AssertionError, match="not close"):
            check_judge(out, other, 32)
    with pytest.raises(ConfigError, match="in_place_relu is 'no'; allowed: True, False, 'auto'"):
        convert_checkpoint(files, experiment_of(), out=tmp_path / "x", in_place_relu="no")


def test_the_folder_says_where_its_weights_are_from(tmp_path):
    files = both(tmp_path / "f", pair())
    out = convert_checkpoint(files, experiment_of(), out=tmp_path / "out", class_names="abcde")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "config.json",
        "discriminator.safetensors",
        "model.safetensors",
        "moving.safetensors",
    ]
    model = as_published(out)
    assert model.class_names == tuple("abcde")
    assert model.images_seen == 76_000 * 16 * 5
    config = json.loads((out / "config.json").read_text())
    named = list(config["converted"]["files"])
    assert named == [
        "model=G_ema-best-weights-step=76000.pth",
        "model=D-best-weights-step=76000.pth",
    ]
    card = (out / "README.md").read_text()
    for digest in config["converted"]["files"].values():
        assert len(digest) == 64
        assert digest in card
    assert "trained and published by others" in card


def test_which_file_of_a_folder(tmp_path):
    average, judge = pair()
    own, _ = pair(width=4, g={"spectral": True})
    with torch.no_grad():
        own.linear0.bias.add_(0.3)
    files = both(tmp_path / "f", (average, judge))
    current = files / "model=G_ema-current-weights-step=80000.pth"
    save_generator(own, current)
    save_generator(own, files / "model=G-best-weights-step=76000.pth")
    one = convert_checkpoint(files, experiment_of(), out=tmp_path / "1")
    check_images(one, average)
    two = convert_checkpoint(files, experiment_of(), out=tmp_path / "2", use_average=False)
    check_images(two, own)
    check_judge(two, judge, 32)
    three = convert_checkpoint(current, experiment_of(), out=tmp_path / "3")
    check_images(three, own)
    assert reacgan.load(three).images_seen == 80_000 * 16 * 5
    with pytest.raises(ConfigError, match="holds the generator alone"):
        hub.load_discriminator(three)
    (files / "model=G_ema-best-weights-step=76000.pth").rename(tmp_path / "g.pth")
    other = "model=D-best-weights-step=76000.pth"
    (files / other).rename(tmp_path / other)
    four = convert_checkpoint(
        tmp_path / "g.pth", experiment_of(), out=tmp_path / "4", discriminator=tmp_path / other
    )
    check_images(four, average)
    check_judge(four, judge, 32)
    check_images(convert_checkpoint(files, experiment_of(), out=tmp_path / "5"), own)
    current.unlink()
    with pytest.raises(ConfigError, match="no model=G_ema-best.* it holds model=G-.*use_average="):
        convert_checkpoint(files, experiment_of(), out=tmp_path / "6")
    save_generator(own, files / "model=G-best-weights-step=9.pth")
    with pytest.raises(ConfigError, match=r"step=76000.pth, .*step=9.pth; give one of these"):
        convert_checkpoint(files, experiment_of(), out=tmp_path / "6", use_average=False)
    for missing in (tmp_path / "none.pth", tmp_path / "f" / "x"):
        with pytest.raises(ConfigError, match="no such file or folder; needed"):
            convert_checkpoint(missing, experiment_of(), out=tmp_path / "6")
    with pytest.raises(ConfigError, match="nothing.pth: no such file; needed"):
        convert_checkpoint(one.parent / "g.pth", experiment_of(), out=tmp_path / "6",
                           discriminator="nothing.pth")  # fmt: skip
    assert not (tmp_path / "6").exists()


def test_names_of_parallel_training_and_halves(tmp_path):
    generator, judge = pair()
    held = {"module." + name: value for name, value in generator.state_dict().items()}
    torch.save(held, tmp_path / "bare.pth")  # names and tensors, without more around them
    both_times = nn.DataParallel(nn.DataParallel(judge))
    save_judge(both_times, tmp_path / "d.pth")
    out = convert_checkpoint(
        tmp_path / "bare.pth",
        experiment_of(),
        out=tmp_path / "out",
        discriminator=tmp_path / "d.pth",
    )
    check_images(out, generator)
    check_judge(out, judge, 32)
    assert reacgan.load(out).images_seen == 76_000 * 16 * 5  # D's file tells the step
    halves = {name: value.half() if value.is_floating_point() else value
              for name, value in generator.state_dict().items()}  # fmt: skip
    torch.save({"state_dict": halves}, tmp_path / "h.pth")
    loaded = as_published(convert_checkpoint(tmp_path / "h.pth", experiment_of(), out=out))
    kinds = {value.dtype for value in load_file(out / "model.safetensors").values()}
    assert kinds == {torch.float32}
    assert loaded.images_seen == 0


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("kind", ["torch", "legacy", "pickle", "beside"])
def test_code_is_refused_and_does_not_run(tmp_path, kind):
    file, trap = tmp_path / "evil.pth", tmp_path / "trap"
    weights = pair()[0].state_dict()
    held = {"state_dict": {**weights, "bad": Hostile(trap)}}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(held, protocol=2))
    elif kind == "beside":
        torch.save({"state_dict": weights, "optimizer": Hostile(trap)}, file)
    else:
        torch.save(held, file, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(ConfigError, match=r"evil.pth: holds code .*, so it is refused; needed"):
        convert_checkpoint(file, experiment_of(), out=tmp_path / "out")
    assert not trap.exists()
    assert not (tmp_path / "out").exists()
    if kind != "pickle":  # the trap is a real one
        torch.load(file, weights_only=False)
        assert trap.exists()


def test_code_in_another_protocol_does_not_run_either(tmp_path):
    for protocol in (4, 5):
        held = pickle.dumps({"state_dict": Hostile(tmp_path / "trap")}, protocol=protocol)
        (tmp_path / "evil.pth").write_bytes(held)
        with pytest.raises(
            ConfigError, match="evil.pth: damaged or no checkpoint .*download it again"
        ):
            read_published(tmp_path / "evil.pth")
        assert not (tmp_path / "trap").exists()


def test_other_objects_are_refused(tmp_path):
    for name, held in {"module": pair()[0], "array": {"state_dict": np.ones(3)}}.items():
        torch.save(held, tmp_path / f"{name}.pth")
        with pytest.raises(ConfigError, match="holds code .*save its 'state_dict' alone"):
            read_published(tmp_path / f"{name}.pth")
    script = torch.jit.script(nn.Linear(2, 2))
    torch.jit.save(script, tmp_path / "script.pth")
    with pytest.raises(ConfigError, match="script.pth: holds code .a TorchScript program"):
        read_published(tmp_path / "script.pth")


def test_damaged_files(tmp_path):
    whole = save_generator(pair()[0], tmp_path / "whole.pth").read_bytes()
    file = tmp_path / "torn.pth"
    for damaged in (whole[: len(whole) // 2], whole[:-30], whole[:10], b"", b"not a checkpoint"):
        file.write_bytes(damaged)
        with pytest.raises(
            ConfigError, match="torn.pth: damaged or no checkpoint .*; download it again"
        ):
            read_published(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(ConfigError, match="torn.pth: damaged or no checkpoint"):
        read_published(file)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([1, 2], "holds something else .list"),
        ({"state_dict": [torch.ones(1)]}, "holds no names and tensors below 'state_dict' .list"),
        ({"state_dict": {}}, "holds no names and tensors"),
        ({"state_dict": {1: torch.ones(1)}}, "holds no names and tensors"),
        ({"step": 3}, "'step' is no tensor"),
    ],
)
def test_files_without_weights(tmp_path, held, message):
    torch.save(held, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=f"{message}.*needed: a published checkpoint"):
        read_published(tmp_path / "x.pth")


def refused(tmp_path, networks, experiment=None, **options):
    with pytest.raises(ConfigError) as caught:
        files = networks if isinstance(networks, Path) else both(tmp_path / "f", networks)
        convert_checkpoint(files, experiment or experiment_of(), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def test_a_checkpoint_of_another_width(tmp_path):
    said = refused(tmp_path, pair(width=8, head="2C", attention=(1, 3)))
    first, second, advice = said.splitlines()
    assert "model=G_ema-best-weights-step=76000.pth: not the experiment's generator" in first
    assert "wrong: linear0.weight_orig [512, 5] (needed [256, 5]), linear0.bias [512]" in first
    assert "unknown: blocks.1.0.sigma" in first
    assert "more" in first
    assert "not the experiment's discriminator" in second
    assert advice == (
        "Its shapes say: model.generator.attention_after=[1, 3] (here []), model.generator.width=8 "
        "(here 4), model.backbone.attention_after=[1, 3] (here []), model.backbone.width=8 (here 4); "
        "change the experiment, or take another"
    )


def test_advice(tmp_path):
    generator = PublishedGenerator(32, 4, CLASSES, 40, shared=8, spectral=False)
    judge = PublishedDiscriminator(32, 4, CLASSES, "2C", embedding=12, spectral=False)
    said = refused(tmp_path, (generator, judge))
    for expected in (
        "model.generator.latent_dim=40 (here 20)",
        "model.generator.shared_dim=8 (here 16)",
        "model.generator.spectral_norm=false (here true)",
        "model.head.embedding_dim=12 (here 24)",
        "model.backbone.name=resnet, model.backbone.norm=batch",
    ):
        assert expected in said


def test_the_resolution_and_the_head_are_the_experiments(tmp_path):
    assert "missing: linear0.bias" not in refused(tmp_path, pair(64, 4))
    said = refused(tmp_path, pair(head="PD"), experiment_of(head="AC"))
    assert "missing: linear2.weight_orig, linear2.weight_u, linear2.weight_v;" in said
    assert "unknown: embedding.weight_orig, embedding.weight_u, embedding.weight_v" in said
    assert "Take the experiment with the same resolution, networks" in said


def test_every_tensor_is_accounted_for(tmp_path):
    networks = pair()
    whole = networks[0].state_dict()
    changes = {
        "unknown: extra.weight": {"extra.weight": torch.ones(2)},
        "missing: bn4.bias": {"bn4.bias": None},
        "missing: blocks.2.0.bn2.gain.weight_u": {"blocks.2.0.bn2.gain.weight_u": None},
        r"wrong: bn4.bias (torch.int64, needed floating point)": {
            "bn4.bias": torch.ones(16).long()
        },
        "wrong: conv2d5.bias (NaN or infinity)": {"conv2d5.bias": torch.tensor([0, 0, torch.inf])},
        "wrong: conv2d5.weight_orig (NaN or infinity)": {
            "conv2d5.weight_orig": whole["conv2d5.weight_orig"].double() * 1e300
        },
        "wrong: bn4.weight [5] (needed [16])": {"bn4.weight": torch.ones(5)},
        "unknown: blocks.9.0.bn1.bn.num_batches_tracked": {
            "blocks.9.0.bn1.bn.num_batches_tracked": torch.tensor(1)
        },
    }
    for number, (said, change) in enumerate(changes.items()):
        held = {**whole, **change}
        held = {name: value for name, value in held.items() if value is not None}
        file = tmp_path / f"{number}.pth"
        torch.save({"state_dict": held}, file)
        text = refused(tmp_path, file)
        assert f"not the experiment's generator. {said}\n" in text


def test_layers_that_never_ran_can_be_named(tmp_path):
    networks = pair()
    networks[1].unused1 = nn.Linear(24, 6)
    networks[1].unused2 = nn.Linear(6, 24)
    said = refused(tmp_path, networks)
    assert "unknown: unused1.weight, unused1.bias, unused2.weight, unused2.bias" in said
    out = convert_checkpoint(
        tmp_path / "f", experiment_of(), out=tmp_path / "out", unused=["unused1.", "unused2."]
    )
    check_judge(out, networks[1], 32)
    config = json.loads((out / "config.json").read_text())
    assert config["converted"]["unused"] == ["unused1.", "unused2."]


def test_members_without_published_names(tmp_path):
    networks = pair()
    for key, value in {
        "model.generator": {"name": "stylegan2"},
        "model.backbone": {"name": "dcgan"},
        "model.head": {"name": "mapped_projection"},
    }.items():
        said = refused(tmp_path, networks, experiment_of(**{key: value}))
        assert said.startswith(f"{key} is {value['name']}, for which no published names are known")


def test_class_names_are_as_many_as_classes(tmp_path):
    said = refused(tmp_path, pair(), class_names=["a", "b"])
    assert "class_names are 2, but" in said
    assert "a generator of 5 classes" in said


def test_nothing_else_is_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("x")
    files = both(tmp_path / "f", pair())
    with pytest.raises(ConfigError, match="exists and is not a model folder"):
        convert_checkpoint(files, experiment_of(), out=tmp_path / "thesis")


def test_reading_changes_no_setting_and_draws_nothing(tmp_path):
    files = both(tmp_path / "f", pair())
    random = torch.random.get_rng_state()
    allowed = set(torch.serialization.get_safe_globals())  # a list whose order torch does not keep
    convert_checkpoint(files, experiment_of(), out=tmp_path / "out")
    assert torch.equal(random, torch.random.get_rng_state())
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_the_command(tmp_path, capsys):
    files = both(tmp_path / "f", pair())
    (tmp_path / "e.json").write_text(experiment_of(width=8).to_json())
    (tmp_path / "names.txt").write_text("a\nb, c\nd\ne\nf\n")
    code = convert_command(
        files,
        experiment=str(tmp_path / "e.json"),
        out=tmp_path / "out",
        class_names=str(tmp_path / "names.txt"),
        set_=("model.generator.width=4", "model.backbone.width=4"),
    )
    assert code == 0
    assert (
        f"{tmp_path / 'out'}: generator and discriminator of 5 classes" in capsys.readouterr().out
    )
    assert reacgan.load(tmp_path / "out").class_names == ("a", "b, c", "d", "e", "f")
    convert_command(
        next(files.glob("model=G*")),
        experiment=str(tmp_path / "e.json"),
        out=tmp_path / "out",
        class_names="v,w,x,y,z",
        set_=("model.generator.width=4",),
    )
    assert reacgan.load(tmp_path / "out").class_names == tuple("vwxyz")
    assert "generator of 5 classes" in capsys.readouterr().out


def test_the_layout_has_the_published_numbers_of_parameters():
    """As printed in the published logs of ReACGAN on CIFAR-10 and Tiny-ImageNet."""
    with torch.device("meta"):
        for given, expected in {(32, 96, 10, 80, 2, 512): (9_416_196, 2_517_186),
                                (64, 80, 200, 100, 3, 768): (17_335_204, 31_678_130)}.items():  # fmt: skip
            size, width, classes, latent, place, dim = given
            made = PublishedGenerator(size, width, classes, latent, shared=128, attention=(place,))
            judge = PublishedDiscriminator(
                size, width, classes, "D2DCE", embedding=dim, attention=(1,)
            )
            for network, count in zip((made, judge), expected, strict=True):
                assert sum(value.numel() for value in network.parameters()) == count
