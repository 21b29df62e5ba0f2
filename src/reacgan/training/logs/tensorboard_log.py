"""TensorBoard: scalars, sheets as images, protocols as text, hyper-parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from reacgan.config.comparing import flatten
from reacgan.evaluation import Score
from reacgan.training.logs.base import Log, numbers_of

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class TensorBoardLog(Log):
    """Event files; ``tensorboard --logdir RUN/logs`` shows them. A step is an image seen.

    A run that is resumed, or goes back, adds a file.
    """

    name: ClassVar[str] = "tensorboard"
    package: ClassVar[str | None] = "tensorboard"
    writer: SummaryWriter | None = None

    def open(self, until: int, *, anew: bool) -> int:
        """Another file; its first event makes readers drop what was written of later moments."""
        self.close()
        earlier = set(self.folder.glob("events.*"))
        until = until if earlier else -1
        self._begin_file(until)
        if earlier and max(self.folder.glob("events.*")) in earlier:
            # The new file would be read before an older one, as on a machine whose clock is behind.
            self.close()
            for path in self.folder.glob("events.*"):
                path.unlink()
            until = -1
            self._begin_file(until)
        if until < 0:
            self._hyperparameters()
        return until

    def _begin_file(self, until: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter  # noqa: PLC0415

        self.writer = SummaryWriter(str(self.folder), purge_step=until + 1)

    def scalars(self, values: dict[str, float], images_seen: int) -> None:
        """A point of each curve."""
        writer = self._writer()
        for tag, value in values.items():
            writer.add_scalar(tag, value, images_seen)
        writer.flush()

    def image(self, tag: str, path: Path, images_seen: int) -> None:
        """The picture as it is."""
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._writer().add_image(tag, pixels, images_seen, dataformats="HWC")
        self._writer().flush()

    def score(self, tag: str, score: Score, images_seen: int) -> None:
        """A point, its interval, and the protocol as text."""
        writer = self._writer()
        for name, value in numbers_of(score).items():
            writer.add_scalar(tag if name == "value" else f"{tag}/{name}", value, images_seen)
        writer.add_text(f"{tag}/protocol", _as_code(score.protocol), images_seen)
        writer.flush()

    def close(self) -> None:
        """End the file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _hyperparameters(self) -> None:
        from torch.utils.tensorboard.summary import hparams  # noqa: PLC0415

        writer = self._writer()
        values = {
            key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for key, value in flatten(self.experiment.model_dump()).items()
        }
        writer.add_text("experiment", _as_code(self.experiment.model_dump()), 0)
        for summary in hparams(values, {"score/fid": None}):
            writer.file_writer.add_summary(summary)
        writer.flush()

    def _writer(self) -> Any:
        if self.writer is None:
            raise RuntimeError("the log is not open")
        return self.writer


def _as_code(tree: Any) -> str:
    """Indented JSON, as Markdown shows code."""
    return "\n".join(f"    {line}" for line in json.dumps(tree, indent=2).splitlines())
