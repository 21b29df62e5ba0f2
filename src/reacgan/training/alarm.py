"""What is due by the clock instead of by images seen."""

from __future__ import annotations

import time


class Alarm:
    """Rings after ``first`` seconds, and then whenever ``every`` seconds have passed."""

    def __init__(self, first: float, every: float) -> None:
        self.every = every
        self._at = time.monotonic() + first

    def rings(self) -> bool:
        """Whether the time has come; sets the next one."""
        now = time.monotonic()
        if now < self._at:
            return False
        self._at = now + self.every
        return True
