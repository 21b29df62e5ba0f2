"""Training runs: resumable to the bit, one clock, nothing unpickled."""

from reacgan.training.run import RunResult, train

__all__ = ["RunResult", "train"]
