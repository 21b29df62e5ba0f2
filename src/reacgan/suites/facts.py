"""How a suite's results were made: cost, versions, commands, and whether they go together."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from reacgan.config import ConfigError
from reacgan.suites.base import Scale, Suite
from reacgan.suites.results import Result
from reacgan.suites.runner import differing


def refuse_mixed(results: Sequence[Result]) -> None:
    """Raise ConfigError where seeds of one trial were run with different settings."""
    first: dict[str, tuple[int, str, Any]] = {}
    for one in results:
        if not one.complete:
            continue
        settings = json.loads(json.dumps(one.held.get("settings", {})))
        settings.pop("seed", None)
        settings.get("experiment", {}).get("training", {}).pop("seed", None)
        text = json.dumps(settings, sort_keys=True)
        seed, other, _ = first.setdefault(one.trial.name, (one.seed, text, settings))
        if text != other:
            told = ", ".join(differing(first[one.trial.name][2], settings))
            raise ConfigError(
                f"{one.trial.name}: seeds {seed} and {one.seed} were run with different settings "
                f"({told}), which are no seeds of one trial; report each from an --out of its own"
            )


def facts_of(suite: Suite, scale: Scale, results: Sequence[Result]) -> dict[str, str]:
    """How the results were made, by name."""
    complete = [one for one in results if one.complete]
    seconds = sum(one.held.get("cost", {}).get("seconds", 0.0) for one in complete)
    software: Mapping[str, str] = next((one.held.get("software", {}) for one in complete), {})
    seeds = sorted({one.seed for one in complete})
    run = len({one.trial.name for one in complete})
    wanted = len(suite.trials(scale))
    return {
        "experiment of the paper": ", ".join(map(str, suite.numbers)) or "none: our own",
        "scale": scale,
        "trials": f"{run} of {wanted} x seeds {', '.join(map(str, seeds))}",
        "cost": f"{_duration(seconds)} on {_devices(complete)}",
        "±": "sample standard deviation over seeds",
        "versions": ", ".join(f"{name} {held}" for name, held in software.items()),
        "command": _command(suite, scale, results, seeds),
    }


def _command(suite: Suite, scale: Scale, results: Sequence[Result], seeds: Sequence[int]) -> str:
    """What a person types for all of it; where data sets are, that person knows."""
    held = next((one.held for one in results if one.complete), {})
    words = [
        f"--scale={scale}",
        f"--seeds={max(seeds[-1] + 1 - seeds[0], 1) if seeds else 1}",
    ]
    words += [f"--first-seed={seeds[0]}"] if seeds and seeds[0] else []
    words += ["--by-domain"] if held.get("by_domain") else []
    words += [f"--set={key}={json.dumps(value)}" for key, value in held.get("changes", {}).items()]
    return f"reacgan experiments run {suite.name} {shlex.join(words)}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 600 else f"{seconds / 3600:.2f} hours"


def _devices(results: Sequence[Result]) -> str:
    found = dict.fromkeys(str(one.held.get("software", {}).get("device", "")) for one in results)
    return ", ".join(name for name in found if name) or "one device"


def failures_of(results: Sequence[Result]) -> list[str]:
    """A line for each that is not complete."""
    return [
        f"{one.trial.name}, seed {one.seed}, failed: {one.held.get('error')}"
        for one in results
        if not one.complete
    ]


def commands_of(results: Sequence[Result]) -> list[str]:
    """Of the first seed of each trial."""
    first: dict[str, str] = {}
    for one in results:
        first.setdefault(one.trial.name, str(one.held["command"]))
    return list(dict.fromkeys(first.values()))
