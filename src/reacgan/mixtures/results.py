"""A trial's result as a file, and many results as means and deviations over seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.files import write_text
from reacgan.mixtures.measure import bayes_accuracy, measure
from reacgan.mixtures.targets import Mixture
from reacgan.mixtures.train import Trained

_SHOWN = {1: 500, 2: 200}
"""Points of each class that a result keeps for figures, by dimension."""
_SUMMARISED = ("seed", "steps", "batch", "adversarial", "conditioning_weight", "head", "judged")
COLUMNS: dict[str, tuple[str, str, str]] = {
    "wasserstein": ("by_class", "wasserstein", "Wasserstein ↓"),
    "variation": ("by_class", "variation", "total variation ↓"),
    "mmd": ("by_class", "mmd", "MMD² ↓"),
    "deviation": ("by_class", "deviation", "deviation / true (1)"),
    "agreement": ("by_class", "agreement", "agreement with Bayes"),
    "covered": ("by_class", "covered", "covered ↑"),
    "overall": ("overall", "variation", "total variation, all classes ↓"),
}
"""Columns of tables: where each lies in the measures, and its heading."""


@dataclass(frozen=True)
class MixtureResult:
    """What one trial gave."""

    method: str
    settings: dict[str, Any]
    """As :func:`reacgan.mixtures.train.settings_of` has them, and ``judged``, points of a class."""
    measures: dict[str, Any]
    """As :func:`reacgan.mixtures.measure.measure` has them, and the target's ``bayes_accuracy``."""
    points: list[list[list[float]]]
    """``[K][n][D]``: some generated points for figures; in 1-D evenly spaced quantiles of all."""
    history: list[dict[str, float]]
    seconds: float
    """Processor time of the training."""
    torch: str
    """Version; another one rounds otherwise."""

    def to_json(self) -> dict[str, Any]:
        """Everything, of types that JSON has."""
        return asdict(self)


def judge(trained: Trained, method: str, *, judged: int) -> MixtureResult:
    """Draw ``judged`` points of every class from what was trained, and measure them.

    Raises:
        ConfigError: fewer than 2 points.
    """
    target = trained.target
    points = trained.sample_classes(judged, trained.settings["seed"])
    return MixtureResult(
        method=method,
        settings={**trained.settings, "judged": judged},
        measures={**measure(target, points), "bayes_accuracy": bayes_accuracy(target)},
        points=_shown(points),
        history=trained.history,
        seconds=round(trained.seconds, 3),
        torch=torch.__version__,
    )


def _shown(points: Tensor) -> list[list[list[float]]]:
    count = min(_SHOWN[points.shape[2]], points.shape[1])
    if points.shape[2] == 1:
        places = (torch.arange(count) + 0.5) / count
        points = torch.quantile(points[:, :, 0].double(), places.double(), dim=1).T[:, :, None]
    return [
        [[round(number, 4) for number in point] for point in one]
        for one in points[:, :count].tolist()
    ]


def file_of(folder: Path, method: str, target: str, seed: int) -> Path:
    """Where a trial's result lies."""
    return folder / f"{target}-{method}-{seed}.json"


def write_result(path: Path, result: MixtureResult) -> None:
    """Write a result as one line a top-level entry: whole, or not at all."""
    lines = (f"{json.dumps(key)}: {json.dumps(held)}" for key, held in result.to_json().items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_result(path: Path) -> dict[str, Any] | None:
    """Read a result; None where there is no such file.

    Raises:
        ConfigError: a file that is not a result.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {name: held[name] for name in MixtureResult.__dataclass_fields__}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a result of a trial ({error}); needed: one, or no file; delete it"
        ) from None


def summarise(
    results: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    """Mean and sample deviation (0 of one seed) over seeds: ``[target][method][column]``.

    Raises:
        ConfigError: results of one target and method that differ in more than their seed.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        key = (result["settings"]["target"]["name"], result["method"])
        groups.setdefault(key, []).append(result)
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for (target, method), group in groups.items():
        rest = [{**result["settings"], "seed": None} for result in group]
        if any(one != rest[0] for one in rest):
            raise ConfigError(
                f"results of {method} on {target} differ in more than their seed; "
                "needed: one setting; use a folder for each"
            )
        row = {}
        for name, (part, key_, _) in COLUMNS.items():
            values = [float(result["measures"][part][key_]) for result in group]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            row[name] = (statistics.fmean(values), deviation)
        found.setdefault(target, {})[method] = row
    return found


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """JSON, a line a trial: method, target, seed, settings of the head, measures but by class."""
    lines = [
        json.dumps(
            {
                "method": result["method"],
                "target": result["settings"]["target"]["name"],
                **{name: result["settings"][name] for name in _SUMMARISED},
                **{part: result["measures"][part] for part in ("by_class", "overall")},
                "seconds": result["seconds"],
                "torch": result["torch"],
            }
        )
        for result in results
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def real_row(target: Mixture, judged: int) -> dict[str, float]:
    """What as many real points get in each column: the best that can be hoped for."""
    measures: dict[str, Any] = measure(target, target.sample_classes(judged, 1))
    return {name: measures[part][key] for name, (part, key, _) in COLUMNS.items()}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a block a target, a row a method, mean ± deviation over seeds, and real points.

    Columns are means over classes, but for the last.
    """
    blocks = []
    for name, rows in summarise(results).items():
        mine = [one for one in results if one["settings"]["target"]["name"] == name]
        settings = mine[0]["settings"]
        target = mixture_of(settings)
        seeds = len({one["settings"]["seed"] for one in mine})
        heads = ["method", *(heading for _, _, heading in COLUMNS.values())]
        lines = [
            f"### {name}: {target.num_classes} classes, {target.dimensions}-D; "
            f"Bayes accuracy {target.bayes_accuracy():.3f}; "
            f"{settings['steps']} steps of {settings['batch']}; seeds: {seeds}",
            "",
            f"| {' | '.join(heads)} |",
            "|---" * len(heads) + "|",
        ]
        real = real_row(target, settings["judged"])
        lines.append(f"| real points | {' | '.join(f'{value:.3f}' for value in real.values())} |")
        for method, row in rows.items():
            cells = (f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in row.values())
            lines.append(f"| {method} | {' | '.join(cells)} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def mixture_of(settings: Mapping[str, Any]) -> Mixture:
    """The target that settings hold."""
    held = settings["target"]
    means = tuple(tuple(float(number) for number in mean) for mean in held["means"])
    return Mixture(held["name"], means, tuple(float(one) for one in held["deviations"]))
