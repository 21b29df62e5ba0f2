"""Misspelt names and names from elsewhere are refused where they are written, with what is meant."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import yaml

import reacgan
from reacgan.assembly import complete
from reacgan.config import ConfigError, load_experiment, parse_assignments
from reacgan.config.members import INNER_HEADS, OWN_MEMBERS
from reacgan.config.registry import DEFAULT_MEMBERS, options_of
from reacgan.config.synonyms import _KEYS, _NAMES, _plain
from reacgan.data import LISTERS
from reacgan.data.scan import OPTIONS_OF_FILES
from reacgan.heads import HEADS, OverHead
from reacgan.plugins import _named

DIGITS = reacgan.experiment("digits/reacgan")


@pytest.mark.parametrize("family", OWN_MEMBERS)
def test_the_known_names_are_those_of_the_tables(family):
    members = OWN_MEMBERS[family]
    assert members.names == set(_named(members.table))


@pytest.mark.parametrize(
    ("family", "name"),
    [(family, name) for family, members in OWN_MEMBERS.items() for name in members.options],
)
def test_the_known_options_are_those_of_the_constructors(family, name):
    members = OWN_MEMBERS[family]
    member = _named(members.table)[name]
    taken = {} if family == "adversarial" else options_of(member, given=members.given)
    also = set(OPTIONS_OF_FILES) if family == "dataset" and name in LISTERS else set()
    assert set(members.options[name]) == set(taken) | also


def test_the_known_inner_heads_are_those_of_the_constructors():
    own = {name: HEADS[name] for name in OWN_MEMBERS["head"].names}
    over = {name for name, head in own.items() if issubclass(head, OverHead)}
    assert {
        name: inspect.signature(HEADS[name].__init__).parameters["over"].default.name
        for name in over
    } == INNER_HEADS


MISSPELT = [
    ("model.head.temprature", "of d2dce; did you mean 'temperature'? Allowed: embedding_dim, "),
    ("model.head.lr", "of d2dce; lr is g_optimizer.lr or d_optimizer.lr. Allowed: "),
    ("augment.nme", "of identity; did you mean 'name'? Allowed: none, identity has no options."),
    ("model.generator.wdth", "of biggan; did you mean 'width'?"),
    ("model.generator.z_dim", "of biggan; z_dim is model.generator.latent_dim."),
    ("model.backbone.atention_after", "of biggan; did you mean 'attention_after'?"),
    ("data.options.sed", "of digits. Allowed: none"),
    ("penalties.r1.wieght", "of r1; did you mean 'weight'?"),
    ("consistency.zcr.radus", "of zcr; did you mean 'radius'?"),
    ("scores.metrics.prdc.nm", "of prdc; did you mean 'num'?"),
    ("scores.extractor.epochz", "of domain; did you mean 'epochs'?"),
]


def _tree(key):
    """The tree that says 1 at a dotted key, with the members that are not there by themselves."""
    tree = {
        "augment": {"name": "identity"},
        "scores": {"extractor": {"name": "domain"}},
        "data": {"name": "digits"},
        "model": {},
    }
    *parents, leaf = key.split(".")
    section = tree
    for part in parents:
        section = section.setdefault(part, {})
    section[leaf] = 1
    for name, default in DEFAULT_MEMBERS.items():
        tree["model"].setdefault(name, {}).setdefault("name", default)
    return tree


@pytest.mark.parametrize(("key", "hint"), MISSPELT)
def test_a_misspelt_option_is_refused_alike_where_it_is_written(key, hint, tmp_path, reacgan):
    said = f"{key}: unknown option {hint}"
    with pytest.raises(ConfigError) as caught:
        DIGITS.replace(**{key: 1})
    assert said in str(caught.value)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(_tree(key)))
    with pytest.raises(ConfigError) as caught:
        load_experiment(tmp_path / "mine.yaml")
    assert said in str(caught.value)
    code, _, err = reacgan("train", "digits/reacgan", "--set", f"{key}=1", "--dry-run")
    assert code == 1 and said in " ".join(err.split())


@pytest.mark.parametrize("over", [{"temprature": 1}, {"name": "contrastive", "temprature": 1}])
def test_a_misspelt_option_of_a_head_within(over):
    inner = over.get("name", "d2dce")
    with pytest.raises(
        ConfigError, match=rf"model\.head\.over\.temprature: .* of {inner}; did you"
    ):
        DIGITS.replace(**{"model.head": {"name": "twin", "over": over}})


def test_options_of_a_member_from_outside_are_checked_once_it_is_registered(monkeypatch, tmp_path):
    class Ours(HEADS["projection"]):
        def __init__(self, *, in_features, num_classes, layers, strength: float = 1.0):
            """As every head."""

    file = tmp_path / "ours.yaml"
    file.write_text("data: {name: digits}\nmodel: {head: {name: ours, strenth: 2}}\n")
    early = load_experiment(file)  # the head may be registered after this line
    assert early.replace(**{"training.batch": 8}).model.head.options == {"strenth": 2}
    monkeypatch.setitem(HEADS, "ours", Ours)
    with pytest.raises(
        ConfigError, match="strenth: unknown option of ours; did you mean 'strength'"
    ):
        load_experiment(file)
    with pytest.raises(
        ConfigError, match="strenth: unknown option of ours; did you mean 'strength'"
    ):
        DIGITS.replace(**{"model.head": {"name": "ours", "strenth": 2}})
    with pytest.raises(ConfigError, match="strenth: unknown option; did you mean 'strength'"):
        complete(early)


@pytest.mark.parametrize(
    ("key", "name", "hint"),
    [
        ("loss.adversarial", "lsgan", "did you mean 'least_squares'?"),
        ("loss.adversarial", "bce", "did you mean 'non_saturating'?"),
        ("loss.adversarial", "logistic", "did you mean 'non_saturating'?"),
        ("loss.adversarial", "WGAN-GP",
         "WGAN-GP is loss.adversarial=wasserstein penalties=gradient_penalty."),
        ("loss.adversarial", "hing", "did you mean 'hinge'?"),
        ("model.head.name", "acgan", "did you mean 'auxiliary'?"),
        ("model.head", "reacgan", "did you mean 'd2dce'?"),
        ("model.head", {"name": "twin", "over": {"name": "D2D-CE"}}, "did you mean 'd2dce'?"),
        ("model.generator.name", "biggan-deep", "did you mean 'biggan_deep'?"),
        ("model.backbone.name", "sngan",
         "sngan is model.generator.name=resnet model.backbone.name=resnet."),
        ("loss.adversarial", "adam", "every run has Adam: set lr, beta1"),
        ("augment.name", "difaug", "did you mean 'diffaug'?"),
        ("penalties", ["r1", "gp"], "did you mean 'gradient_penalty'?"),
        ("penalties.r3.weight", 1, "unknown penalties 'r3'. Known: dragan"),
        ("consistency", "icr", "icr is consistency=[bcr,zcr]."),
        ("data.name", "ImageFolder", "did you mean 'folder'?"),
        ("scores.metrics", "recall", "did you mean 'prdc'?"),
        ("scores.extractor.name", "inceptionv3", "did you mean 'inception'?"),
    ],
)  # fmt: skip
def test_a_member_that_is_not_there_is_refused_at_once(key, name, hint):
    with pytest.raises(ConfigError) as caught:
        DIGITS.replace(**{key: name})
    assert hint in str(caught.value) and "Known: " in str(caught.value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("lr", "lr is g_optimizer.lr or d_optimizer.lr."),
        ("batch_size", "batch_size is training.batch."),
        ("training.epochs", "epochs is training.images (images seen"),
        ("optimizer.lr", "optimizer is g_optimizer and d_optimizer."),
        ("training.bacth", "did you mean 'batch'?"),
        ("batch", "batch is training.batch."),
        ("g_optimizer.name", "unknown key. Allowed: beta1"),
        ("g_optimizer", "needed: a mapping of its values; adam is not chosen"),
    ],
)
def test_a_key_that_is_not_there(key, hint):
    with pytest.raises(ConfigError) as caught:
        DIGITS.replace(**{key: "adam"})
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", [name for name, here in _NAMES.items() if "=" in here])
def test_what_a_name_means_can_be_set(name):
    assert name == _plain(name)
    words = _NAMES[name].replace("start_from=RUN", "start_from=runs/other").split(" ")
    DIGITS.replace(**parse_assignments(words))


def test_keys_elsewhere_are_plain():
    assert list(_KEYS) == [_plain(key) for key in _KEYS]


def test_a_member_from_outside_is_known_once_it_is_registered(monkeypatch):
    with pytest.raises(ConfigError, match="unknown head 'ours'"):
        DIGITS.replace(**{"model.head.name": "ours"})
    monkeypatch.setitem(HEADS, "ours", HEADS["projection"])
    assert DIGITS.replace(**{"model.head.name": "ours"}).model.head.name == "ours"
    with pytest.raises(ConfigError, match="unknown head 'ors'; did you mean 'ours'"):
        DIGITS.replace(**{"model.head.name": "ors"})


def test_a_recorded_experiment_with_a_member_that_is_not_here_can_be_read_and_changed(tmp_path):
    text = DIGITS.to_json().replace('"d2dce"', '"theirs"')
    (tmp_path / "experiment.json").write_text(text)
    read = load_experiment(tmp_path / "experiment.json")
    assert read.replace(**{"training.batch": 8}).model.head.name == "theirs"


def test_an_unknown_experiment_is_refused_alike_by_both_ways():
    for look in (reacgan.EXPERIMENTS.__getitem__, reacgan.experiment):
        with pytest.raises(ConfigError, match="'digits/reacgn'; did you mean 'digits/reacgan'"):
            look("digits/reacgn")
        with pytest.raises(KeyError, match="unknown experiment 'lsgan'; there are: cifar10/lsgan"):
            look("lsgan")
    assert "lsgan" not in reacgan.EXPERIMENTS and reacgan.EXPERIMENTS.get("lsgan") is None
    assert reacgan.EXPERIMENTS["digits/reacgan"] is DIGITS


def test_on_the_command_line(reacgan, tmp_path):
    code, _, err = reacgan(
        "train", "digits/reacgan", "--set", "loss.adversarial=lsgan", "--out", tmp_path / "run"
    )
    assert code == 1 and "did you mean 'least_squares'?" in err
    assert not (tmp_path / "run").exists()


def test_names_are_checked_without_torch():
    code = """
import sys, reacgan
try:
    reacgan.experiment("digits/reacgan").replace(**{"model.head.name": "acgan"})
except reacgan.ConfigError as error:
    print(error, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "did you mean 'auxiliary'?" in done.stdout and done.stdout.endswith("False\n")
