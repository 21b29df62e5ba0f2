"""Which of the faster ways a run takes: what was asked for, and what is known of device and experiment.

What ``auto`` takes on a CPU was measured (``docs/performance.md``). On CUDA nothing has been yet, so there
it is what is expected to pay (``docs/gpu-queue.md`` has the measurement). What it leaves out has its
reason beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import nn

from reacgan.config import ConfigError, Experiment, SpeedConfig
from reacgan.models import set_switches
from reacgan.training import compiled, graphs
from reacgan.training.captured import Work
from reacgan.training.proof import Result, Way


@dataclass(frozen=True)
class Speed:
    """What is on. Every field but ``reasons`` is a switch of :class:`reacgan.config.SpeedConfig`."""

    merged_convolutions: bool = True
    merged_passes: bool = True
    fused_layers: bool = True
    channels_last: bool = True
    fused_optimizer: bool = True
    keep_memory: bool = False
    resident: bool = True
    background: bool = True
    cuda_graphs: bool = False
    compile: bool = False
    tf32: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Why a switch is off."""

    def describe(self) -> dict[str, Any]:
        """Names of what is on, and what is off with the reason; for files."""
        return {
            "on": [name for name in SWITCHES if getattr(self, name)],
            "off": {
                name: self.reasons.get(name, "") for name in SWITCHES if not getattr(self, name)
            },
        }

    def line(self) -> str:
        """One line for a person."""
        held = self.describe()
        on = ", ".join(_words(name) for name in held["on"]) or "nothing"
        off = ", ".join(
            f"{_words(name)} ({reason})" if reason else _words(name)
            for name, reason in held["off"].items()
        )
        return f"speed: {on}" + (f"; not: {off}" if off else "")


def _with(speed: Speed, values: Mapping[str, Any]) -> Speed:
    return replace(speed, **values)


SWITCHES = tuple(held.name for held in fields(Speed) if held.name != "reasons")
_PLAIN = _with(Speed(), dict.fromkeys(SWITCHES, False))
# Switches that only one kind of device has; they are off elsewhere and cannot be asked for there.
_NEEDS = {"cuda_graphs": "cuda", "tf32": "cuda", "keep_memory": "cpu"}
_ONLY_ASKED = {"compile": "only when asked", "tf32": "changes results, only when asked"}


def choose(config: SpeedConfig, device: torch.device) -> Speed:
    """Settle every switch for a device.

    Raises:
        ConfigError: a switch was asked for that the device does not have.
    """
    plain = config.mode == "plain"
    start = _PLAIN if plain else _automatic(device)
    asked = config.model_dump(include=set(SWITCHES), exclude_none=True)
    for name, needed in _NEEDS.items():
        if asked.get(name) and device.type != needed:
            raise ConfigError(
                f"speed.{name} is true, which needs the device {needed}; this run computes on "
                f"{device.type}. Leave it out."
            )
    chosen = _with(start, asked)
    reasons = {}
    for name in SWITCHES:
        if getattr(chosen, name):
            continue
        if name in asked and name not in _ONLY_ASKED:
            reasons[name] = "switched off"
        elif name in _NEEDS and device.type != _NEEDS[name]:
            reasons[name] = f"needs {_NEEDS[name]}"
        else:
            reasons[name] = "plain" if plain else _ONLY_ASKED.get(name, "")
    return replace(chosen, reasons=reasons)


def _automatic(device: torch.device) -> Speed:
    return Speed(
        keep_memory=device.type == "cpu",
        cuda_graphs=device.type == "cuda",
    )


def settle(
    speed: Speed, config: SpeedConfig, experiment: Experiment, *, device: torch.device, world: int
) -> Speed:
    """Leave out what an experiment cannot have, or what cannot pay for it, with the reason.

    Args:
        speed: as :func:`choose` gave it for this device.
        config: what was asked for.
        experiment: what is trained, complete.
        device: where.
        world: number of processes.
    """
    found = {
        "cuda_graphs": graphs.why_not(experiment, device, world, asked=bool(config.cuda_graphs)),
        "compile": compiled.why_not(experiment),
    }
    out = {name: why for name, why in found.items() if why is not None and getattr(speed, name)}
    if speed.compile and "compile" not in out and config.fused_layers is None:
        out["fused_layers"] = "compile fuses by itself, and cannot look into ours"
    values = {**dict.fromkeys(out, False), "reasons": {**speed.reasons, **out}}
    return _with(speed, values)


class Ways:
    """How steps are made: plain, on compiled networks, by recordings, or both.

    Args:
        speed: settled.
        networks: the generator and the discriminator.
        modules: whose buffers move in a step.
        precision: of the run.
    """

    def __init__(
        self,
        speed: Speed,
        networks: Sequence[nn.Module],
        modules: Sequence[nn.Module],
        precision: str,
    ) -> None:
        way: Way = Work.run
        self.compiled: compiled.Compiled | None = None
        self.graphs: graphs.Graphs | None = None
        if speed.compile:
            for network in networks:
                set_switches(network, fused_layers=speed.fused_layers)
            self.compiled = compiled.Compiled(networks, modules, precision)
            way = self.compiled.run
        if speed.cuda_graphs:
            self.graphs = graphs.Graphs(modules, precision, plain=way)
            way = self.graphs.run
        self._way = way

    def run(self, work: Work) -> Result:
        """Fill ``.grad`` of the step's parameters; as :meth:`Work.run`."""
        return self._way(work)

    def news(self) -> list[str]:
        """What was given up since the last call, and why."""
        told: list[str] = []
        for held in (self.compiled, self.graphs):
            if held is not None and held.news:
                told += held.news
                held.news.clear()
        return told


def _words(name: str) -> str:
    return name.replace("_", " ")
