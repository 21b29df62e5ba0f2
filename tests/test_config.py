from __future__ import annotations

import copy
import json
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from reacgan.config import (
    ConfigError,
    Experiment,
    check_options,
    component,
    load_experiment,
    lookup,
    parse_assignments,
    parse_experiment,
    suggest,
)
from reacgan.experiments import EXPERIMENTS, experiment


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_round_trip(name, tmp_path):
    original = EXPERIMENTS[name]
    for suffix in ("json", "yaml"):  # JSON is YAML
        file = tmp_path / f"one.{suffix}"
        file.write_text(original.to_json(), encoding="utf-8")
        assert load_experiment(file) == original
    assert original.name == name


def test_yaml_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "data: {name: digits, resolution: 8, channels: 1}\n"
        "model:\n  head: {name: auxiliary, temperature: 5e-1}\n"
        "g_optimizer: {lr: 2e-4}\ntraining: {images: 1_000_000}\n"
    )
    held = load_experiment(file)
    assert held.name == "mine"
    assert held.g_optimizer.lr == 2e-4
    assert held.training.images == 1_000_000
    assert held.model.head.options == {"temperature": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {btch: 3}", r"training.btch: unknown key; did you mean 'batch'\? Allowed: "),
        ("trainin: {batch: 3}", "trainin: unknown key; did you mean 'training'"),
        ("zzz: 1", r"zzz: unknown key\. Allowed: apa, augment, consistency, d_optimizer"),
        ("training: 3", "training: Input should be a valid dictionary"),
        ("training: {batch: 0}", "training.batch: Input should be greater than 0 .got 0"),
        ("data: {resolution: 50}", "resolution is 50 x 50; .* multiple of 8, such as 48 or 56"),
        ("data: {resolution: 7}", "data.resolution: is 7; allowed: a side, or .*, of 8 to 1024"),
        (
            "data: {resolution: [8]}",
            r"data.resolution: is \[8\]; allowed: a side, or .height, width",
        ),
        ("penalties: [{name: r1}]", "penalties: is .*; needed: names, .* or a mapping of names"),
        ("penalties: 3", "penalties: is 3; needed: names, .* or a mapping of names"),
        (
            "loss: {top_k: {gama: 1}}",
            r"top_k.gama: unknown key; did you mean 'gamma'\? Allowed: every",
        ),
        ("g_optimizer: {decay_from: 3}", "decay_from and decay_to go together"),
        ("g_optimizer: {decay_from: 3, decay_to: 3}", "must lie after decay_from"),
        ("g_optimizer: {lr: .inf}", "g_optimizer.lr: Input should be a finite number"),
        ("g_optimizer: {lr: .nan}", "g_optimizer.lr: Input should be"),
        ("training: {images: 10, batch: 8, d_steps: 2}", "raise it to 16 or more"),
        ("model: {head: 3}", "model.head: Input should be a valid dictionary"),
        ("model: {head: {temperature: 1}}", "model.head.name: Field required"),
        ("1: 2", "Keys should be strings"),
        ("- 1", "holds list, needed: a mapping"),
        ("", "holds NoneType, needed: a mapping"),
        ("a: [", "not readable as YAML or JSON"),
        ("!!python/object/apply:os.system [echo]", "not readable as YAML or JSON"),
    ],
)
def test_bad_files_say_what_is_wrong(text, message, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_experiment(file)


def test_files_that_are_no_text_or_not_there(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("bytes.yaml", "missing.yaml", "."):
        with pytest.raises(ConfigError, match=r"not readable|no such file"):
            load_experiment(tmp_path / name)


def test_every_mistake_has_its_line():
    with pytest.raises(ConfigError) as caught:
        parse_experiment({"name": "x", "training": {"batch": -1, "sed": 1}, "extra": 0})
    assert len(str(caught.value).splitlines()) == 3


def test_overrides():
    changed = experiment("cifar10/reacgan").replace(
        **{"training.batch": 32, "model.head.margin": 0.9, "name": "mine"}
    )
    assert changed.training.batch == 32
    assert changed.model.head.options["margin"] == 0.9
    assert changed.model.head.options["temperature"] == 0.5
    assert changed.name == "mine"
    assert experiment("cifar10/reacgan").training.batch == 128


@pytest.mark.parametrize(
    ("part", "old", "other", "new"),
    [
        ("model.generator", "shared_dim", "resnet", "conditional"),
        ("model.backbone", "width", "resnet", "norm"),
        ("model.head", "margin", "mapped_projection", "width"),
        ("augment", "cutout", "ada", "target"),
    ],
)
def test_another_member_drops_the_old_options(part, old, other, new):
    """The order of the changes does not matter: names come first."""
    before = EXPERIMENTS["cifar10/reacgan-diffaug"].replace(**{f"{part}.{old}": 1})
    after = before.replace(**{f"{part}.{new}": 2, f"{part}.name": other})
    held = after
    for step in part.split("."):
        held = getattr(held, step)
    assert (held.name, held.options) == (other, {new: 2})
    if part == "model.head":
        assert before.replace(**{"model.head.name": before.model.head.name}) == before


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("whole", "value"), [("penalties", "r1"), ("penalties", ["r1"]), ("penalties", {"r1": {}})]
)
def test_sections_change_before_their_parts(whole, value, turned):
    changes = {whole: value, "penalties.r1.weight": 5}
    changes = dict(reversed(changes.items())) if turned else changes
    given_first = copy.deepcopy(changes)
    assert Experiment(name="x").replace(**changes).penalties == {"r1": {"weight": 5}}
    assert changes == given_first


def test_no_terms_may_be_written_as_nothing():
    held = Experiment(name="x").replace(penalties="r1")
    assert held.penalties and not held.replace(penalties=None).penalties


def test_another_data_set_keeps_the_rest_of_its_section():
    held = EXPERIMENTS["digits/reacgan"].replace(**{"data.name": "folder"})
    assert (held.data.name, held.data.resolution) == ("folder", 8)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("trainin.batch", "trainin: unknown section; did you mean 'training'"),
        ("training.btch", "training.btch: unknown key; did you mean 'batch'"),
        ("training.batch.x", "training.batch is a value, which has no parts"),
        ("model.hed.name", "model.hed: unknown section; did you mean 'head'"),
        ("training..batch", "unknown section"),
        ("", ": unknown key"),
        ("training.", "training.: unknown key"),
    ],
)
def test_bad_overrides(key, message):
    with pytest.raises(ConfigError, match=message):
        EXPERIMENTS["digits/reacgan"].replace(**{key: 3})


def test_assignments():
    parsed = parse_assignments(
        ["training.batch=32", "a.b=2e-4", "c=[1, 2]", "d=null", "e=x=y", "f=", "g=true"]
    )
    assert parsed == {
        "training.batch": 32,
        "a.b": 2e-4,
        "c": [1, 2],
        "d": None,
        "e": "x=y",
        "f": None,
        "g": True,
    }
    assert (
        EXPERIMENTS["digits/reacgan"].replace(**{"g_optimizer.lr": "2e-4"}).g_optimizer.lr == 2e-4
    )
    for text in ("training.batch", "=3", " =3", "a=["):
        with pytest.raises(ConfigError, match="--set"):
            parse_assignments([text])


def test_experiments_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        EXPERIMENTS["digits/reacgan"].training.batch = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        EXPERIMENTS["digits/reacgan"].model.head.margin = 3  # type: ignore[attr-defined]


def test_components_are_equal_by_what_they_say():
    assert component("a", places=(1, 2)) == component("a", places=[1, 2])
    assert component("a", width=1) != component("a", width=2)
    assert component("a", width=1).options == {"width": 1}


def test_lookup_and_suggest():
    assert lookup("head", {"a": 1}, "a") == 1
    with pytest.raises(ConfigError, match=r"unknown head 'd2dc'; did you mean 'd2dce'\? Known: d2"):
        lookup("head", {"d2dce": 1, "x": 2}, "d2dc")
    with pytest.raises(ConfigError, match=r"unknown head 'zzz'\. Known: d2dce, x\."):
        lookup("head", {"x": 2, "d2dce": 1}, "zzz")
    assert suggest("ab", ["abc"]) == "; did you mean 'abc'?"
    assert suggest("ab", []) == "."


class Member:
    def __init__(
        self,
        positional: int = 0,
        *,
        given: int,
        share: Annotated[float, Field(ge=0, le=1)],
        places: tuple[int, ...] = (1,),
        length: float = 1.0,
    ) -> None:
        """Nothing."""


def test_options_are_checked_against_the_constructor():
    options = check_options(Member, {"share": "5e-1", "places": [3]}, where="x", given=["given"])
    assert options == {"share": 0.5, "places": (3,), "length": 1.0}
    assert check_options(Member, {"share": 1}, where="x", given=["given"])["places"] == (1,)
    for bad, message in (
        ({}, "x.share: Field required"),
        ({"share": 2}, "x.share: Input should be less than or equal to 1 .got 2"),
        ({"share": float("nan")}, "x.share: Input should be"),
        ({"share": 1, "length": float("inf")}, "x.length: Input should be a finite number"),
        ({"share": 1, "shar": 1}, r"x.shar: unknown option; did you mean 'share'\? Allowed: le"),
        ({"share": 1, "given": 1}, r"x.given: unknown option\. Allowed: length, places, share"),
        ({"share": 1, "positional": 1}, "x.positional: unknown option"),
        ({"share": 1, "places": "1"}, "x.places: Input should be a valid tuple"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_options(Member, bad, where="x", given=["given"])


@given(
    batch=st.integers(1, 512),
    steps=st.integers(1, 8),
    rate=st.floats(1e-9, 1e3),
    resolution=st.sampled_from([8, 16, 32, 64, 128, 256]),
)
def test_any_valid_experiment_survives_json(batch, steps, rate, resolution):
    held = Experiment(name="x").replace(
        **{
            "training.batch": batch,
            "training.d_steps": steps,
            "g_optimizer.lr": rate,
            "data.resolution": resolution,
        }
    )
    assert parse_experiment(json.loads(held.to_json())) == held
    assert held.cycle_images == batch * steps


def test_numbers_in_scientific_notation_on_the_command_line():
    changes = parse_assignments(["training.images=1e6", "g_optimizer.lr=2E-4", "name=1e"])
    assert changes == {"training.images": 1e6, "g_optimizer.lr": 2e-4, "name": "1e"}
    found = experiment("digits/reacgan").replace(**changes)
    assert found.training.images == 1_000_000
