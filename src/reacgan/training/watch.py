"""Watches a run: looks now and then, says what it saw, and stops the run or takes it back.

The numbers of each look are part of the journal, so a run that is taken up again knows what it knew.
Looking changes nothing of the training: it draws no random number and moves no weight.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from reacgan import distributed
from reacgan.data import ImageData
from reacgan.evaluation import Score
from reacgan.models.trained import TrainedGenerator
from reacgan.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_latest,
    read_manifest,
    remove_after,
)
from reacgan.training.health import ADVICE, Finding, Look, judge
from reacgan.training.journal import Journal, NonFiniteError, read_lines
from reacgan.training.looks import nature_of, pick, signals
from reacgan.training.loop import Trainer
from reacgan.training.progress import Progress
from reacgan.training.run_folder import RunFolder


class Watch:
    """What a run's loop and tasks call; decisions are the main process's, actions are everyone's.

    Args:
        trainer: of the run, with the state loaded.
        journal: of the run; its file holds the earlier looks.
        progress: says what was seen.
        folder: the run's.
        data: the images.
        finish_writing: waits until the states given to be saved are saved.
    """

    def __init__(
        self,
        trainer: Trainer,
        journal: Journal,
        progress: Progress,
        folder: RunFolder,
        data: ImageData,
        *,
        finish_writing: Callable[[], None] = lambda: None,
    ) -> None:
        self.trainer = trainer
        self.journal = journal
        self.progress = progress
        self.folder = folder
        self.finish_writing = finish_writing
        self.config = trainer.experiment.watch
        self.nature = nature_of(trainer, data)
        self.stopped_by: str | None = None
        """The kind of finding that ends the run, with the action ``stop``."""
        self.error: NonFiniteError | None = None
        """What was found not to be finite, until something is done about it."""
        self._wanted: dict[str, Any] | None = None
        self._numbers: dict[str, float] = {}
        self._scored: dict[str, float] = {}
        self._picked = pick(data) if distributed.is_main() and self.config.action != "off" else None
        self.recall()

    @property
    def good(self) -> int | None:
        """Images seen at the last look that saw nothing; a state from before is kept for it."""
        return self._good if self.config.action == "roll_back" else None

    def recall(self) -> None:
        """Know again what the journal's lines say, up to this moment."""
        self._looks: list[Look] = []
        self._since: list[tuple[int, dict[str, float]]] = []
        self._begun: dict[str, list[int]] = {}
        self._read_at = self._good = 0
        self.error = None
        seen, state = self.trainer.state.images_seen, self.trainer.state
        path = self.folder.journal
        for line in read_lines(path) if path.exists() else ():
            if line["images_seen"] <= seen:
                event = line.get("event") or {}
                # Killed between going back and the next state: the state does not know of it.
                state.rollbacks = max(state.rollbacks, event.get("rollbacks", 0))
                self._note(line)
        self.trainer.lr_scale = self.config.lr_factor**state.rollbacks

    @property
    def stops(self) -> bool:
        """Whether the run is to end."""
        return self.stopped_by is not None

    def look(self, trained: Callable[[], TrainedGenerator] | None) -> None:
        """Work out the signals of the averaged generator; the next line of the journal holds them."""
        if self._picked is None or trained is None:
            return
        found = signals(self.trainer, trained(), self._picked, self.nature)
        self._numbers = {**found, **self._scored}
        self._scored = {}

    def scored(self, scores: Iterable[Score]) -> None:
        """Know these scores at the next look."""
        self._scored = {f"score/{score.metric}": score.value for score in scores}

    def read(self, images_seen: int) -> dict[str, float] | None:
        """The journal's means; None after a loss that is not finite, which :meth:`settle` acts on."""
        try:
            return self.journal.read(images_seen)
        except NonFiniteError as error:
            self.stumble(error)
            return None

    def stumble(self, error: NonFiniteError) -> None:
        """Keep the error for :meth:`settle`."""
        self.error = error

    def noted(self) -> dict[str, Any]:
        """What the line that is written now holds beside its means."""
        numbers, self._numbers = self._numbers, {}
        return (
            {"watch": {name: round(value, 6) for name, value in numbers.items()}} if numbers else {}
        )

    def take(self, line: dict[str, Any]) -> None:
        """Judge a line that was written; says what is new, and notes what is to be done."""
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
                self._wanted = self._wanted or event
                continue
            self._tell(event)
            if self.config.action == "stop":
                self.stopped_by = finding.kind

    def _note(self, line: dict[str, Any]) -> list[tuple[Finding, int]]:
        """Add a line to what is known; what has been seen ``patience`` times in a row just now."""
        if "event" in line:
            return []
        seen = line["images_seen"]
        self._since.append((seen - self._read_at, line))
        self._read_at = seen
        if "watch" not in line:
            return []
        self._looks.append(Look(seen, {**_means(self._since), **line["watch"]}))
        self._since = []
        findings = {finding.kind: finding for finding in judge(self._looks, self.nature)}
        self._begun = {kind: [*self._begun.get(kind, []), seen] for kind in findings}
        if not findings:
            self._good = seen
        return [
            (finding, self._begun[kind][0])
            for kind, finding in findings.items()
            if len(self._begun[kind]) == self.config.patience
        ]

    def _tell(self, event: dict[str, Any]) -> None:
        self.journal.note(event)
        self.progress.say(describe(event))

    def settle(self, facts: dict[str, Any]) -> bool:
        """Go back, on all processes together, where trouble was found; whether the state was changed.

        Raises:
            NonFiniteError: there is nothing to go back to, or it was done too often already.
        """
        state, device = self.trainer.state, self.trainer.engine.device
        stumbled = distributed.any_process(self.error is not None, device)
        error = self.error or NonFiniteError(
            ["a loss of another process"], f"by {state.images_seen:,}"
        )
        if self.config.action != "roll_back":
            if stumbled:
                raise error
            return False
        if not distributed.any_process(stumbled or self._wanted is not None, device):
            return False
        event = self._event(error) if stumbled else self._wanted
        self.finish_writing()  # the states are looked through
        text = json.dumps([event, self._target()]) if distributed.is_main() else None
        event, target = json.loads(distributed.share_text(text, device))
        self.error = self._wanted = None
        if target is None or state.rollbacks >= self.config.most_rollbacks:
            if stumbled:
                raise error
            event["action"] = "stop"
            self.stopped_by = event["kind"]
            self._tell(event)
            return False
        self._go_back(event, target, facts)
        return True

    def _event(self, error: NonFiniteError) -> dict[str, Any]:
        seen = self.trainer.state.images_seen
        return {
            "kind": "not_finite",
            "at": seen,
            "since": self._read_at,
            "evidence": {},
            "what": [*error.names, *([error.first] if error.first else [])],
            "advice": ADVICE["not_finite"],
        }

    def _target(self) -> int | None:
        """Images seen of the newest whole state from before the trouble began."""
        last = self._good if self._begun else self.trainer.state.images_seen
        for path in reversed(list_checkpoints(self.folder.checkpoints)):
            if int(path.name) <= last:
                try:
                    read_manifest(path)
                except CheckpointError:
                    continue
                return int(path.name)
        return None

    def _go_back(self, event: dict[str, Any], target: int, facts: dict[str, Any]) -> None:
        state = self.trainer.state
        count = state.rollbacks + 1
        if distributed.is_main():
            remove_after(self.folder.checkpoints, target)
        distributed.barrier()
        load_latest(state, self.folder.checkpoints, facts=facts)
        state.rollbacks = count
        self.journal.back_to(state.images_seen)
        if distributed.is_main():
            rates = self.config.lr_factor**count
            self._tell({**event, "action": "roll_back", "rollbacks": count, "lr_scale": rates})
        distributed.barrier()
        self.recall()


def _means(lines: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, float]:
    """Means of the journal's means, weighed by the images that each is of."""
    sums: dict[str, tuple[float, int]] = {}
    for images, line in lines:
        for name, value in line.items():
            if "/" in name:
                total, count = sums.get(name, (0.0, 0))
                sums[name] = total + images * value, count + images
    return {name: total / count for name, (total, count) in sums.items() if count}


def describe(event: dict[str, Any]) -> str:
    """An event in plain words, for a person."""
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
