"""Methods, trials and the whole study of overlapping classes (experiment 13): run, keep, draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reacgan.config import Component, component, lookup
from reacgan.files import replacing, write_text
from reacgan.mixtures.figures import comparison, panels
from reacgan.mixtures.players import PLAYERS, Players
from reacgan.mixtures.results import (
    file_of,
    judge,
    mixture_of,
    read_result,
    summary,
    table,
    write_result,
)
from reacgan.mixtures.targets import TARGETS, Mixture
from reacgan.mixtures.train import settings_of, train_mixture


@dataclass(frozen=True)
class Method:
    """A way of telling G the class: a head and the weight of its own loss."""

    caption: str
    head: Component
    conditioning_weight: float = 1.0


METHODS: dict[str, Method] = {
    "projection": Method("projection", component("projection"), 0.0),
    "ac": Method("AC", component("auxiliary")),
    "ac_normalised": Method(
        "AC, features and weights normalised",
        component("auxiliary", normalize_features=True, normalize_weights=True),
    ),
    "tac": Method("TAC", component("twin", over="auxiliary")),
    "adc": Method("ADC", component("discriminative", over="auxiliary")),
    "2c": Method("2C", component("contrastive", embedding_dim=64)),
    "d2dce": Method("D2D-CE", component("d2dce", embedding_dim=64)),
    "d2dce_tac": Method("D2D-CE + TAC", component("twin", over="d2dce", embedding_dim=64)),
    "d2dce_adc": Method(
        "D2D-CE + ADC", component("discriminative", over="d2dce", embedding_dim=64)
    ),
}
"""What is compared. Every conditioning loss has weight 1; temperatures and margins are the heads' own."""

STUDY_TARGETS = ("line", "blobs", "ring8")
SEEDS = (0, 1, 2, 3, 4)
STEPS = 2000
ADVERSARIAL = "non_saturating"
BATCH = 128
JUDGED = 10_000


def run_trial(
    folder: Path,
    method: str,
    target: Mixture | str,
    *,
    seed: int,
    steps: int,
    batch: int = BATCH,
    adversarial: str = ADVERSARIAL,
    players: Players = PLAYERS,
    judged: int = JUDGED,
) -> dict[str, Any]:
    """Run one trial into ``folder``, or read it where it lies there already with equal settings.

    A file of other settings is replaced.

    Args:
        folder: for one file, ``<target>-<method>-<seed>.json``.
        method: a name of :data:`METHODS`.
        target: a mixture, or a name of :data:`TARGETS`.
        seed: of weights and draws.
        steps: of each player.
        batch: real points of a step, and as many fakes.
        adversarial: a member of ``reacgan.losses.ADVERSARIAL``.
        players: sizes and optimisers.
        judged: generated points of every class that are measured.

    Returns:
        :meth:`reacgan.mixtures.results.MixtureResult.to_json`.

    Raises:
        ConfigError: an unknown name, a setting outside its range, or a file that is no result.
    """
    chosen = lookup("method", METHODS, method)
    if isinstance(target, str):
        target = lookup("mixture", TARGETS, target)
    given: dict[str, Any] = {
        "adversarial": adversarial,
        "conditioning_weight": chosen.conditioning_weight,
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "players": players,
    }
    path = file_of(folder, method, target.name, seed)
    held = read_result(path)
    if held and held["settings"] == {
        **settings_of(target, chosen.head, **given),
        "judged": judged,
    }:
        return held
    result = judge(train_mixture(target, chosen.head, **given), method, judged=judged)
    write_result(path, result)
    return result.to_json()


def run_study(
    folder: Path,
    *,
    targets: Sequence[Mixture | str] = STUDY_TARGETS,
    methods: Sequence[str] = tuple(METHODS),
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    batch: int = BATCH,
    judged: int = JUDGED,
) -> list[dict[str, Any]]:
    """Run the trials that ``folder`` lacks, seed by seed, write the table and the figures, return all.

    Files: one a trial under ``trials/``, and those of :func:`write_report`.

    Raises:
        ConfigError: see :func:`run_trial`; or no matplotlib, after all trials are kept.
    """
    results = [
        run_trial(
            folder / "trials", method, target, seed=seed, steps=steps, batch=batch, judged=judged
        )
        for seed in seeds
        for target in targets
        for method in methods
    ]
    write_report(folder, results)
    return results


def write_report(folder: Path, results: Sequence[dict[str, Any]]) -> list[Path]:
    """Write the table, a summary and the figures of results into ``folder``; the paths of the files.

    Files: ``table.md``, ``summary.json`` (measures of every trial without classes and points),
    ``<target>.png`` (the first seed) and ``comparison.png``.

    Raises:
        ConfigError: results that do not go together, or no matplotlib.
    """
    write_text(folder / "table.md", table(results))
    write_text(folder / "summary.json", summary(results))
    written = [folder / "table.md", folder / "summary.json"]
    captions = {name: method.caption for name, method in METHODS.items()}
    first: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        mine = first.setdefault(result["settings"]["target"]["name"], {})
        mine.setdefault(result["method"], result)
    pictures = {
        f"{name}.png": panels(mixture_of(next(iter(held.values()))["settings"]), held, captions)
        for name, held in first.items()
    }
    pictures["comparison.png"] = comparison(results, captions)
    for name, picture in pictures.items():
        with replacing(folder / name) as path:
            path.write_bytes(picture)
        written.append(folder / name)
    return written
