"""``reacgan evaluate``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from reacgan.cli import bars, streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments, Device, Named, parse_resolution

if TYPE_CHECKING:
    from reacgan.evaluation import Score
    from reacgan.evaluation.scoring import Request
    from reacgan.sampling import SamplingSettings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured, against what."""

    reference: Named | None = None
    """Real images: a folder, a file of images, a registered set as NAME or NAME:PATH, or statistics
    (.npz with mu and sigma). They keep their own size and channels. A run's own data by default."""
    metrics: str | None = None
    """fid, fid_infinity, kid, is, prdc, ifid, per_class, f_beta, accuracy, cas, memorisation, separated
    by commas, or all. By default those that one pass over the images gives."""
    extractor: Named | None = None
    """Feature extractor: inception (FID's own), domain (a classifier trained on the real images now),
    resnet50, swav, dino, dinov2, clip, or a file. By default that of the run's own scores, else inception,
    or domain where its weights are not at hand or images are few; it says which, and why."""
    protocol: Literal["paper", "benchmark"] | None = None
    """A published one: paper (as many fakes as held-out images, batch statistics) or benchmark (50,000
    against the training images, standing statistics)."""
    num: Annotated[int | None, Parameter(name=["--num", "--count"])] = None
    """Images to score; by default as many as the reference has, up to 50,000. Under torchrun, which
    takes --num for its own, write --count."""
    split: Literal["train", "test"] | None = None
    """Which part of the reference; by default test where there is one."""
    resizer: Literal["clean", "legacy", "legacy_tensorflow", "friendly"] | None = None
    """How images are resized to the extractor's size."""
    weights: Named | None = None
    """Weights of the extractor: a local file instead of a download."""
    training: Named | None = None
    """The generator's training images, if not the reference's train split; domain trains on them too."""
    held_out: Named | None = None
    """Real images that it was not trained on, if not the reference's test split."""
    real: bool = False
    """Also score as many real images (training or held out), for scale."""
    resolution: str | None = None
    """Crop and resize all images to this side, or HEIGHTxWIDTH; needed for images of many sizes."""
    channels: int | None = None
    """Bring all images to 1 (grey), 3 (RGB) or 4 channels; by default both sides keep their own."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Generation:
    """How images are generated."""

    checkpoint: str = "last"
    """Of a run: last, best, all, or the images seen of a state that it keeps."""
    labels: Literal["reference", "balanced", "uniform"] | None = None
    """Classes of generated images: as often as in the reference, balanced, or drawn uniformly."""
    statistics: Literal["auto", "own", "moving", "batch", "standing"] | None = None
    """Of batch norms: auto (those that fit the generator), own, moving averages, of the batch, standing."""
    truncation: float | None = None
    """Largest absolute value of the latent."""
    psi: float | None = None
    """Truncates styles towards their mean."""
    psi_layers: int | None = None
    """With --psi: only in this many first layers."""
    seed: int | None = None
    """Of all images; two seeds share none. 0 by default, and 1 for a state chosen by its scores."""
    precision: Literal["auto", "float32", "bfloat16"] | None = None
    """Of the generator: float32 by default, as published scores have it; auto is bfloat16 on a GPU that
    has it. Anything but float32 is part of a score's protocol."""
    langevin: int = 0
    """Langevin dynamics: move each latent by this many steps to where the run's discriminator scores
    higher."""
    langevin_rate: float = 0.01
    """Length of these steps."""
    langevin_noise: float = 1.0
    """Standard deviation of their noise."""


def evaluate(
    subject: Named,
    *,
    measures: Measures = Measures(),
    generation: Generation = Generation(),
    set_: Assignments = (),
    out: Path | None = None,
    device: Device = "auto",
    quiet: bool = False,
    json_: Json = False,
) -> int:
    """Score a generator, or other images, against real ones.

    Each score is written with its protocol to scores.jsonl: in the run's folder, or in --out.
    "reacgan report" makes tables and a page of them. Exits with 1 if a named metric could
    not be measured.

    Examples: reacgan evaluate runs/photos | reacgan evaluate runs/photos --extractor domain |
    reacgan evaluate samples/ --reference photos/ --metrics fid,kid,prdc

    Parameters
    ----------
    subject:
        A run, a model folder, a folder of images (in class folders or not), a .zip of one, all images
        as one array (.npy, .npz) or tensor (.pt), a table or a packed file.
    measures:
        What is measured, against what.
    generation:
        How images are generated.
    set_:
        Options of metrics, extractor and of the images that are named: --set prdc.k=3
        extractor.epochs=5 data.options.label=Art.
    out:
        Where scores and pictures go; by default the run's folder, or evaluations/<name>.
    quiet:
        Print the table alone.
    """
    with bars.loading(quiet=quiet):
        from reacgan import distributed  # noqa: PLC0415
        from reacgan.evaluation.scoring import score  # noqa: PLC0415
        from reacgan.hub import find_states  # noqa: PLC0415
        from reacgan.reports.output import Output, folder_for  # noqa: PLC0415

    join_processes(device)
    request = _request(measures, generation, set_, device)
    output = Output(folder_for(subject, out))
    output.check()
    _keep_out_of_images(output.folder, subject, measures)
    main = distributed.is_main()
    scores: list[Score] = []
    skipped: dict[str, str] = {}
    with bars.shown(quiet=quiet or not main, announce=True):
        for target, result in score(subject, request, find_states=find_states):
            if main:
                scores += result.scores
                skipped |= result.skipped
                output.write(result, target.name)
    lacking = bool(measures.metrics and skipped)
    if lacking or not quiet:
        for name, reason in skipped.items():
            streams.tell(f"not measured: {name}: {reason}")
    if main:
        _fill_logs(output.folder)
        facts = {
            "scores": [score.facts() for score in scores],
            "not_measured": skipped,
            "file": output.folder / "scores.jsonl",
        }
        answer(facts, lambda: _text(scores, output.folder, quiet=quiet), as_json=json_)
    distributed.leave()
    return 1 if lacking else 0


def _fill_logs(folder: Path) -> None:
    """Where the folder is a run with logs for other tools, they get the scores, too."""
    if (folder / "logs").is_dir() and (folder / "experiment.json").is_file():
        from reacgan.training.logs import fill_logs  # noqa: PLC0415

        fill_logs(folder)


def _keep_out_of_images(out: Path, subject: str, measures: Measures) -> None:
    """Refuse to write into a folder that images are read from; a run's folder is allowed."""
    from reacgan.data import refuse_inside  # noqa: PLC0415
    from reacgan.hub.folder import holds_generator  # noqa: PLC0415

    for path in (subject, measures.reference, measures.training, measures.held_out):
        if path is not None and not holds_generator(Path(path)):
            refuse_inside(out, path)


def _request(
    measures: Measures, generation: Generation, assignments: tuple[str, ...], device: str
) -> Request:
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.evaluation.scoring import Request  # noqa: PLC0415
    from reacgan.experiments.derive import options_in  # noqa: PLC0415

    given_values = parse_assignments(assignments)
    data_options = options_in(given_values)
    metrics, options = _options(
        measures.metrics,
        {key: given_values[key] for key in given_values if not key.startswith("data.options.")},
    )
    given = {"resizer": measures.resizer, "weights": measures.weights}
    options |= {key: value for key, value in given.items() if value is not None}
    return Request(
        reference=measures.reference,
        split=measures.split,
        metrics=metrics,
        extractor=measures.extractor,
        extractor_options=options,
        num=measures.num,
        sampling=_sampling(generation),
        checkpoint=generation.checkpoint,
        resolution=None if measures.resolution is None else parse_resolution(measures.resolution),
        channels=measures.channels,
        training=measures.training,
        held_out=measures.held_out,
        real=measures.real,
        protocol=measures.protocol,
        device=device,
        data_options=data_options,
    )


def _sampling(generation: Generation) -> SamplingSettings:
    from reacgan.sampling import Langevin, SamplingSettings  # noqa: PLC0415

    steps, rate, noise = generation.langevin, generation.langevin_rate, generation.langevin_noise
    return SamplingSettings(
        truncation=generation.truncation,
        psi=generation.psi,
        layers=generation.psi_layers,
        statistics=generation.statistics,
        labels=generation.labels,
        seed=generation.seed,
        precision=generation.precision,
        langevin=Langevin(steps=steps, rate=rate, noise=noise) if steps else None,
    )


def join_processes(device: str) -> None:
    """Join the process group that a launcher has prepared, if there is one."""
    import os  # noqa: PLC0415

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from reacgan.devices import start_processes  # noqa: PLC0415

        start_processes(device)


def _options(metrics: str | None, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Metrics with their options, and the extractor's."""
    from reacgan.config import ConfigError  # noqa: PLC0415
    from reacgan.config.sections import named_options  # noqa: PLC0415
    from reacgan.evaluation.plan import STANDARD  # noqa: PLC0415
    from reacgan.metrics import METRICS  # noqa: PLC0415

    extractor: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        owner, separator, name = key.partition(".")
        if not separator:
            raise ConfigError(f"--set {key}: needed: METRIC.OPTION or extractor.OPTION")
        target = extractor if owner == "extractor" else options.setdefault(owner, {})
        target[name] = value
    if not options:
        return metrics, extractor
    names = {None: list(STANDARD), "all": list(METRICS)}.get(metrics, metrics)
    chosen = named_options(names)
    foreign = [name for name in options if name not in chosen]
    if foreign:
        raise ConfigError(
            f"--set {foreign[0]}...: {foreign[0]} is not among the metrics: {', '.join(chosen)}"
        )
    return {name: options.get(name, {}) for name in chosen}, extractor


def _text(scores: list[Score], folder: Path, *, quiet: bool) -> str:
    from reacgan.reports.listing import listing  # noqa: PLC0415
    from reacgan.reports.tables import score_table  # noqa: PLC0415

    single = len({(score.subject, score.images_seen) for score in scores}) == 1
    width = streams.columns()
    text = listing(scores, width) if single else score_table(scores).text(width)
    where = (
        f"\n\nscores in {folder / 'scores.jsonl'}\npictures of them on a page: "
        f"{shlex.join(['reacgan', 'report', str(folder)])}"
    )
    return text if quiet else text + where
