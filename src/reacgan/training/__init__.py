"""Training runs: resumable to the bit, one clock, nothing unpickled."""

from reacgan.training.callbacks import Callback, CallbackError, StopTraining
from reacgan.training.run import RunResult, train

__all__ = ["Callback", "CallbackError", "RunResult", "StopTraining", "train"]
