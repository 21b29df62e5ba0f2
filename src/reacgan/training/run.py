"""One run from first to last: open the data, take up the state, train, leave something to open."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reacgan import api, distributed
from reacgan.assembly import complete
from reacgan.config import (
    ConfigError,
    Device,
    Experiment,
    check_kind,
    check_real,
    flatten,
    from_scripts,
    path_of,
)
from reacgan.data import DataError, ImageData, open_dataset, refuse_inside
from reacgan.evaluation import Score, read_scores
from reacgan.extractors import EXTRACTORS
from reacgan.files import PATIENCE
from reacgan.history import History, read_records
from reacgan.models.norm_statistics import statistics_in_words
from reacgan.outlook import meaning_of, next_commands, seen_in, share_of
from reacgan.progress import duration
from reacgan.sampling import save_png
from reacgan.training.callbacks import Callbacks
from reacgan.training.checkpoint import OtherFactsError, list_checkpoints, load_latest
from reacgan.training.clock import WallClock
from reacgan.training.context import RunContext
from reacgan.training.engine import Engine
from reacgan.training.hooks import RunHooks
from reacgan.training.images_record import changes_since, describe_images, write_record
from reacgan.training.introduction import introduce, real_sheet
from reacgan.training.journal import Journal
from reacgan.training.logs import open_logs
from reacgan.training.loop import Trainer, run
from reacgan.training.memory.advice import describe_memory, memory_explained
from reacgan.training.progress import Progress, told_if_long
from reacgan.training.run_folder import RunFolder, refuse_file
from reacgan.training.signals import Interrupted, StopRequest
from reacgan.training.state import TrainState
from reacgan.training.transfer import take_up
from reacgan.training.watchdog import Watchdog

# Seconds in which a launcher's copy of a signal is not taken for a second one.
_GRACE = 2.0


@dataclass(frozen=True)
class RunResult:
    """How a call of :func:`train` ended."""

    folder: Path
    images_seen: int
    complete: bool
    """Whether all images of the plan have been seen. Where minutes, a signal, the monitor or a callback
    ended it before, the same call goes on."""
    signal: int | None
    """The signal that stopped it, or None."""
    stopped_by: str | None = None
    """What the monitor found, where it stopped the run (``watch.action``), or the callback that did; the
    same call goes on."""

    @cached_property
    def history(self) -> History:
        """The records of the whole run, as :func:`reacgan.journal` reads them; read at the first look."""
        return read_records(self.folder / "journal.jsonl")

    @cached_property
    def scores(self) -> list[Score]:
        """All scores in the run's folder, each with its protocol; read at the first look."""
        return read_scores(self.folder / "scores.jsonl")

    @cached_property
    def model(self) -> api.Model:
        """The averaged generator at the end, as :func:`reacgan.load` gives it; loaded at the first look."""
        return api.load(self.folder)


def train(
    experiment: Experiment,
    out: str | Path,
    *,
    device: Device = "auto",
    minutes: float | None = None,
    data: ImageData | None = None,
    quiet: bool = False,
    verbose: bool = False,
    callbacks: Sequence[Any] = (),
    log: str | Sequence[str] = (),
    began: float | None = None,
) -> RunResult:
    """Train, or take up again, the run in ``out``.

    The same call on the same folder resumes; the result has the same bits as an uninterrupted run.

    Args:
        experiment: what to train; see :func:`reacgan.experiment` and
            :func:`reacgan.derive_experiment`.
        out: the run's folder; made if need be.
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        minutes: end this call after so many minutes even if images are left: opening the images, saving,
            the last sheet and the last scores are within them. Where they are too few for that, the call
            says so before it trains.
        data: the images, where they are already open; else the experiment says where they are.
        quiet: print nothing.
        verbose: print details too: parameters, memory, how steps are computed, statistics.
        callbacks: objects with methods of :class:`reacgan.Callback`, which are told what the run does.
        log: also write what is reported as ``tensorboard``, ``wandb`` or ``csv``, or several of them, into
            ``logs/`` of the run's folder.
        began: when the minutes began, by :func:`time.monotonic`; None for now.

    Raises:
        ConfigError: a value that cannot be used, or a folder that holds another run.
        DataError: images that cannot be used.
        NonFiniteError: a loss became infinite or NaN, by plain operations too.
        CallbackError: a callback raised an exception; the state is saved.
    """
    _refuse(experiment, minutes, data, out)
    clock = WallClock(minutes, began)
    folder = RunFolder(path_of(out))
    experiment = folder.with_precision(complete(experiment))
    engine = Engine.of(experiment, device)
    experiment = _located(experiment.replace(**{"training.precision": engine.precision}))
    if data is None:
        refuse_inside(folder.path, experiment.data.path)
    main = distributed.is_main()
    calls = Callbacks([*_as_list(callbacks), *open_logs(log)] if main else ())
    with (
        StopRequest(grace=_GRACE if engine.world > 1 else 0.0) as request,
        folder.locked() if main else nullcontext(),
        Watchdog(experiment.training.timeout, cpu=engine.device.type == "cpu") as watchdog,
    ):
        quiet = quiet or not main
        data = data or _opened(experiment, request, quiet=quiet)
        if data is None:
            return _nothing_done(folder, request)
        images = experiment.training.images
        progress = Progress(images, 0, left=clock.left, quiet=quiet, verbose=verbose)
        progress.stopping = lambda: request.set
        with closing(calls):
            result = _train_locked(
                experiment,
                folder,
                engine,
                request,
                data=data,
                progress=progress,
                callbacks=calls,
                clock=clock,
                watchdog=watchdog,
            )
        calls.check()
        return result


def _nothing_done(folder: RunFolder, request: StopRequest) -> RunResult:
    """A signal came before there was anything to save, or to agree on with other processes."""
    distributed.abandon()
    saved = [int(path.name) for path in list_checkpoints(folder.checkpoints)]
    return RunResult(folder.path, max(saved, default=0), False, request.number)


def _train_locked(
    experiment: Experiment,
    folder: RunFolder,
    engine: Engine,
    request: StopRequest,
    *,
    data: ImageData,
    progress: Progress,
    callbacks: Callbacks,
    clock: WallClock,
    watchdog: Watchdog,
) -> RunResult:
    context, new = _begin(
        experiment, folder, engine, data=data, progress=progress, callbacks=callbacks, clock=clock
    )
    context = replace(context, signals=request)
    watchdog.where = lambda: f"{context.images_seen:,} images seen"
    trainer = Trainer(experiment, context.state, data, engine)
    trainer.say = context.progress.say
    hooks = RunHooks(context, trainer)
    if progress.moving:  # lines that move would be written over it
        request.tell = progress.say
    request.needs, request.killed_after = hooks.timetable.saving, experiment.training.grace
    progress.ahead, progress.apart = hooks.timetable.ahead, lambda: clock.total("score")
    if distributed.is_main() and new:
        with clock.measuring("drawing"):
            save_png(real_sheet(data), folder.samples / "real.png")
    callbacks.tell("on_begin", experiment, folder.path, context.images_seen)
    with hooks.writer:
        try:
            with memory_explained(experiment, context.state, data, engine):
                hooks.prepare()
                progress.begin()
                clock.begin()
                done = run(
                    trainer,
                    context.journal,
                    hooks,
                    stop=lambda: request.set or hooks.monitor.stops or callbacks.stops,
                    save_now=request.take_save,
                    first_save=_first_save(clock),
                )
        finally:
            context.progress.close()
            trainer.steps.loader.close()
        result = _conclude(hooks, request, done=done)
    callbacks.tell("on_end", result)
    return result


def _begin(
    experiment: Experiment,
    folder: RunFolder,
    engine: Engine,
    *,
    data: ImageData,
    progress: Progress,
    callbacks: Callbacks,
    clock: WallClock,
) -> tuple[RunContext, bool]:
    """Build or resume the state, record the run, and say what it is; whether it is new."""
    _check_classes(data)
    quiet = progress.quiet
    with told_if_long("building the networks", quiet=quiet):
        state = TrainState.build(experiment, data.num_classes, engine)
    facts = {"images": len(data), "num_classes": data.num_classes, "data_digest": data.digest}
    if distributed.is_main():
        folder.check(experiment)
    distributed.barrier()
    images = describe_images(experiment.data, data) if distributed.is_main() else {}
    try:
        resumed = load_latest(state, folder.checkpoints, facts=facts)
    except OtherFactsError as error:
        changes = [f"  {line}" for line in changes_since(folder.path, images)]
        if not changes:
            raise
        raise OtherFactsError(
            f"{folder.path}: the images are not those that this run has learned from:\n"
            + "\n".join(changes)
            + f"\nResume with the same images, or start a new run: --out {folder.path}-2"
        ) from error
    _check_same_moment(state, folder, engine)
    origin, notes = take_up(state, experiment.training.start_from, resumed)
    facts |= origin
    if distributed.is_main():
        folder.record(experiment, sys.argv, {**engine.describe(), **origin})
        write_record(folder.path, images)
    memory = () if quiet else describe_memory(experiment, state, data, engine)
    with told_if_long("working out the memory that is needed", quiet=quiet):
        introduce(progress, experiment, state, data, engine, memory=memory, resumed=resumed)
    progress.detail(engine.speed.line())
    for line in notes:
        progress.say(line)
    journal = Journal(folder.journal_of(engine.rank, experiment), state.images_seen)
    journal.mark("speed", engine.speed.describe())
    context = RunContext(
        experiment, state, data, engine, folder, journal, progress, facts, callbacks, clock
    )
    return context, resumed is None


def _check_same_moment(state: TrainState, folder: RunFolder, engine: Engine) -> None:
    """Raise ConfigError where processes read different states: they do not see the same folder."""
    moments = distributed.share_texts(str(state.images_seen), engine.device)
    if len(set(moments)) > 1:
        read = ", ".join(f"process {rank} at {int(seen):,}" for rank, seen in enumerate(moments))
        raise ConfigError(
            f"{folder.path}: processes found different states ({read} images); --out must be one "
            "folder that all machines see, such as one of a network file system"
        )


def _conclude(hooks: RunHooks, request: StopRequest, *, done: bool) -> RunResult:
    """Leave a sheet, say where things are, and why it ended."""
    progress, folder, seen = hooks.run.progress, hooks.run.folder, hooks.run.images_seen
    seconds = hooks.timetable.ending(seen)
    if done and not progress.quiet and seconds >= PATIENCE:
        progress.say(f"ending: {hooks.timetable.named()}, about {duration(seconds)}")
    if request.set:
        hooks.writer.finish()  # first of all
    if hooks.timetable.sheet_fits(request.left()):
        hooks.last_sheet()
    hooks.finish()
    request.saved()
    hooks.run.callbacks.deliver(seen)
    if done:
        hooks.final_scores()
        for line in () if progress.quiet else _closing(hooks):
            progress.say(line)
        return RunResult(folder.path, seen, _all_seen(hooks), None)
    kind = hooks.monitor.stopped_by
    by = kind.replace("_", " ") if kind is not None else hooks.run.callbacks.stopped_by
    why = f" by {by}" if by is not None else ""
    planned = hooks.run.experiment.training.images
    share = f" ({share_of(seen, planned)})"
    progress.say(f"stopped at {seen:,} images{why}{share}; the same command resumes")
    return RunResult(folder.path, seen, done, request.number, kind or by)


def _opened(experiment: Experiment, request: StopRequest, *, quiet: bool) -> ImageData | None:
    """The images; None where a signal came."""
    try:
        with (
            request.interrupting(),
            told_if_long("opening the images", quiet=quiet),
        ):
            data = _open_once(experiment)
            _ = data.excerpt  # of shards, which may come from a slow server
            return data
    except Interrupted:
        return None


def _first_save(clock: WallClock) -> float | None:
    """Seconds until the first state is saved: early enough to know how long that takes at the end."""
    left = clock.left()
    return None if left is None else max(left / 4, 0.0)


def _refuse(experiment: Any, minutes: Any, data: Any, out: Any) -> None:
    """Raise ConfigError for what no run can be made of."""
    if not isinstance(experiment, Experiment):
        raise ConfigError(
            f"experiment is {experiment!r}; needed: an Experiment, such as reacgan.experiment("
            '"digits/reacgan") or reacgan.load_experiment(FILE)'
        )
    check_real("minutes", minutes, "a positive number", above=0, optional=True)
    if data is not None:
        check_kind("data", data, ImageData, "images of reacgan.data.open_dataset(...)")
    refuse_file(out)


_PATHS = ("data.path", "training.start_from", "scores.extractor.name", "scores.extractor.weights")


def _located(experiment: Experiment) -> Experiment:
    """The experiment with the whole paths of what it reads: a run is used from any folder.

    A name that no file or folder has here, such as that of a model, stays as it is.
    """
    values = flatten(experiment.model_dump())
    changes = {}
    for key in _PATHS:
        text = values.get(key)
        # Some sets take a count as their path; an extractor's name is no file of this folder.
        if not isinstance(text, str) or text.isdecimal() or text in EXTRACTORS:
            continue
        if path_of(text).exists():
            changes[key] = str(path_of(text).absolute())
    return experiment.replace(**_keeping_options(experiment, changes))


def _keeping_options(experiment: Experiment, changes: dict[str, str]) -> dict[str, Any]:
    """The changes as they are made without dropping the extractor's options."""
    name = changes.pop("scores.extractor.name", None)
    if name is None:
        return dict(changes)
    weights = changes.pop("scores.extractor.weights", None)
    options = experiment.scores.extractor.options | ({"weights": weights} if weights else {})
    return {**changes, "scores.extractor": {"name": name, **options}}


def _all_seen(hooks: RunHooks) -> bool:
    """Whether the plan has no room for another cycle."""
    experiment = hooks.run.experiment
    return hooks.run.images_seen + experiment.cycle_images > experiment.training.images


def _closing(hooks: RunHooks) -> Iterator[str]:
    """What a run that has ended leaves, what its pictures mean, and what may be done with it."""
    run, seen = hooks.run, hooks.run.images_seen
    planned, data = run.experiment.training.images, run.data
    complete = _all_seen(hooks)
    if complete:
        yield f"done: {seen:,} images seen, all of the plan"
    else:
        share = share_of(seen, planned)
        yield f"the minutes are over: {seen:,} images seen, {share}; the same command goes on"
    yield f"sheet       {run.folder.samples / f'{seen:012d}.png'}   (real images: real.png beside it)"
    yield f"generator   {run.folder.model}, with {statistics_in_words(hooks.trained())}"
    meaning = meaning_of(seen, min(data.size), len(data), len(data.class_names), planned=planned)
    yield f"pictures    {seen_in(meaning, data.channels)}"
    yield "next:"
    for command in next_commands(
        run.folder.path,
        data.class_names,
        planned=planned,
        complete=complete,
        outside=from_scripts(run.experiment),
    ):
        yield f"  {command}"


def _as_list(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]


def _open_once(experiment: Experiment) -> ImageData:
    """The main process packs a folder or downloads; the others then find it done."""
    if distributed.is_main():
        data = open_dataset(experiment.data)
        distributed.barrier()
        return data
    distributed.barrier()
    return open_dataset(experiment.data)


def _check_classes(data: ImageData) -> None:
    counts = np.bincount(data.labels, minlength=data.num_classes)
    empty = [data.class_names[label] for label in (counts == 0).nonzero()[0]]
    if empty:
        raise DataError(
            f"{data.source}: no image of {', '.join(map(repr, empty[:10]))}"
            f"{' ...' if len(empty) > 10 else ''}; leave out classes without images"
        )
