"""The suite of overlapping classes (experiment 13): methods, trials, and figures of their points."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reacgan.config import component, lookup
from reacgan.files import write_text
from reacgan.heads import head_options
from reacgan.records import read_json
from reacgan.reports.palette import CYCLE
from reacgan.reports.plots import figure_png, new_figure
from reacgan.suites.base import Claim, Context, Figure, Outcome, Scale, Suite, Trial
from reacgan.suites.mixtures.measure import measure
from reacgan.suites.mixtures.targets import TARGETS, Mixture
from reacgan.suites.mixtures.train import NETWORKS, MixtureMethod, PointTrainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_D2DCE: dict[str, Any] = {"name": "d2dce", "embedding_dim": 64}
METHODS: dict[str, MixtureMethod] = {
    "projection": MixtureMethod("projection", component("projection"), 0.0),
    "ac": MixtureMethod("AC", component("auxiliary")),
    "ac_normalised": MixtureMethod(
        "AC, features and weights normalised",
        component("auxiliary", normalize_features=True, normalize_weights=True),
    ),
    "tac": MixtureMethod("TAC", component("twin", over="auxiliary")),
    "adc": MixtureMethod("ADC", component("discriminative", over="auxiliary")),
    "2c": MixtureMethod("2C", component("contrastive", embedding_dim=64)),
    "d2dce": MixtureMethod("D2D-CE", component(**_D2DCE)),
    "d2dce_tac": MixtureMethod("D2D-CE + TAC", component("twin", over=_D2DCE)),
    "d2dce_adc": MixtureMethod("D2D-CE + ADC", component("discriminative", over=_D2DCE)),
}
"""The compared methods. Every conditioning loss has weight 1; other options are the heads' defaults."""

STEPS = 2000
POINTS = 10_000
"""Number of measured points of each class."""
ADVERSARIAL = "non_saturating"
BATCH = 128
_KEPT = {1: 500, 2: 200}
"""Number of points of each class that a result keeps for figures, by dimension."""
_BY_CLASS = ("wasserstein", "variation", "mmd", "deviation", "agreement", "covered")
_DISTANCES = ("wasserstein", "variation", "mmd", "overall")


def run_trial(
    folder: Path, method: str, target: str, *, seed: int, steps: int = STEPS, points: int = POINTS
) -> dict[str, Any]:
    """Train and measure one method on one mixture, and write ``<target>-<method>-<seed>.json``.

    Args:
        folder: for the file.
        method: a name of :data:`METHODS`.
        target: a name of :data:`TARGETS`.
        seed: of weights and draws.
        steps: of each network.
        points: number of measured points of each class.

    Returns:
        The contents of the file: settings, ``measures`` (:func:`measure`, and ``bayes_accuracy``),
        ``points`` for figures ``[K][n][D]`` (in 1-D evenly spaced quantiles), the losses, processor time.

    Raises:
        ConfigError: an unknown name, or a loss that is not finite.
    """
    chosen, mixture = lookup("method", METHODS, method), lookup("mixture", TARGETS, target)
    training: dict[str, Any] = {
        "adversarial": ADVERSARIAL,
        "seed": seed,
        "steps": steps,
        "batch": BATCH,
    }
    started = time.process_time()
    trainer = PointTrainer(mixture, chosen, **training)
    history = trainer.train()
    seconds = time.process_time() - started
    generated = trainer.sample_classes(points, seed)
    result = {
        "method": method,
        "settings": {
            "target": asdict(mixture),
            "head": {"name": chosen.head.name, **head_options(chosen.head)},
            "conditioning_weight": chosen.conditioning_weight,
            **training,
            "networks": asdict(NETWORKS),
            "judged": points,
        },
        "measures": {**measure(mixture, generated), "bayes_accuracy": mixture.bayes_accuracy},
        "points": _for_figures(generated),
        "history": history,
        "seconds": round(seconds, 3),
        "torch": torch.__version__,
    }
    folder.mkdir(parents=True, exist_ok=True)
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in result.items())
    write_text(_file(folder, method, target, seed), "{\n" + ",\n".join(lines) + "\n}\n")
    return result


def _file(folder: Path, method: str, target: str, seed: int) -> Path:
    return folder / f"{target}-{method}-{seed}.json"


def _for_figures(points: Tensor) -> list[list[list[float]]]:
    count = min(_KEPT[points.shape[2]], points.shape[1])
    if points.shape[2] == 1:
        shares = (torch.arange(count) + 0.5) / count
        points = torch.quantile(points[:, :, 0].double(), shares.double(), dim=1).T[:, :, None]
    return [
        [[round(number, 4) for number in point] for point in of_class]
        for of_class in points[:, :count].tolist()
    ]


@dataclass(frozen=True)
class OfMixture:
    """Fit a mixture of Gaussians with one conditioning loss."""

    method: str
    target: str
    steps: int
    points: int

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """MixtureMethod, target, length."""
        settings = {"method": self.method, "target": self.target, "steps": self.steps}
        return {**settings, "judged": self.points, "seed": seed}

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train and measure; the method's own file is beside the outcome."""
        result = run_trial(
            folder, self.method, self.target, seed=seed, steps=self.steps, points=self.points
        )
        measures = result["measures"]
        return Outcome(
            values={
                **{name: measures["by_class"][name] for name in _BY_CLASS},
                "overall": measures["overall"]["variation"],
                "bayes": measures["bayes_accuracy"],
            },
            better={**dict.fromkeys(_DISTANCES, "lower"), "covered": "higher"},
            protocol={
                "target": self.target,
                "points": f"{self.points} of each class",
                "steps": self.steps,
                "values": "means over classes; overall: all classes together",
            },
            cost={"train_seconds": result["seconds"]},
        )

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """A line of Python: this is not an image experiment."""
        return (
            'python -c "from pathlib import Path; from reacgan.suites.mixtures import run_trial; '
            f"run_trial(Path('.'), '{self.method}', '{self.target}', seed={seed}, steps={self.steps})\""
        )


# -- figures


def _panels(target: Mixture, results: Mapping[str, Mapping[str, Any]]) -> bytes:
    """One panel a method: true and generated points of each class.

    In 1-D a line is the true density of a class and the filled histogram the generated one. In 2-D
    dots are generated points, and the circles hold 39 % and 86 % of the real points of a class (one and
    two deviations).

    Raises:
        ConfigError: no matplotlib.
    """
    columns = min(3, len(results))
    rows = math.ceil(len(results) / columns)
    flat = target.dimensions == 1
    figure = new_figure((2.0 if flat else 3.0) * rows + 0.9, max(3.2 * columns, 6.4))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes, (method, result) in zip(panels, results.items(), strict=False):
        (_line_panel if flat else _plane_panel)(axes, target, result["points"])
        values = result["measures"]["by_class"]
        axes.set_title(
            f"{METHODS[method].caption}\n"
            f"deviation × {values['deviation']:.2f}, agreement {values['agreement']:.2f}",
            fontsize=9,
        )
    for axes in panels[len(results) :]:
        axes.set_axis_off()
    settings = next(iter(results.values()))["settings"]
    what = "outlines: true densities, filled: generated"
    if not flat:
        what = "circles: one and two true deviations, dots: generated"
    figure.suptitle(
        f"{target.name} ({what}); real points agree {target.bayes_accuracy:.2f}; "
        f"seed {settings['seed']}, {settings['steps']} steps",
        fontsize=10,
    )
    return figure_png(figure, 110)


def _line_panel(axes: Axes, target: Mixture, points: Sequence[Any]) -> None:
    low, high = (float(side[0]) for side in target.box(3.0))
    along = torch.linspace(low, high, 300)
    true = target.densities(along[:, None])
    for label, (of_class, colour) in enumerate(zip(points, CYCLE, strict=False)):
        within = [min(max(point[0], low), high) for point in of_class]
        axes.hist(within, bins=48, range=(low, high), density=True, color=colour, alpha=0.35)
        axes.plot(along, true[:, label], color=colour, linewidth=1.4)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 2.2 * float(true.max()))
    axes.set_yticks([])


def _plane_panel(axes: Axes, target: Mixture, points: Sequence[Any]) -> None:
    from matplotlib.patches import Circle  # noqa: PLC0415

    for label, (of_class, colour) in enumerate(zip(points, CYCLE, strict=False)):
        across, up = zip(*of_class, strict=True)
        axes.scatter(across, up, s=5, color=colour, alpha=0.6, linewidths=0)
        centre = (target.means[label][0], target.means[label][1])
        for times, style in ((1, "-"), (2, ":")):
            radius = times * target.deviations[label]
            axes.add_patch(
                Circle(centre, radius, fill=False, edgecolor=colour, linewidth=1.0, linestyle=style)
            )
    low, high = (side.tolist() for side in target.box(3.0))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])


# -- the suite


def _trials(scale: Scale) -> tuple[Trial, ...]:
    steps, points = (40, 500) if scale == "toy" else (STEPS, POINTS)
    return tuple(
        Trial(
            f"mixture-{target}/{name}",
            method.caption,
            OfMixture(name, target, steps, points),
            column=target,
        )
        for target in TARGETS
        for name, method in METHODS.items()
    )


def _densities(runs: Sequence[tuple[Trial, int, Path]]) -> dict[str, bytes]:
    """Generated points of the lowest seed and the true densities, a figure for each target."""
    lowest = min((seed for _, seed, _ in runs), default=0)
    results: dict[str, dict[str, Any]] = {}
    for trial, seed, folder in runs:
        work = trial.work
        if seed == lowest and isinstance(work, OfMixture):
            path = _file(folder, work.method, work.target, seed)
            if path.is_file():
                result = read_json(path)
                results.setdefault(work.target, {})[work.method] = result
    return {
        f"{target}: what was generated beside the truth, seed {lowest}": _panels(
            TARGETS[target], by_method
        )
        for target, by_method in results.items()
    }


_AC, _D2D, _BOTH = (METHODS[name].caption for name in ("ac", "d2dce", "d2dce_tac"))
_OVERLAP = ("line", "blobs")
MIXTURES = Suite(
    name="mixtures",
    numbers=(13,),
    title="What conditioning losses do where classes overlap",
    about=(
        "Mixtures of Gaussians whose densities and posteriors are known: three overlapping ones on a line, "
        "three overlapping blobs, a ring of eight. A generated point of a class should be as likely to be "
        "taken for another class as a real one: agreement with the Bayes classifier above its own accuracy "
        "(`bayes`) says that the classes were drawn apart. Tiny networks; full scale is a CPU's."
    ),
    trials=_trials,
    metrics=(*_BY_CLASS[:5], "bayes", "covered", "overall"),
    claims=(
        Claim(
            "AC draws overlapping classes apart: agreement above projection's",
            "agreement",
            (_AC, METHODS["projection"].caption),
            "above",
            _OVERLAP,
        ),
        Claim("TAC undoes it", "wasserstein", (METHODS["tac"].caption, _AC), columns=_OVERLAP),
        Claim("ADC undoes it", "wasserstein", (METHODS["adc"].caption, _AC), columns=_OVERLAP),
        Claim("TAC takes back what D2D-CE does", "wasserstein", (_BOTH, _D2D), source="ours"),
        Claim("D2D-CE is nearer to the truth than AC", "wasserstein", (_D2D, _AC), source="ours"),
        Claim(
            "D2D-CE draws classes apart less than AC",
            "agreement",
            (_D2D, _AC),
            columns=_OVERLAP,
            source="ours",
        ),
    ),
    figures=(
        Figure(
            "bars", ("wasserstein", "agreement"), "Distance to the truth, and agreement with Bayes"
        ),
    ),
    drawn=_densities,
)
