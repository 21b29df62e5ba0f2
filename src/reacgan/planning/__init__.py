"""A plan for a set of images: what is there, what is proposed and why, and how long it takes here."""

from __future__ import annotations

from reacgan.planning.proposal import Proposal, propose
from reacgan.planning.timing import Timing, time_steps

__all__ = ["Proposal", "Timing", "propose", "time_steps"]
