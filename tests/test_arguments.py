"""Wrong arguments of the public functions: the error names the argument, the value and what is allowed."""

from __future__ import annotations

import pytest
import torch

import reacgan as package
from reacgan import sampling
from reacgan.config import ConfigError
from reacgan.evaluation import evaluate

DIGITS = package.experiment("digits/reacgan")
COUNTS = ("3", 1.5, True, 0, -2, [4])
OPTIONAL_COUNTS = (*COUNTS, object())
SEEDS = ("3", 1.5, True, -1)
SETTINGS = {
    "seed": SEEDS,
    "truncation": ("x", 0, -1, True, float("nan")),
    "psi": ("x", 2, -0.1, True),
    "statistics": ("mean", 3, True),
    "precision": ("half", 16, torch.float32),
    "langevin": (2, "2", True),
    "moves": ("7:0.25", 3),
    "settings": ({"seed": 3}, 3),
}
CLASSES = ([object()], 1.5, True, [None], 10, -1, "cat", "", [], "3,,7", ",", ["3", 2.5])


@pytest.fixture(scope="module")
def model():
    return package.load("digits-reacgan")


def _sampled(model, folder):
    return lambda **wrong: package.sample(model, **{"classes": "3", **wrong})


def _called(model, folder):
    return lambda **wrong: model(**{"classes": "3", **wrong})


def _method(model, folder):
    return lambda **wrong: model.sample(**{"classes": "3", **wrong})


def _walked(model, folder):
    axis = torch.ones(model.latent_dim)
    return lambda **wrong: sampling.walk(model, wrong.pop("direction", axis), **wrong)


def _interpolated(model, folder):
    return lambda **wrong: sampling.interpolate(model, **{"classes": (3, 7), **wrong})


def _generated(model, folder):
    return lambda **wrong: package.generate_dataset(model, folder / "set", **wrong)


def _exported(model, folder):
    return lambda **wrong: package.export(model, out=folder / "x.safetensors", **wrong)


def _evaluated(model, folder):
    batches = [torch.zeros(4, 1, 8, 8, dtype=torch.uint8)]
    return lambda **wrong: evaluate(batches, folder / "nothing here", **wrong)


def _trained(model, folder):
    missing = DIGITS.replace(**{"data.name": "folder", "data.path": str(folder / "nothing here")})
    return lambda **wrong: package.train(
        wrong.pop("experiment", missing), wrong.pop("out", folder / "run"), **wrong
    )


def _loaded(model, folder):
    return lambda **wrong: package.load(wrong.pop("path", "digits-reacgan"), **wrong)


DEVICE = ("gpu", 0, "cuda:x", "cuda:99", True)
WALKED = {key: SETTINGS[key] for key in ("truncation", "psi", "statistics", "settings")}
ENTRIES = {
    _sampled: {"num": COUNTS, "classes": CLASSES, **SETTINGS},
    _called: {"num": COUNTS, "classes": CLASSES, **SETTINGS},
    _method: {"num": COUNTS, "classes": CLASSES, **SETTINGS},
    _walked: {
        "steps": (1, "7", 2.5, True), "span": (-1, "3", True, float("inf")), "classes": CLASSES,
        "direction": ("1", 1, torch.ones(2)), "seed": SEEDS, **WALKED,
    },
    _interpolated: {
        "steps": (1, "7", 2.5, True), "seeds": (0, (0, "1"), (0, -1), (1, 2, 3), "01"),
        "classes": ("3", 3, (3,), (3, "cat"), (3, object())), **WALKED,
    },
    _generated: {
        "num": OPTIONAL_COUNTS, "total": OPTIONAL_COUNTS, "shard": OPTIONAL_COUNTS,
        "classes": CLASSES, "to": ("tar", 3), "order": ("random", 1),
        "distribution": ("cat=1", "even", {"3": -1}), **SETTINGS,
    },
    _exported: {
        "to": ("tflite", 3), "output": ("int8", 8), "half": ("no", 1), "psi": (0.7, "no"),
        "latents": ("3", -1, True, 1.5), "overwrite": ("no", 0), "statistics": ("mean", 3),
        "opset": (3, "18", True),
    },
    _evaluated: {
        "num": OPTIONAL_COUNTS, "device": DEVICE, "metrics": ("fd", 3, {"prdc": {"kk": 3}}),
    },
    _trained: {
        "minutes": ("3", 0, -1, True, float("nan"), float("inf")), "device": DEVICE,
        "data": ("photos/", 3), "log": ("tensorbord", 3), "experiment": ("digits/reacgan", None),
        "out": (None, 3),
    },
    _loaded: {"path": (None, 3, "digits-recgan"), "device": DEVICE},
}  # fmt: skip
CASES = [
    pytest.param(entry, name, value, id=f"{entry.__name__[1:]}-{name}-{str(value)[:16]}")
    for entry, wrong in ENTRIES.items()
    for name, values in wrong.items()
    for value in values
]


@pytest.mark.parametrize(("entry", "name", "value"), CASES)
def test_a_wrong_argument_is_named(model, tmp_path, entry, name, value):
    with pytest.raises(ConfigError) as caught:
        entry(model, tmp_path)(**{name: value})
    said = str(caught.value)
    words = ("allowed", "needed", "Known", "known", "usable here", "give", "choose")
    assert any(word in said for word in words), said
    given = value[-1] if isinstance(value, list | tuple) and len(value) == 2 else value
    named = {"classes": "class", "distribution": "", "out": "", "path": "", "to": ""}
    assert named.get(name, name) in said or str(given) in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("num", [torch.tensor(2).numpy()[()], 2])
def test_numbers_of_numpy_are_numbers(model, num):
    assert len(package.sample(model, "3,", num=num)) == 2
