"""Publishing a finished run as a folder to share: weights, card, scores, samples."""

from reacgan.sharing.checking import CheckResult, check
from reacgan.sharing.publishing import publish, renew

__all__ = ["CheckResult", "check", "publish", "renew"]
