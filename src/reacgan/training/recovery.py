"""Back to the last moment at which all was finite, and over the steps since once more, carefully.

A copy of the state is kept in main memory. Since randomness is a function of images seen, the steps since
then come out as they did; each is looked at now (:mod:`reacgan.training.careful`), and the one that is
not finite is made again by plain operations. When the copy was made changes no bit of what follows.
"""

from __future__ import annotations

from reacgan import distributed
from reacgan.training.alarm import Alarm
from reacgan.training.background import Copier, Snapshot
from reacgan.training.journal import Journal, NonFiniteError, Position
from reacgan.training.loop import Trainer

SECONDS_BETWEEN_COPIES = 10.0


class Recovery:
    """Keeps a finite state and takes the run back to it; every process calls each method.

    Args:
        trainer: of the run, with the state loaded.
        journal: of the run.
    """

    def __init__(self, trainer: Trainer, journal: Journal) -> None:
        self.error: NonFiniteError | None = None
        """Why the run goes over its last steps again; None while it does not."""
        self._trainer = trainer
        self._journal = journal
        self._copier = Copier()
        self._kept: tuple[Snapshot, Position] | None = None
        self._alarm = Alarm(0.0, SECONDS_BETWEEN_COPIES)
        self._on = trainer.experiment.watch.recover
        self.keep()

    @property
    def possible(self) -> bool:
        """Whether there is a moment to go back to, and the steps since have not been gone over yet."""
        seen = self._trainer.state.images_seen
        return self._kept is not None and seen > self._trainer.careful.until

    def keep(self, *, now: bool = False) -> str | None:
        """Copy the state, all of which is finite at this moment, if it is time or ``now``.

        Returns:
            What a person should know, where steps have been gone over in vain.
        """
        if not self._on:
            return None
        careful, state = self._trainer.careful, self._trainer.state
        ended = 0 < careful.until <= state.images_seen
        if not distributed.any_process(
            self._alarm.rings() or now or ended, self._trainer.engine.device
        ):
            return None
        self._kept = self._copier.copy(state), self._journal.position()
        if not ended:
            return None
        error, again = self.error, careful.made_again
        self.error, careful.until, careful.made_again = None, 0, 0
        if again or error is None:
            return None
        return f"{', '.join(error.names)} did not become non-finite again; the run goes on"

    def go_back(self, error: NonFiniteError) -> int:
        """To the moment of the copy; the steps up to this one are made carefully. Images seen then."""
        if self._kept is None:
            raise RuntimeError("no state is kept")
        copy, position = self._kept
        state = self._trainer.state
        self.error = error
        self._trainer.careful.until = state.images_seen
        state.load_tensors(copy.tensors())
        state.images_seen = copy.images_seen
        self._journal.return_to(position, state.images_seen)
        distributed.barrier()  # the journal's file is read by all
        return state.images_seen

    def begin_anew(self) -> None:
        """The run goes on from an earlier state: what was kept is of no use any more."""
        self.error, self._trainer.careful.until, self._trainer.careful.made_again = None, 0, 0
        self._trainer.careful.events.clear()  # of a cycle that is given up
        self.keep(now=True)

    def explained(self, error: NonFiniteError) -> NonFiniteError:
        """What stopped a step that was looked at, as what was found at first and what came before that."""
        if self.error is None:
            return error
        first = f"{error.when}: {error.first}" if error.first else error.when
        return NonFiniteError(self.error.names, self.error.when, first)
