"""Write a data set of generated images; interrupted, the same call goes on to the same bytes."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import PIL
import torch

from reacgan import __version__
from reacgan.config import (
    MOST,
    ConfigError,
    Device,
    check_choice,
    check_whole,
    differing,
    lookup,
    path_of,
    size_of,
)
from reacgan.data import refuse_inside
from reacgan.data.beside import GENERATED
from reacgan.data.names import shown
from reacgan.files import cache_root, locked, naming, not_kept, write_text
from reacgan.generated.counts import Distribution, class_counts
from reacgan.generated.forms import FORMS, Item, SetForm
from reacgan.generated.sequence import (
    DIGEST,
    ClassSeeds,
    Order,
    pixel_digest,
    sequence,
    whole_digest,
)
from reacgan.hub import load
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.models.trained import TrainedGenerator
from reacgan.progress import stage
from reacgan.records import read_mapping
from reacgan.sampling.grids import class_folders
from reacgan.sampling.images import DEFAULTS, images_of
from reacgan.sampling.passes import Passes
from reacgan.sampling.settings import SamplingSettings, check_settings

KIND = f"{GENERATED} 1"
SHARD = 1000
"""Images of a shard by default."""
PART = 64
"""Images between two marks of progress, where parts are not seen by readers."""

Progress = Callable[[int, int], None]
Turn = AbstractContextManager[object]


@dataclass(frozen=True)
class GeneratedSet:
    """What :func:`generate_dataset` has written."""

    path: Path
    form: str
    images: int
    """Of the whole set."""
    done: int
    """Of these written, also by earlier calls."""
    resumed: int
    """Of these written by earlier calls."""
    counts: dict[str, int]
    """Images by class."""
    manifest: Mapping[str, Any] | None
    """None until the set is complete."""
    pattern: str | None = None
    """The shards as ``webdataset.WebDataset`` wants them, where they are some."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.manifest is not None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of classes, seeds and pixels; empty until the set is complete."""
        return "" if self.manifest is None else str(self.manifest["digest"])


def generate_dataset(
    model: TrainedGenerator | str | Path,
    out: str | Path,
    *,
    to: str = "folder",
    num: int | None = None,
    total: int | None = None,
    classes: Sequence[int | str] | str | int = "all",
    distribution: Distribution = "balanced",
    order: Order | None = None,
    shard: int | None = None,
    settings: SamplingSettings = DEFAULTS,
    device: Device = "auto",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    keep: bool = True,
    turn: Turn | None = None,
    **options: Any,
) -> GeneratedSet:
    """Write generated images with labels in a form that other tools read.

    Image k of each class has seed ``seed + k`` and is the image of :func:`reacgan.sample`, whatever the
    form, the order and the shards. A call that was interrupted goes on when it is made again, to the same
    bytes; another model or other settings in the same place are refused. A second process that writes
    there waits.

    Args:
        model: from :func:`reacgan.load`, or what that takes.
        out: the folder to write, or with ``to="zip"`` the file.
        to: ``folder`` (a folder a class), ``zip`` (the same in a file), ``webdataset`` (tar shards),
            ``parquet`` (the hub's layout) or ``hf`` (for ``datasets.load_from_disk``).
        num: images of each class; by default 100. With another distribution than balanced their mean.
        total: images of all classes, instead of ``num``.
        classes: those that get images.
        distribution: ``balanced``, ``training``, or shares; see
            :func:`reacgan.generated.class_counts`.
        order: ``classes`` or ``shuffled``; by default shuffled for all but ``folder`` and ``zip``.
        shard: images of a shard of ``webdataset`` and ``parquet``; by default 1,000.
        settings: how images are generated; ``seed`` is the first one.
        device: where a model that is named goes.
        progress: called with (images done, images of the set) after each pass.
        should_stop: asked before each pass; True ends the call, with what is finished kept.
        keep: False removes what a call that is stopped or fails has begun; what earlier calls have begun
            stays.
        turn: entered for each pass and left after it, such as a lock: no two threads may use a generator
            at once.
        options: individual settings: seed, truncation, psi, layers, statistics, precision, langevin,
            moves.

    Raises:
        ConfigError: a value out of range, a missing package, images or another set in the same place, a
            place that cannot be written, the name of another kind of file.
        OSError: the disk is full.
    """
    kind: Any = lookup("form", FORMS, to)
    check_settings(settings)
    kind.check_name(out)
    settings = settings.changed(**options)
    for name, value in (("num", num), ("total", total), ("shard", shard)):
        check_whole(name, value, most=MOST, optional=True)
    check_choice("order", order, get_args(Order), optional=True)
    model, settings = prepared(model, settings, device)
    data, path = model.experiment.data, path_of(out)
    refuse_inside(path, data.path)
    kind.check(data.channels)
    counts = class_counts(model, classes=classes, num=num, total=total, distribution=distribution)
    passes, order = Passes(model.generator, settings), order or kind.order
    form = kind(
        path,
        model.class_names,
        sequence(counts, seed=settings.seed or 0, order=order),
        (data.channels, *size_of(data.resolution)),
        _part_size(to, shard, passes.size),
    )
    facts = {**_facts(model, settings, counts.tolist()), "form": to, "order": order}
    facts |= {"shape": list(form.shape), "shard": form.part if kind.sharded else None}
    lock = cache_root() / "locks" / hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, f"writes {path}"))
        except (OSError, NotImplementedError) as error:
            not_kept(lock.parent, error, "two processes that write one set are not kept apart")
        writing = _Writing(model, settings, passes, form, facts, turn or nullcontext())
        return writing.run(progress, should_stop, keep=keep)


def prepared(
    model: TrainedGenerator | str | Path, settings: SamplingSettings, device: Device
) -> tuple[TrainedGenerator, SamplingSettings]:
    """The model with its statistics, and the settings with the precision decided.

    Raises:
        ConfigError: settings with which an image is not determined by its class and seed.
    """
    settings.refuse("labels", by="generate_dataset")
    if not isinstance(model, TrainedGenerator):
        model = load(model, device=device, check=settings.statistics is None)
    model = settings.prepared(model)
    if normalises_by_batch(model.generator):
        raise ConfigError(
            "statistics is 'batch', with which a class and a seed do not fix an image, so that none could "
            "be made again; allowed: auto, own, moving, standing"
        )
    return model, settings.on(next(model.generator.parameters()).device)


def _part_size(to: str, shard: int | None, size_of_pass: int) -> int:
    """Images of a part: a shard, or a few passes."""
    if not FORMS[to].sharded:
        if shard is not None:
            raise ConfigError(f"shard is {shard}, and {to} has no shards; leave it out")
        return max(PART, size_of_pass)
    return shard or SHARD


def _facts(
    model: TrainedGenerator, settings: SamplingSettings, counts: Sequence[int]
) -> dict[str, Any]:
    """What the bytes of a set depend on, whatever its form."""
    folders = class_folders(model.class_names)
    first = settings.seed or 0
    named = settings.named()
    if settings.langevin is not None:
        named["langevin"] = settings.langevin.facts()
    if settings.moves is not None:
        named["moves"] = settings.moves.facts()
    return {
        "kind": KIND,
        "images": sum(counts),
        **({} if model.white is None else {"white": model.white, "values": model.values_in_words}),
        "made_with": {
            "reacgan": __version__,
            "torch": torch.__version__,
            "pillow": PIL.__version__,
            "device": next(model.generator.parameters()).device.type,
            "machine": platform.machine(),
        },
        "model": {
            "experiment": model.experiment.name,
            "images_seen": model.images_seen,
            "digest": model.digest,
            "batch_norm": None if model.norms is None else model.norms.kind,
        },
        "settings": {**named, "seed": first},
        "class_names": list(model.class_names),
        "classes": [
            {
                "name": model.class_names[label],
                "label": label,
                "folder": folders[label],
                "images": count,
                "seeds": [first, first + count - 1],
            }
            for label, count in enumerate(counts)
            if count
        ],
    }


class _StoppedError(Exception):
    """Whoever called wants no more."""


class _Writing:
    """Writes what is missing of a set."""

    def __init__(
        self,
        model: TrainedGenerator,
        settings: SamplingSettings,
        passes: Passes,
        form: SetForm,
        facts: Mapping[str, Any],
        turn: Turn,
    ) -> None:
        self.model = model
        self.settings = settings
        self.passes = passes
        self.form = form
        self.facts = facts
        self.turn = turn
        self.total = len(form.pairs.labels)
        self.done = 0

    def run(
        self, progress: Progress | None, should_stop: Callable[[], bool] | None, *, keep: bool
    ) -> GeneratedSet:
        """Write what is missing; without ``keep`` all of it or nothing."""
        complete = self.form.known_manifest()
        if complete is not None and complete.get("kind") == KIND:
            self._refuse_other({name: complete[name] for name in complete if name != "digest"})
            shutil.rmtree(self.form.state, ignore_errors=True)
            return self._result(complete, self.total, self.total)
        if self.form.is_foreign():
            raise ConfigError(
                f"{self.form.out}: exists and is no data set of `reacgan generate`; choose another place"
            )
        leftovers = (self.form.state, self.form.out)
        begun = keep or any(path.exists() for path in leftovers)
        made = None
        try:
            made = self._rest(progress, should_stop)
        finally:
            if not begun and (made is None or not made.complete):
                _remove(*leftovers)
        return made if begun or made.complete else replace(made, done=0)

    def _rest(
        self, progress: Progress | None, should_stop: Callable[[], bool] | None
    ) -> GeneratedSet:
        """Write the missing parts and the end."""
        marks = self._marks()
        ready = [
            part for part in range(self.form.parts) if marks.done[part] and self.form.has(part)
        ]
        self.done = resumed = sum(len(self.form.pairs_of(part).labels) for part in ready)
        try:
            with stage("generating", self.total, start=resumed) as task:

                def report(done: int) -> None:
                    task.at(done)
                    if progress is not None:
                        progress(done, self.total)

                report(resumed)
                for part in sorted(set(range(self.form.parts)) - set(ready)):
                    self.form.write(part, self._items(part, marks, report, should_stop))
                    marks.done[part] = 1
        except _StoppedError:
            kept = sum(
                len(self.form.pairs_of(part).labels) for part in np.flatnonzero(marks.done).tolist()
            )
            return self._result(None, kept, resumed)
        digest = whole_digest(marks.digests, self.form.pairs, self.model.class_names)
        manifest = {**self.facts, "digest": digest}
        del marks  # whose files go with the state
        self.form.finish(manifest)
        return self._result(manifest, self.total, resumed)

    def _items(
        self,
        part: int,
        marks: _Marks,
        report: Callable[[int], None],
        should_stop: Callable[[], bool] | None,
    ) -> Iterator[Item]:
        """The images of a part, a pass at a time."""
        start = part * self.form.part
        stop = min(start + self.form.part, self.total)
        for first in range(start, stop, self.passes.size):
            if should_stop is not None and should_stop():
                raise _StoppedError
            chosen = self.form.pairs.part(first, min(first + self.passes.size, stop))
            images = self._images(chosen)
            triples = zip(chosen.labels.tolist(), chosen.seeds.tolist(), images, strict=True)
            for position, (label, seed, image) in enumerate(triples, first):
                marks.digests[position] = np.frombuffer(pixel_digest(image), dtype=np.uint8)
                yield Item(label, seed, image)
            self.done += len(images)
            report(self.done)

    def _images(self, pairs: ClassSeeds) -> torch.Tensor:
        labels, seeds = torch.from_numpy(pairs.labels.copy()), pairs.seeds.tolist()
        with self.turn:
            return images_of(self.model, labels, seeds, self.settings, self.passes)

    def _marks(self) -> _Marks:
        """What is remembered of earlier calls; begins to be, where nothing is."""
        file = self.form.state / "state.json"
        known = read_mapping(file)
        if known is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(self.facts))
        else:
            self._refuse_other(known)
        return _Marks(file.parent, self.total, self.form.parts)

    def _refuse_other(self, known: Mapping[str, Any]) -> None:
        """Refuse to go on with what was made otherwise."""
        lines = [*_differences(known, self.facts)]
        if lines:
            more = f" and {len(lines) - 4} more" if len(lines) > 4 else ""
            raise ConfigError(
                f"{self.form.out}: holds images that were made otherwise: "
                f"{'; '.join(lines[:4])}{more}. Choose another place, or ask for the same"
            )

    def _result(self, manifest: Mapping[str, Any] | None, done: int, resumed: int) -> GeneratedSet:
        return GeneratedSet(
            path=self.form.out,
            form=str(self.facts["form"]),
            images=self.total,
            done=done,
            resumed=resumed,
            counts={entry["name"]: entry["images"] for entry in self.facts["classes"]},
            manifest=manifest,
            pattern=getattr(self.form, "pattern", None),
        )


class _Marks:
    """Which parts are finished, and the digests of their images, in files that a killed process leaves."""

    def __init__(self, folder: Path, images: int, parts: int) -> None:
        self.digests = _mapped(folder / "digests", (images, DIGEST))
        self.done = _mapped(folder / "done", (parts,))


def _mapped(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    whole = path.is_file() and path.stat().st_size == int(np.prod(shape))
    with naming(path):
        return np.memmap(path, dtype=np.uint8, mode="r+" if whole else "w+", shape=shape)


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def _differences(known: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """What is there and what is asked for, in words: classes first, then what else, then counts."""
    trees = known, facts
    model = [tree.get("class_names") or [] for tree in trees]
    chosen = [[entry.get("name") for entry in tree.get("classes") or []] for tree in trees]
    if model[0] != model[1]:
        yield f"the model's classes are {shown(model[0])} there, asked for: {shown(model[1])}"
    elif chosen[0] != chosen[1]:
        yield f"the classes are {shown(chosen[0])} there, asked for: {shown(chosen[1])}"
    for key, old, new in differing(known, facts):
        if key not in ("classes", "class_names"):
            yield f"{key} is {_short(old)} there, asked for: {_short(new)}"
    for old, new in zip(known.get("classes") or [], facts["classes"], strict=False):
        if chosen[0] == chosen[1] and (before := old.get("images")) != new["images"]:
            yield f"{shown([new['name']])}: {_short(before)} images there, asked for: {new['images']}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:16]}..."
