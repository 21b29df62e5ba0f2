"""Monitors a run: takes snapshots, reports findings, and stops the run or goes back.

The journal holds the numbers of each snapshot, so a resumed run has the same history. A snapshot does
not change training: it draws no random number and changes no weight.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from reacgan import distributed
from reacgan.evaluation import Score
from reacgan.history import read_records
from reacgan.models.trained import TrainedGenerator
from reacgan.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_latest,
    read_manifest,
    remove_after,
)
from reacgan.training.context import RunContext
from reacgan.training.journal import NonFiniteError
from reacgan.training.monitor.checks import ADVICE, Finding, Snapshot, check
from reacgan.training.monitor.signals import generator_signals, pick, real_sign, run_facts


class Monitor:
    """The monitor of a run; the main process decides, all processes act.

    Args:
        run: with the state loaded; the journal's file holds the earlier snapshots.
        finish_writing: waits until all checkpoints are written.
    """

    def __init__(
        self, run: RunContext, *, finish_writing: Callable[[], None] = lambda: None
    ) -> None:
        self.run = run
        self.finish_writing = finish_writing
        self.config = run.experiment.watch
        self.facts = run_facts(run.experiment, run.data)
        self.stopped_by: str | None = None
        """The kind of finding that ends the run, with the action ``stop``."""
        self.error: NonFiniteError | None = None
        """An error that :meth:`resolve` has not handled yet."""
        self._rollback: dict[str, Any] | None = None
        self._numbers: dict[str, float] = {}
        self._scores: dict[str, float] = {}
        monitors = distributed.is_main() and self.config.action != "off"
        self._picked = pick(run.data) if monitors else None
        self.recall()

    @property
    def good(self) -> int | None:
        """Images seen at the last snapshot without a finding; an earlier checkpoint is kept for it."""
        return self._good if self.config.action == "roll_back" else None

    def recall(self) -> None:
        """Read the journal's lines up to this moment again."""
        self._snapshots: list[Snapshot] = []
        self._since: list[tuple[int, dict[str, float]]] = []
        self._begun: dict[str, list[int]] = {}
        self._read_at = self._good = 0
        self.error = None
        state, path = self.run.state, self.run.folder.journal
        for line in read_records(path):
            if line["images_seen"] <= state.images_seen:
                event = line.get("event") or {}
                # Killed between going back and the next checkpoint, which lacks the event.
                state.rollbacks = max(state.rollbacks, event.get("rollbacks", 0))
                self._note(line)
        state.lr_scale = self.config.lr_factor**state.rollbacks

    @property
    def stops(self) -> bool:
        """Whether the run should end."""
        return self.stopped_by is not None

    def snapshot(self, trained: Callable[[], TrainedGenerator] | None) -> None:
        """Compute the signals; the next line of the journal holds them."""
        if self._picked is None or trained is None:
            return
        signals = generator_signals(trained(), self._picked)
        if self.facts.undecided is not None:
            training, engine = self.run.experiment.training, self.run.engine
            signals["real_sign"] = real_sign(
                self.run.state.discriminator,
                engine,
                self._picked,
                undecided=self.facts.undecided,
                # a batch size that is known to fit
                batch=max(training.batch // engine.world // training.parts(engine.world), 1),
            )
        self._numbers = {**signals, **self._scores}
        self._scores = {}

    def scored(self, scores: Iterable[Score]) -> None:
        """Use these scores in the next snapshot."""
        self._scores = {f"score/{score.metric}": score.value for score in scores}

    def read(self, images_seen: int) -> dict[str, float] | None:
        """The journal's means; None after a loss that is not finite, which :meth:`resolve` handles."""
        try:
            return self.run.journal.read(images_seen)
        except NonFiniteError as error:
            self.error = error
            return None

    def numbers(self) -> dict[str, Any]:
        """The numbers of the current line besides its means."""
        numbers, self._numbers = self._numbers, {}
        return (
            {"watch": {name: round(value, 6) for name, value in numbers.items()}} if numbers else {}
        )

    def take(self, line: dict[str, Any]) -> None:
        """Check a line that was written; reports new findings and schedules the action."""
        for finding, since in self._note(line):
            event = {
                "kind": finding.kind,
                "at": line["images_seen"],
                "since": since,
                "action": self.config.action,
                "evidence": {name: round(value, 6) for name, value in finding.evidence.items()},
                "advice": ADVICE[finding.kind],
            }
            if self.config.action == "roll_back":
                self._rollback = self._rollback or event
                continue
            self._tell(event)
            if self.config.action == "stop":
                self.stopped_by = finding.kind

    def _note(self, line: dict[str, Any]) -> list[tuple[Finding, int]]:
        """Add a line to the history; returns findings that now occurred ``patience`` times in a row."""
        if "event" in line:
            return []
        seen = line["images_seen"]
        self._since.append((seen - self._read_at, line))
        self._read_at = seen
        if "watch" not in line:
            return []
        self._snapshots.append(Snapshot(seen, {**_means(self._since), **line["watch"]}))
        self._since = []
        findings = {finding.kind: finding for finding in check(self._snapshots, self.facts)}
        self._begun = {kind: [*self._begun.get(kind, []), seen] for kind in findings}
        if not findings:
            self._good = seen
        return [
            (finding, self._begun[kind][0])
            for kind, finding in findings.items()
            if len(self._begun[kind]) == self.config.patience
        ]

    def _tell(self, event: dict[str, Any]) -> None:
        self.run.journal.note(event)
        self.run.progress.say(describe(event))

    def resolve(self) -> bool:
        """Go back if scheduled, on all processes together; returns whether the state changed.

        Raises:
            NonFiniteError: no checkpoint to go back to, or the limit of rollbacks is reached.
        """
        state, device = self.run.state, self.run.engine.device
        failed = distributed.any_process(self.error is not None, device)
        error = self.error or NonFiniteError(
            ["a loss of another process"], f"by {state.images_seen:,}"
        )
        if self.config.action != "roll_back":
            if failed:
                raise error
            return False
        if not distributed.any_process(failed or self._rollback is not None, device):
            return False
        event = self._event(error) if failed else self._rollback
        self.finish_writing()  # before checkpoints are read
        text = json.dumps([event, self._target()]) if distributed.is_main() else None
        event, target = json.loads(distributed.share_text(text, device))
        self.error = self._rollback = None
        if target is None or state.rollbacks >= self.config.most_rollbacks:
            if failed:
                raise error
            event["action"] = "stop"
            self.stopped_by = event["kind"]
            self._tell(event)
            return False
        self._go_back(event, target)
        return True

    def _event(self, error: NonFiniteError) -> dict[str, Any]:
        return {
            "kind": "not_finite",
            "at": self.run.images_seen,
            "since": self._read_at,
            "evidence": {},
            "what": [*error.names, *([error.first] if error.first else [])],
            "advice": ADVICE["not_finite"],
        }

    def _target(self) -> int | None:
        """Images seen of the newest intact checkpoint from before the first fault."""
        last = self._good if self._begun else self.run.images_seen
        for path in reversed(list_checkpoints(self.run.folder.checkpoints)):
            if int(path.name) <= last:
                try:
                    read_manifest(path)
                except CheckpointError:
                    continue
                return int(path.name)
        return None

    def _go_back(self, event: dict[str, Any], target: int) -> None:
        state = self.run.state
        count = state.rollbacks + 1
        if distributed.is_main():
            remove_after(self.run.folder.checkpoints, target)
        distributed.barrier()
        load_latest(state, self.run.folder.checkpoints, facts=self.run.facts)
        state.rollbacks = count
        self.run.journal.back_to(state.images_seen)
        if distributed.is_main():
            rates = self.config.lr_factor**count
            self._tell({**event, "action": "roll_back", "rollbacks": count, "lr_scale": rates})
        distributed.barrier()
        self.recall()


def _means(lines: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, float]:
    """Means of the journal's means, weighted by their number of images."""
    sums: dict[str, tuple[float, int]] = {}
    for images, line in lines:
        for name, value in line.items():
            if "/" in name:
                total, count = sums.get(name, (0.0, 0))
                sums[name] = total + images * value, count + images
    return {name: total / count for name, (total, count) in sums.items() if count}


def describe(event: dict[str, Any]) -> str:
    """An event as text."""
    kind = event["kind"].replace("_", " ")
    shown = [f"{name} {value:.3g}" for name, value in event["evidence"].items()]
    text = f"warning: {kind} since {event['since']:,} images"
    if shown or "what" in event:
        text += f" ({', '.join(shown or event['what'])})"
    if event["action"] == "roll_back":
        return (
            f"{text}; went back from {event['at']:,} images, learning rates x {event['lr_scale']:g} "
            f"(time {event['rollbacks']})"
        )
    return f"{text}; {event['advice']}"
