"""What is found in a set of images, what is proposed for it and why, in plain words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from reacgan.assembly import complete
from reacgan.config import (
    ConfigError,
    Device,
    Experiment,
    as_written,
    check_changes,
    check_real,
    load_experiment,
    path_of,
    refuse_unwritable,
    size_of,
)
from reacgan.data import DataError, open_dataset, refuse_inside, survey_dataset
from reacgan.data.names import plural
from reacgan.data.overview import Overview, overview_of, without_notes
from reacgan.devices import find_device
from reacgan.experiments import EXPERIMENTS
from reacgan.experiments.derive import (
    Derived,
    derive,
    facts_of,
    find_set,
    has_accelerator,
    options_in,
)
from reacgan.experiments.methods import METHODS
from reacgan.files import write_text
from reacgan.hub import locate
from reacgan.outlook import prospect, seen_in
from reacgan.planning.plan_file import to_yaml
from reacgan.planning.start_weights import (
    MEASURED,
    TRIED,
    described,
    fitting,
    refuse_unlike,
    values_of,
)
from reacgan.planning.timing import Timing, time_steps
from reacgan.training.run_folder import default_folder, free_folder

_FILE = Path("experiment.yaml")
_BASE = "cifar10-small/reacgan, which was tried on two CPU cores"


@dataclass(frozen=True)
class Proposal:
    """A plan for a set of images.

    Args:
        path: of the images, as it was given.
        overview: what was found.
        derived: what is proposed and why.
        timing: how fast this machine is; None where it was not measured.
        source: the weights that are started from, as they were named.
    """

    path: str
    overview: Overview
    derived: Derived
    timing: Timing | None = None
    source: str | None = None

    @property
    def experiment(self) -> Experiment:
        """What would be trained."""
        return self.derived.experiment

    def findings(self) -> str:
        """What was found."""
        return self.overview.text()

    def proposed(self) -> str:
        """What is proposed, and why."""
        rows = [
            f"{choice.key} = {_short(choice.value)}: {choice.reason}"
            for choice in self.derived.choices
        ]
        return "\n".join([f"proposed: {self.method}", *_indented(rows)])

    def facts(self) -> dict[str, Any]:
        """All of it by names, for a program."""
        return {
            "found": self.overview.facts(),
            "method": self.method,
            "choices": [
                {"key": each.key, "value": each.value, "reason": each.reason}
                for each in self.derived.choices
            ],
            "start_from": self.source,
            "expected": [*self._expectation()],
            "timing": self.timing,
            "experiment": self.experiment.model_dump(),
        }

    @property
    def method(self) -> str:
        """The method, size and length in one line."""
        experiment = self.experiment
        size = " x ".join(map(str, size_of(experiment.data.resolution)))
        return (
            f"{_title(experiment)} at {size} pixels, {experiment.training.images:,} images to see"
        )

    def _expectation(self) -> Iterator[str]:
        """What can come of so many images, from these weights or without."""
        yield _expectation(self.overview)
        images = self.overview.images
        if self.source is not None:
            yield (
                f"begins with {self.source} ({described(self.source)}); where its images are like yours "
                "the first stages come sooner than from nothing"
            )
        elif prospect(images, len(self.overview.balance.counts)).few:
            names = [*fitting(self.experiment.data)]
            yield (
                "starting from trained weights helps sets like this: --from runs/NAME, a run of your own "
                "on similar images" + "".join(f", or {name}" for name in names)
            )
            if TRIED in names:
                yield f"photos in colour gain by --from {TRIED}, for non-commercial research: {MEASURED}"
        if images > 100_000:
            yield "on a CPU each image is seen a few times only; sets of this size want a GPU"

    def expected(self) -> str:
        """What so many images can give, and how long it takes."""
        lines = [*self._expectation()]
        if self.timing is not None:
            side = min(size_of(self.experiment.data.resolution))
            lines += self.timing.lines(
                self.experiment,
                side=side,
                images=self.overview.images,
                classes=len(self.overview.balance.counts),
            )
        return "\n".join(["what to expect", *_indented(lines)])

    def in_short(self) -> str:
        """A few lines: what was found, what is done, what to expect."""
        reasons = {choice.key: choice.reason for choice in self.derived.choices}
        lines = [self.overview.first_line(), *self.overview.faults(), f"plan: {self.method}"]
        lines += [
            reasons[key]
            for key in ("data.balanced", "model.head.name", "training.start_from")
            if key in reasons
        ]
        lines.append(next(self._expectation()))
        lines.append(f"every value with its reason: --verbose, or {self._command}")
        first, *others = lines
        return "\n".join([first, *_indented(others)])

    @property
    def _command(self) -> str:
        """What makes this plan, but for values that change nothing of what is found."""
        words = ["reacgan", "new", self.path]
        options = self.experiment.data.options
        if options:
            words += ["--set", *(f"data.options.{key}={value}" for key, value in options.items())]
        return shlex.join(words + (["--from", self.source] if self.source else []))

    @cached_property
    def text(self) -> str:
        """The plan as a YAML file, with comments."""
        base = f"{self.source}, whose weights it starts from" if self.source else _BASE
        head = (
            f"A plan for {plural(self.overview.images, 'image')}, made by: {self._command}\n"
            "Train it, and train it on after a stop, by: reacgan train THIS_FILE\n"
            "Every key there is: reacgan train THIS_FILE --dry-run; what is not here has its default.\n"
            f"Where no reason is given, a value is that of {base}."
        )
        reasons = {choice.key: choice.reason for choice in self.derived.choices}
        reasons |= {"data.name": "what opens the path", "data.path": "your images"}
        experiment, path = self.experiment, self.experiment.data.path
        if path is not None and path_of(path).exists():  # found from any folder
            experiment = experiment.replace(**{"data.path": str(path_of(path).resolve())})
        return to_yaml(experiment, reasons, head=head)

    def named_after(self, out: str | Path) -> Proposal:
        """The plan under the name of its file, so that a second plan for the same images is another run.

        ``experiment.yaml`` has the name of the images, and a name that was given stays.

        Args:
            out: the file.
        """
        stem = path_of(out).stem
        if stem == _FILE.stem or any(choice.key == "name" for choice in self.derived.choices):
            return self
        named = self.experiment.replace(name=stem)
        return replace(self, derived=replace(self.derived, experiment=named))

    def write(self, out: str | Path = _FILE, *, force: bool = False) -> Path:
        """Write the plan, for ``reacgan train``, under the name that :meth:`named_after` gives it.

        Args:
            out: the file; outside of the images' folder.
            force: replace a file that is there.

        Raises:
            ConfigError: the file is there already, lies among the images, or cannot be written.
        """
        file = refuse_unwritable(out, "file")
        refuse_inside(file, self.experiment.data.path)
        if file.exists() and not force:
            raise ConfigError(
                f"{out}: exists, and is not replaced; --force replaces it, --out FILE writes another"
            )
        write_text(file, self.named_after(file).text)
        return file

    def train_command(self, file: str | Path) -> str:
        """The command that trains the written plan: in ``runs/<name>``, or in the next that is free.

        Args:
            file: the plan, which may have been changed since.
        """
        planned = load_experiment(path_of(file))
        folder = free_folder(planned)
        elsewhere = ["--out", str(folder)] if folder != default_folder(planned) else []
        return shlex.join(["reacgan", "train", str(file), *elsewhere])


def _title(experiment: Experiment) -> str:
    """The method's name in the literature, by its networks and head."""
    model = experiment.model
    for method in METHODS:
        known = EXPERIMENTS[method.experiment].model
        if (known.head.name, known.generator.name) == (model.head.name, model.generator.name):
            return method.title
    if model.head.name == "unconditional":
        return f"{model.generator.name} without classes"
    return f"{model.generator.name} with the head {model.head.name}"


def propose(
    path: str | Path,
    *,
    device: Device = "auto",
    given: Mapping[str, Any] | None = None,
    start_from: str | Path | None = None,
    seconds: float = 20.0,
    copies: bool = True,
    tell: Callable[[str], None] = lambda text: None,
) -> Proposal:
    """Look at a set of labelled images and make a plan for it.

    Args:
        path: as :func:`reacgan.derive_experiment` takes it.
        device: where it will be trained.
        given: fixed values by dotted keys.
        start_from: a run, model folder or name of a model (:func:`reacgan.pretrained`) whose weights
            the run begins with; networks and resolution are then its own.
        seconds: how long steps are timed on this machine; 0 for not at all.
        copies: whether to look for files with the same content.
        tell: gets each part of the text as soon as it is known.

    Raises:
        DataError: images that cannot be used, or too many of them.
        ConfigError: a value that cannot be used, or weights that cannot.
    """
    fixed = dict(given or {})
    check_changes(fixed)  # before minutes of looking
    find_device(device)
    check_real("seconds", seconds, "0 or more", least=0)
    if start_from is not None:
        locate(start_from)
    dataset = find_set(str(path), options=options_in(fixed))
    survey = survey_dataset(dataset)
    overview = overview_of(survey, copies=copies)
    facts = replace(
        facts_of(dataset, survey, accelerator=has_accelerator(device)),
        given=fixed,
    )
    if start_from is not None:
        needed = values_of(start_from, images=facts.images)
        refuse_unlike(start_from, needed, derive(facts).experiment.data, given=fixed)
        facts = replace(facts, source=str(start_from), of_source=needed)
    source = str(start_from) if start_from is not None else None
    proposal = Proposal(str(path), overview, derive(facts), source=source)
    tell(proposal.findings())
    if overview.refusal:
        raise DataError(overview.refusal)
    complete(proposal.experiment)
    tell(proposal.proposed())
    if seconds > 0:
        tell(f"timing the steps of training for {seconds:g} s ...")
        with without_notes(overview.notes):
            data = open_dataset(proposal.experiment.data)
        timing = time_steps(proposal.experiment, data, device=device, seconds=seconds)
        proposal = replace(proposal, timing=timing)
    tell(proposal.expected())
    return proposal


def _expectation(overview: Overview) -> str:
    """What can come of so many images, without flattery."""
    images, classes = overview.images, len(overview.balance.counts)
    expected = prospect(images, classes)
    what = plural(images, "image")
    if classes > 1:
        what += f" of {classes:,} classes"
        what += f", about {images / classes:.0f} a class," if expected.few else ""
    said = seen_in(expected.said, overview.channels)
    return f"{what} {said.replace('are', 'is', 1) if images == 1 else said}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", dict(value)))
    return f"{value:,}" if type(value) is int else as_written(value)


def _indented(lines: Iterable[str]) -> list[str]:
    """Below a heading."""
    return [f"  {line}" for line in lines]
