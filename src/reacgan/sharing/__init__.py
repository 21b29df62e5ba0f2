"""From a finished run to a folder that one can share and trust: weights, card, scores, samples."""

from reacgan.sharing.checking import Finding, check
from reacgan.sharing.publishing import publish, renew

__all__ = ["Finding", "check", "publish", "renew"]
