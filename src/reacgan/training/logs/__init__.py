"""A run's numbers and pictures in the formats of other tools: CSV, TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Sequence

from reacgan.config import lookup
from reacgan.training.logs.base import Log
from reacgan.training.logs.csv_log import CsvLog
from reacgan.training.logs.tensorboard_log import TensorBoardLog
from reacgan.training.logs.wandb_log import WandbLog

LOGS: dict[str, type[Log]] = {"tensorboard": TensorBoardLog, "wandb": WandbLog, "csv": CsvLog}


def open_logs(names: str | Sequence[str]) -> list[Log]:
    """The callbacks of these logs.

    Args:
        names: one of :data:`LOGS`, or several.

    Raises:
        ConfigError: an unknown name, or a library that is not installed.
    """
    several = [names] if isinstance(names, str) or not isinstance(names, Sequence) else names
    return [lookup("log", LOGS, name)() for name in dict.fromkeys(several)]


__all__ = ["LOGS", "Log", "open_logs"]
