"""Arguments of functions, checked for a person to read: the name, the value, what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from reacgan.config.registry import ConfigError

MOST = 100_000_000
"""Images that one command makes at most, unless it says another number."""


def check_whole(
    name: str, value: Any, *, least: int = 1, most: int | None = None, optional: bool = False
) -> None:
    """See that a value is a whole number; NumPy's are, booleans and ``2.0`` are not.

    Args:
        name: of the argument, for the message.
        value: what was given.
        least: the smallest that is allowed.
        most: the largest; None for any.
        optional: whether None is allowed, too.

    Raises:
        ConfigError: it is not.
    """
    if optional and value is None:
        return
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < least or (most is not None and int(value) > most):
        kind = "" if whole else ", a whole number"
        allowed = f"{least} or more" if most is None else f"{least} to {most:,}"
        raise ConfigError(f"{name} is {str(repr(value))[:60]}; allowed: {allowed}{kind}")


def check_real(
    name: str,
    value: Any,
    allowed: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    optional: bool = False,
) -> None:
    """See that a value is a finite number in a range; booleans are none.

    Args:
        name: of the argument, for the message.
        value: what was given.
        allowed: the range in words.
        least: the smallest that is allowed.
        above: what it has to be larger than.
        most: the largest that is allowed.
        optional: whether None is allowed, too.

    Raises:
        ConfigError: it is not.
    """
    if optional and value is None:
        return
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not (least <= value <= most and value > above):
        raise ConfigError(f"{name} is {value!r}; allowed: {allowed}")


def check_choice(
    name: str, value: Any, allowed: Collection[str], *, optional: bool = False
) -> None:
    """See that a value is one of a few words.

    Args:
        name: of the argument, for the message.
        value: what was given.
        allowed: the words.
        optional: whether None is allowed, too.

    Raises:
        ConfigError: it is not.
    """
    if not (optional and value is None) and not (isinstance(value, str) and value in allowed):
        raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], needed: str) -> None:
    """See that a value is an object of a class.

    Args:
        name: of the argument, for the message.
        value: what was given.
        kind: the class, or several.
        needed: what to give, in words, perhaps an example.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{name} is {value!r}; needed: {needed}")
