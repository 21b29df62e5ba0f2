"""What the definitions of suites share: rows of methods on a data set at each scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reacgan.config import Experiment
from reacgan.experiments import experiment
from reacgan.experiments.glyphs import glyphs
from reacgan.suites.base import Scale, Trial
from reacgan.suites.scales import CPU_IMAGES, scaled, toy
from reacgan.suites.work import Run

TOY_SCORING: dict[str, Any] = {
    "metrics": "fid, prdc",
    "num": 256,
    "extractor_options": {"epochs": 1},
}
CPU_SCORING: dict[str, Any] = {"metrics": "fid, prdc, ifid, accuracy"}
FULL_SCORING: dict[str, Any] = {"metrics": "fid, is, f_beta, prdc", "protocol": "paper"}
"""By the protocol of the paper: needs the weights of Inception."""
_CPU_COUNTS: dict[str, dict[str, Any]] = {"cifar10": {"num": 5_000}}
GLYPH_IMAGES = 64_000
GLYPH_CLASSES = 100

TITLES = {
    "sngan": "SNGAN",
    "biggan": "BigGAN",
    "contragan": "ContraGAN",
    "acgan": "ACGAN",
    "reacgan": "ReACGAN",
}
MAIN = tuple(TITLES)
DATA_TITLES = {
    "cifar10": "CIFAR10",
    "tiny_imagenet": "Tiny-ImageNet",
    "cub200": "CUB200",
    "imagenet": "ImageNet",
    "afhq": "AFHQ",
}


def run_of(held: Experiment, scale: Scale, **scoring: Any) -> Run:
    """Train and score as the scale has it; ``scoring`` wins."""
    base = {"toy": TOY_SCORING, "cpu": CPU_SCORING, "full": FULL_SCORING}[scale]
    return Run(held, **{**base, **scoring})


def trial_of(held: Experiment, row: str, scale: Scale, **more: Any) -> Trial:
    """A run as a trial named as its experiment is."""
    scoring = more.pop("scoring", {})
    return Trial(held.name, row, run_of(held, scale, **scoring), **more)


def published_rows(
    names: Mapping[str, str], scale: Scale, *, cpu: Sequence[str] = (), **scoring: Any
) -> tuple[Trial, ...]:
    """Trials of named experiments, ``{"cifar10/reacgan": "ReACGAN"}``, by data set.

    ``scoring`` is of full scale. On a CPU those whose data set is in ``cpu``; the others have no size
    that two cores can train.
    """
    found = []
    for name, row in names.items():
        data = experiment(name).data.name
        if scale == "cpu" and data not in (cpu or CPU_IMAGES):
            continue
        column = DATA_TITLES.get(data, data)
        held = scaled(name, scale)
        own = {"toy": {}, "cpu": _CPU_COUNTS.get(data, {}), "full": {**_of_full(name), **scoring}}[
            scale
        ]
        found.append(trial_of(held, row, scale, column=column, published=name, scoring=own))
    return tuple(found)


def _of_full(name: str) -> dict[str, Any]:
    """One protocol for an experiment, whichever suite it is in: that of its published scores."""
    modern = name.partition("/")[2].startswith(("stylegan2", "r3gan"))
    return {"protocol": "benchmark"} if modern else {}


def of_data(data: str, methods: Iterable[str], titles: Mapping[str, str]) -> dict[str, str]:
    """``{"cifar10/acgan": "ACGAN", ...}``."""
    return {f"{data}/{method}": titles.get(method, method) for method in methods}


def signs(
    method: str, scale: Scale, *, classes: int = GLYPH_CLASSES, name: str, **changes: Any
) -> Experiment:
    """A method of the digits on rendered signs, or on digits as a toy.

    Full scale is the same size for longer: this data set is made for two cores.
    """
    held = glyphs(experiment(f"digits/{method}"), classes)
    length = {"toy": 640, "cpu": GLYPH_IMAGES, "full": 5 * GLYPH_IMAGES}[scale]
    told = {
        "name": f"glyphs-{classes}/{name}",
        "training.images": length,
        "report.journal_every": 10_000,
        "report.samples_every": 10_000_000,
        "report.checkpoint_every": 10_000_000,
        "report.diagnose_every": 1_280,
        "watch.every": 6_400,
    }
    held = held.replace(**{**told, **changes})
    if scale != "toy":
        return held
    kept = {key: value for key, value in changes.items() if key.startswith("model.head")}
    return toy(held, **{"report.diagnose_every": 64, **kept})


def variant(
    method: str, scale: Scale, *, data: str, name: str, changes: Mapping[str, Any]
) -> Experiment:
    """A changed method: of a published experiment on ``data`` at full scale, of signs below it.

    At full scale it is diagnosed while it trains, which the published ones are not: in a group of its
    own, even where nothing is changed.
    """
    if scale != "full":
        return signs(method, scale, name=name, **changes)
    base = experiment(f"{data}/{method}")
    return base.replace(
        **{
            "report.diagnose_every": 100 * base.cycle_images,
            **changes,
            "name": f"{data}-diagnosed/{name}",
        }
    )
