"""``reacgan train``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reacgan import __version__
from reacgan.cli import streams
from reacgan.cli.options import Assignments, Device, Logs, Named
from reacgan.text import json_text

if TYPE_CHECKING:
    from reacgan.config import Experiment
    from reacgan.training import RunResult


def train(
    name: str | None = None,
    *,
    data: Named | None = None,
    out: Path | None = None,
    set_: Assignments = (),
    images: int | None = None,
    minutes: float | None = None,
    device: Device = "auto",
    speed: Literal["auto", "plain"] | None = None,
    log: Logs = (),
    dry_run: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> int:
    """Train a generator, or resume the run in --out.

    The same command on the same folder resumes. Ctrl-C saves and stops; a second one stops at once.

    Examples: reacgan train digits/reacgan | reacgan train --data photos/ --minutes 60

    Parameters
    ----------
    name:
        An experiment ("reacgan experiments list"), or a JSON or YAML file of one.
    data:
        Where the images are: a folder with one sub-folder a class, a file, shards (a folder, or the
        address of their index.json), or NAME:PATH such as glyphs:50. Without a name an experiment is
        derived from the images.
    out:
        The run's folder; runs/<name> by default.
    set_:
        Change values: --set training.batch=32 model.head.name=projection.
    images:
        Stop when this many real images have been seen (training.images).
    minutes:
        End after this many minutes, from the start of the command to the last score and file.
    speed:
        auto takes what is fastest on the device, plain the textbook's formulas; results differ only by
        rounding (speed.mode; one by one: --set speed.channels_last=false).
    log:
        Also write losses, sheets and scores for other tools, into logs/ of the run's folder: tensorboard,
        wandb (offline without a login), csv, or several of them.
    dry_run:
        Print the resolved configuration as JSON and stop. Of --data without a name, the reason of each
        derived value comes first, on standard error.
    quiet:
        Print nothing.
    verbose:
        Print details too: every derived value, parameters, memory, how steps are computed.
    """
    began = time.monotonic()
    if (name or data) and not (quiet or dry_run):  # loading PyTorch takes seconds
        streams.tell(f"reacgan {__version__}: starting {name or data}")
    from reacgan.assembly import complete  # noqa: PLC0415
    from reacgan.config import parse_assignments  # noqa: PLC0415
    from reacgan.training.run_folder import default_folder  # noqa: PLC0415

    _refuse_early(minutes, device, out)
    changes = parse_assignments(set_)
    given = {"training.images": images, "speed.mode": speed}
    changes |= {key: value for key, value in given.items() if value is not None}
    experiment, said = _resolve(
        name, data, device, changes, aloud=not (quiet or dry_run), quiet=quiet, verbose=verbose
    )
    experiment = complete(experiment.replace(**changes))
    folder = out or default_folder(experiment)
    if dry_run:
        return _show_plan(experiment, folder, device, survey=name is not None)
    from reacgan import distributed, training  # noqa: PLC0415
    from reacgan.data.overview import without_notes  # noqa: PLC0415

    with without_notes(said):
        result = training.train(
            experiment,
            folder,
            device=device,
            minutes=minutes,
            quiet=quiet,
            verbose=verbose,
            log=log,
            began=began,
        )
    distributed.leave()
    return _exit_code(result)


def _exit_code(result: RunResult) -> int:
    """docs/exit-codes.md."""
    if result.stopped_by is not None:
        return 3
    return 128 + result.signal if result.signal else 0


def _refuse_early(minutes: float | None, device: Device, out: Path | None) -> None:
    """Say what is wrong with an option before the images are looked at."""
    from reacgan.config import check_real  # noqa: PLC0415
    from reacgan.devices import find_device  # noqa: PLC0415
    from reacgan.training.run_folder import refuse_file  # noqa: PLC0415

    check_real("minutes", minutes, "a positive number", above=0, optional=True)
    find_device(device)
    if out is not None:
        refuse_file(out)


def _show_plan(experiment: Experiment, folder: Path, device: Device, *, survey: bool) -> int:
    """Print what would be trained, and the memory it would take."""
    if survey:
        _survey(experiment)
    needed = _memory(experiment, device)
    streams.say(
        json_text({"out": str(folder), **experiment.model_dump(), "memory": needed}, indent=2)
    )
    return 0


def _survey(experiment: Experiment) -> None:
    """Check the files that training would use: what it would refuse is an error now."""
    from reacgan.data import LISTERS, Scan, survey_usable  # noqa: PLC0415

    if experiment.data.path is None or experiment.data.name not in LISTERS:
        return
    if not Path(experiment.data.path).exists():
        _say((f"{experiment.data.path} does not exist here, so its files were not checked",))
        return
    scan = survey_usable(experiment.data)
    if isinstance(scan, Scan):
        _say(scan.notes)


def _say(notes: tuple[str, ...]) -> None:
    """Notes go to standard error: what a dry run prints can be read by a program."""
    for note in notes:
        streams.tell(f"note: {note}")


def _memory(experiment: Experiment, device: Device) -> dict[str, int] | None:
    """Bytes by use, images left out; None where the classes depend on a folder."""
    from reacgan.config import ConfigError  # noqa: PLC0415
    from reacgan.experiments.describe import describe  # noqa: PLC0415
    from reacgan.training.engine import Engine  # noqa: PLC0415
    from reacgan.training.memory.estimate import estimate  # noqa: PLC0415

    try:
        classes = describe(experiment)["num_classes"]
        engine = Engine.of(experiment, device)
    except ConfigError:
        return None
    needed = estimate(experiment, classes, engine)
    return None if needed is None else {**vars(needed), "total": needed.total}


def _resolve(
    name: str | None,
    data: Named | None,
    device: str,
    changes: dict[str, Any],
    *,
    aloud: bool,
    quiet: bool,
    verbose: bool,
) -> tuple[Experiment, tuple[str, ...]]:
    """The experiment before ``changes``, and notes on its images that were said.

    A derived one considers the changes, and says what it is.
    """
    from reacgan.config import ConfigError  # noqa: PLC0415
    from reacgan.experiments import named_or_file  # noqa: PLC0415

    if name is None and data is None:
        raise ConfigError(
            "nothing to train: give an experiment (reacgan experiments list) or --data FOLDER"
        )
    if name is not None:
        named = named_or_file(name)
        return (named if data is None else named.replace(**_elsewhere(data))), ()
    from reacgan.planning import propose  # noqa: PLC0415

    proposal = propose(str(data), device=device, given=changes, seconds=0, copies=False)
    if aloud:
        streams.show(proposal.proposed() if verbose else proposal.in_short())
    elif not quiet:  # a dry run
        streams.tell(proposal.proposed())
        _say(proposal.derived.notes)
    return proposal.experiment, () if quiet else proposal.overview.notes


def _elsewhere(data: Named) -> dict[str, Any]:
    """What ``--data`` changes in a named experiment: the path, and the data set if given."""
    from reacgan.data import find_dataset  # noqa: PLC0415

    config = find_dataset(str(data))
    if config.name in ("folder", "csv", "jsonl"):  # the experiment's own set may be read from there
        return {"data.path": str(data)}
    return {"data.name": config.name, "data.path": config.path}
