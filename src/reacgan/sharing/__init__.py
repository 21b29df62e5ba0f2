"""From a finished run to a folder that one can share and trust: weights, card, scores, samples."""

from reacgan.sharing.checking import CheckResult, check
from reacgan.sharing.publishing import publish, renew

__all__ = ["CheckResult", "check", "publish", "renew"]
