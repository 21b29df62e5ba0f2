"""A run's numbers and pictures in the formats of other tools: CSV, TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from reacgan.config import ConfigError, load_experiment, lookup
from reacgan.training.logs.base import Log
from reacgan.training.logs.csv_log import CsvLog
from reacgan.training.logs.tensorboard_log import TensorBoardLog
from reacgan.training.logs.wandb_log import WandbLog
from reacgan.training.run_folder import BusyError, RunFolder

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


_FILLED_ANY_TIME = ("csv", "tensorboard")
"""wandb would record the whole run anew for a single score; it is filled when training goes on."""


def fill_logs(run: Path) -> None:
    """Bring the logs of a run that is not being trained up to its files, as after new scores.

    A log that the run does not have stays absent; one whose library is missing stays as it is.
    """
    present = [name for name in _FILLED_ANY_TIME if (run / "logs" / name).is_dir()]
    if not present:
        return
    folder = RunFolder(run)
    with suppress(BusyError), folder.locked():  # a run that is being trained writes its own
        experiment = load_experiment(folder.experiment)
        for name in present:
            with suppress(ConfigError), closing(LOGS[name]()) as log:
                log.catch_up(experiment, run)


__all__ = ["LOGS", "Log", "fill_logs", "open_logs"]
