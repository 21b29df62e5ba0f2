"""Every kind of experiment trains at toy size; every name, and at full size, among the slow tests."""

from __future__ import annotations

from typing import Any

import pytest

from reacgan.assembly import complete
from reacgan.config import Experiment
from reacgan.experiments import EXPERIMENTS
from reacgan.experiments.methods import METHODS
from reacgan.experiments.published import PROTOCOLS, PUBLISHED, published_for
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from toy import pictures, toy

CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100, "tiny_imagenet": 200, "cub200": 200}
CLASSES |= {"imagenet": 1000, "afhq": 3}


def two_cycles(experiment: Experiment, classes: int, count: int = 24) -> dict[str, float]:
    settings = complete(experiment)
    engine = Engine("cpu")
    data = pictures(settings, count, classes)
    trainer = Trainer(settings, TrainState.build(settings, classes, engine), data, engine)
    journal = Journal(None, 0)
    for _ in range(2):
        trainer.cycle(journal)
    assert not trainer.state.non_finite()
    return journal.read(trainer.state.images_seen)


def small(name: str) -> Experiment:
    published = EXPERIMENTS[name]
    return toy(published, 8 if published.data.name == "digits" else 16)


def kind(value: Any) -> Any:
    """What decides which code runs: members, terms and switches; of a fraction whether it is 0."""
    if isinstance(value, dict):
        return tuple((key, kind(inner)) for key, inner in sorted(value.items()))
    return bool(value) if isinstance(value, float) else str(value)


def kinds() -> dict[str, bool]:
    """Names of experiments, and whether each is the first that at toy size runs its code."""
    seen: set[Any] = set()
    first = {}
    for name in EXPERIMENTS:
        settings = small(name).model_dump(exclude={"name": True, "data": {"name", "path"}})
        first[name] = kind(settings) not in seen
        seen.add(kind(settings))
    return first


def test_kinds_differ_in_members_and_not_in_numbers():
    first = kinds()
    assert 60 < sum(first.values()) < len(first)
    assert first["cifar10/reacgan"] and not first["cifar100/reacgan"]
    assert {EXPERIMENTS[name].model.head.name for name in first if first[name]} == {
        experiment.model.head.name for experiment in EXPERIMENTS.values()
    }


@pytest.mark.parametrize(
    "name",
    [
        # Another set of images, or other numbers, with the same code.
        pytest.param(name, marks=() if is_first else pytest.mark.slow)
        for name, is_first in kinds().items()
    ],
)
def test_two_cycles_at_toy_size(name):
    published = EXPERIMENTS[name]
    found = two_cycles(small(name), 3)
    expected = {"d/adversarial", "d/conditioning", "g/adversarial", "g/conditioning"}
    # Each term shows in D's loss or in G's, whichever it belongs to.
    for term in (*published.penalties, *published.consistency):
        if term != "weight_clipping":
            assert {f"d/{term}", f"g/{term}"} & set(found), term
    assert expected <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_two_cycles_at_full_size_and_batch_2(name):
    published = EXPERIMENTS[name]
    parts = min(published.training.accumulate, 2)
    two_images = published.replace(
        **{
            "training.batch": 2 * parts,
            "training.d_steps": 1,
            "training.accumulate": parts,
            "training.images": 4 * parts,
            "ema.start": 0,
        }
    )
    two_cycles(two_images, CLASSES[published.data.name], 1000)


def test_scores_belong_to_experiments_and_protocols():
    for held in PUBLISHED:
        assert held.experiment in EXPERIMENTS
        assert held.protocol in PROTOCOLS
    names = [(held.experiment, held.protocol) for held in PUBLISHED]
    assert len(names) == len(set(names))
    assert published_for("cifar10/reacgan")[0].fid == 7.792
    assert published_for("digits/reacgan") == ()
    # Scores of either family of CIFAR-10 runs stand in different columns.
    assert {held.protocol for held in PUBLISHED if "stylegan2" in held.experiment} == {"train"}


def test_methods_name_experiments_that_are_what_they_say():
    assert [held.experiment for held in METHODS if held.experiment not in EXPERIMENTS] == []
    titles = [held.title for held in METHODS]
    assert len(titles) == len(set(titles))
    for held in METHODS:
        experiment = EXPERIMENTS[held.experiment]
        assert ("D2D-CE" in held.d_minimises) == (experiment.model.head.name == "d2dce")
        assert ("R1" in held.d_minimises) <= ("r1" in experiment.penalties), held.title
