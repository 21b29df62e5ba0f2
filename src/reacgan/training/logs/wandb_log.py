"""Weights & Biases: with the user's login to their server, else offline, to send later or never."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any, ClassVar

from reacgan.config import ConfigError
from reacgan.config.comparing import flatten
from reacgan.evaluation import Score
from reacgan.training.logs.base import Log, numbers_of

_MODES = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


class WandbLog(Log):
    """A run of Weights & Biases, whose horizontal axis is ``images_seen``.

    The mode is ``WANDB_MODE``, by default ``online`` where the user has logged in (``wandb login``,
    ``WANDB_API_KEY``), else ``offline``; nothing is asked, and offline nothing is sent. Offline, its
    folder holds one recording of the whole run: since sending a second recording of a run replaces the
    first one there, each begins with all that happened before, and takes the place of the last. Online,
    a run that goes back begins another one of the same group, with all that happened before.
    """

    name: ClassVar[str] = "wandb"
    package: ClassVar[str | None] = "wandb"
    recording: Any = None

    def __init__(self) -> None:
        super().__init__()
        # Its reports of its own errors, which would be sent without a login too.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self.mode = _mode()

    def open(self, until: int, *, anew: bool) -> int:
        """Go on with the recording on the server, or begin one."""
        import wandb  # noqa: PLC0415

        self.close()
        goes_on = self.mode == "online" == self.facts.get("mode") and not anew and until >= 0
        first = self.facts.get("first") or uuid.uuid4().hex[:8]
        count = self.facts.get("count", 0)
        if self.mode == "online" and not goes_on and "id" in self.facts:
            count += 1
        name = first if count == 0 else f"{first}-{count}"
        self.facts = {"mode": self.mode, "first": first, "count": count, "id": name}
        self._wait_for_another_second()
        self.recording = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "reacgan",
            name=self.run.resolve().name,
            id=name,
            group=first,
            resume="allow" if self.mode == "online" else None,
            dir=str(self.folder),
            mode=self.mode,
            config=flatten(self.experiment.model_dump()),
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        )
        self.recording.define_metric("*", step_metric="images_seen")
        return until if goes_on else -1

    def _wait_for_another_second(self) -> None:
        """Recordings are folders named by the second in which they begin."""
        while list(self.folder.glob(f"wandb/*{time.strftime('%Y%m%d_%H%M%S')}-{self.facts['id']}")):
            time.sleep(0.1)

    def filled(self) -> None:
        """Remove recordings that this one replaces."""
        if self.mode != "offline":
            return
        current = Path(self.recording.dir).parent.resolve()
        for folder in current.parent.glob(f"offline-run-*-{self.facts['id']}"):
            if folder.resolve() != current:
                shutil.rmtree(folder)

    def scalars(self, values: dict[str, float], images_seen: int) -> None:
        """A point of each curve."""
        self.recording.log({"images_seen": images_seen, **values})

    def image(self, tag: str, path: Path, images_seen: int) -> None:
        """The picture as it is."""
        import wandb  # noqa: PLC0415

        caption = f"{images_seen:,} images seen"
        picture = wandb.Image(str(path), caption=caption)
        self.recording.log({"images_seen": images_seen, tag: picture})

    def score(self, tag: str, score: Score, images_seen: int) -> None:
        """A point and its interval; the protocol is part of the configuration."""
        row: dict[str, Any] = {"images_seen": images_seen}
        for name, value in numbers_of(score).items():
            row[tag if name == "value" else f"{tag}/{name}"] = value
        self.recording.config.update({f"protocol/{tag}": score.protocol}, allow_val_change=True)
        self.recording.log(row)

    def close(self) -> None:
        """End the recording."""
        if self.recording is not None:
            self.recording.finish()
            self.recording = None


def _mode() -> Any:
    """``WANDB_MODE``, or by whether there is a login; never asks."""
    wanted = os.environ.get("WANDB_MODE", "").strip().lower()
    if wanted and wanted not in _MODES:
        raise ConfigError(f"WANDB_MODE is {wanted!r}; allowed: online, offline, disabled")
    if wanted and wanted != "online":
        return _MODES[wanted]
    if _has_login():
        return "online"
    if wanted:
        raise ConfigError(
            "WANDB_MODE is online, but there is no login: run `wandb login`, or set WANDB_MODE=offline"
        )
    return "offline"


def _has_login() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    import wandb  # noqa: PLC0415
    from wandb.sdk.lib import wbauth  # noqa: PLC0415

    settings = wandb.setup().settings
    return bool(settings.api_key or wbauth.read_netrc_auth(host=settings.base_url))
