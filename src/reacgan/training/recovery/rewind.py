"""Back to the last state at which all was finite, and over the steps since once more, checked.

A copy of the state is kept in main memory. Since randomness is a function of images seen, the steps since
then come out as they did; each is checked now (``careful.py``), and the one that is not finite is made
again by plain operations. When the copy was made changes no bit of what follows.
"""

from __future__ import annotations

from reacgan import distributed
from reacgan.training.alarm import Alarm
from reacgan.training.background import Copier, StateCopy
from reacgan.training.context import RunContext
from reacgan.training.journal import NonFiniteError, Position
from reacgan.training.recovery.careful import Careful

SECONDS_BETWEEN_COPIES = 10.0


class Rewind:
    """Keeps a finite state and takes the run back to it; every process calls each method.

    Args:
        run: with the state loaded.
        careful: makes the steps that are checked.
    """

    def __init__(self, run: RunContext, careful: Careful) -> None:
        self.error: NonFiniteError | None = None
        """Why the run goes over its last steps again; None while it does not."""
        self._run = run
        self._careful = careful
        self._copier = Copier()
        self._copy: tuple[StateCopy, Position] | None = None
        self._alarm = Alarm(0.0, SECONDS_BETWEEN_COPIES)
        self._on = run.experiment.watch.recover
        self.keep()

    @property
    def possible(self) -> bool:
        """Whether there is a state to go back to, and the steps since have not been checked yet."""
        return self._copy is not None and self._run.images_seen > self._careful.until

    def keep(self, *, now: bool = False) -> str | None:
        """Copy the state, all of which is finite at this moment, if it is time or ``now``.

        Returns:
            A message for a person, where steps have been checked in vain.
        """
        if not self._on:
            return None
        careful, state = self._careful, self._run.state
        ended = 0 < careful.until <= state.images_seen
        if not distributed.any_process(
            self._alarm.rings() or now or ended, self._run.engine.device
        ):
            return None
        self._copy = self._copier.copy(state), self._run.journal.position()
        if not ended:
            return None
        error, again = self.error, careful.made_again
        self.error, careful.until, careful.made_again = None, 0, 0
        if again or error is None:
            return None
        return f"{', '.join(error.names)} did not become non-finite again; the run goes on"

    def go_back(self, error: NonFiniteError) -> int:
        """To the copy; the steps up to this moment are checked. Images seen at the copy."""
        if self._copy is None:
            raise RuntimeError("there is no copy of the state")
        copy, position = self._copy
        state = self._run.state
        self.error = error
        self._careful.until = state.images_seen
        state.load_tensors(copy.tensors())
        state.images_seen = copy.images_seen
        self._run.journal.return_to(position, state.images_seen)
        distributed.barrier()  # the journal's file is read by all
        return state.images_seen

    def begin_anew(self) -> None:
        """The run goes on from an earlier checkpoint: the copy is of no use any more."""
        self.error = None
        self._careful.reset()
        self.keep(now=True)

    def explained(self, error: NonFiniteError) -> NonFiniteError:
        """The error of a checked step, as what was met at first and what came before that."""
        if self.error is None:
            return error
        first = f"{error.when}: {error.first}" if error.first else error.when
        return NonFiniteError(self.error.names, self.error.when, first)
