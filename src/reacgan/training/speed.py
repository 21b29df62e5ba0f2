"""Which of the faster ways a run takes: what was asked for, and what is known of device and experiment.

What ``auto`` takes was measured on a CPU and on an H200 (``docs/performance.md``). What it leaves out has
its reason beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from reacgan import distributed
from reacgan.config import ConfigError, Experiment, Precision, SpeedConfig
from reacgan.kernels import why_no_kernels

# Terms whose backward pass goes through each network once; compiled code has no second derivative.
_ONCE = {"lecam", "weight_clipping", "cr", "bcr", "zcr", "feature_matching"}


@dataclass(frozen=True)
class Speed:
    """What is on. Every field but ``reasons`` is a switch of :class:`reacgan.config.SpeedConfig`."""

    merged_convolutions: bool = True
    merged_passes: bool = True
    fused_layers: bool = True
    kernels: bool = False
    channels_last: bool = True
    fused_optimizer: bool = True
    keep_memory: bool = False
    resident: bool = True
    background: bool = True
    cuda_graphs: bool = False
    compile: bool = False
    tf32: bool = False
    tf32_products: bool = False
    overlapped_gradients: bool = False
    bfloat16_gradients: bool = False
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
        switches = self.describe()
        on = ", ".join(_words(name) for name in switches["on"]) or "nothing"
        off = ", ".join(
            f"{_words(name)} ({reason})" if reason else _words(name)
            for name, reason in switches["off"].items()
            if reason != _ALONE
        )
        return f"speed: {on}" + (f"; not: {off}" if off else "")


SWITCHES = tuple(switch.name for switch in fields(Speed) if switch.name != "reasons")
_NONE: dict[str, Any] = dict.fromkeys(SWITCHES, False)
# Switches that only one kind of device has; they are off elsewhere and cannot be asked for there.
_NEEDS = {"cuda_graphs": "cuda", "tf32": "cuda", "tf32_products": "cuda", "keep_memory": "cpu"}
# Switches of messages between processes, and why they are off without any.
_OF_MESSAGES = ("overlapped_gradients", "bfloat16_gradients")
_ALONE = "one process"
_ONLY_ASKED = {
    "compile": "only when asked",
    "bfloat16_gradients": "changes results, only when asked",
    "tf32_products": "changes results, only when asked",
}

# Values of ONEDNN_MAX_CPU_ISA below AVX512_CORE_BF16.
_WITHOUT_BFLOAT16 = {
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
}


def choose(
    config: SpeedConfig,
    device: torch.device,
    *,
    experiment: Experiment | None = None,
    world: int = 1,
) -> Speed:
    """Decide every switch, with a reason for each that is off.

    Args:
        config: what was asked for.
        device: where the run computes.
        experiment: what is trained, complete; None decides for the device alone.
        world: number of processes.

    Raises:
        ConfigError: a switch was asked for that the device does not have.
    """
    plain = config.mode == "plain"
    asked: dict[str, Any] = config.model_dump(include=set(SWITCHES), exclude_none=True)
    for name, needed in _NEEDS.items():
        if asked.get(name) and device.type != needed:
            raise ConfigError(
                f"speed.{name} is true, which needs the device {needed}; this run computes on "
                f"{device.type}. Leave it out."
            )
    no_kernels = why_no_kernels(device)
    automatic = {
        "keep_memory": device.type == "cpu",
        "cuda_graphs": device.type == "cuda",
        "tf32": device.type == "cuda",
        "kernels": no_kernels is None,
        "overlapped_gradients": True,
    }
    alone = dict.fromkeys(_OF_MESSAGES, False) if world == 1 else {}
    speed = Speed(**{**(_NONE if plain else automatic), **asked, **alone})
    reasons = {}
    for name in SWITCHES:
        if getattr(speed, name):
            continue
        if name in alone:
            reasons[name] = _ALONE
        elif name in asked and name not in _ONLY_ASKED:
            reasons[name] = "switched off"
        elif name == "kernels" and no_kernels is not None:
            reasons[name] = no_kernels
        elif name in _NEEDS and device.type != _NEEDS[name]:
            reasons[name] = f"needs {_NEEDS[name]}"
        else:
            reasons[name] = "plain" if plain else _ONLY_ASKED.get(name, "")
    speed = replace(speed, reasons=reasons)
    return speed if experiment is None else _for(experiment, speed, config, device, world)


def _for(
    experiment: Experiment, speed: Speed, config: SpeedConfig, device: torch.device, world: int
) -> Speed:
    """Leave out what the experiment cannot have, or what cannot pay for it."""
    reasons = {
        "cuda_graphs": why_no_cuda_graphs(experiment, device, world),
        "compile": why_not_compiled(experiment),
    }
    out = {name: why for name, why in reasons.items() if why is not None and getattr(speed, name)}
    if speed.compile and "compile" not in out and config.fused_layers is None:
        out["fused_layers"] = "compile fuses by itself, and cannot look into ours"
    if speed.compile and "compile" not in out and config.kernels is None and speed.kernels:
        out["kernels"] = "compile makes its own"
    changes: dict[str, Any] = dict.fromkeys(out, False)
    return replace(speed, reasons={**speed.reasons, **out}, **changes)


def choose_precision(asked: Precision, device: torch.device) -> Precision:
    """The precision that a run computes in on this device: ``auto`` decided."""
    if asked != "auto":
        return asked
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    able = able or (device.type == "cpu" and cpu_multiplies_bfloat16())
    # Processes of one run may be on machines of several kinds, and compute in one precision.
    return "float32" if distributed.any_process(not able, device) else "bfloat16"


def cpu_multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products in bfloat16, and its libraries may use them.

    Without them bfloat16 is emulated, many times slower than float32. Only x86 is known to pay.
    """
    has = torch.cpu.get_capabilities()
    return (
        bool(has.get("avx512_bf16") or has.get("amx_bf16"))
        # The environment can restrict PyTorch's kernels and oneDNN's to those of older processors.
        and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper() not in _WITHOUT_BFLOAT16
    )


def why_no_cuda_graphs(experiment: Experiment, device: torch.device, world: int) -> str | None:
    """Why steps of this run are not CUDA graphs; None where they are, if memory allows."""
    training = experiment.training
    if device.type != "cuda":
        return f"needs cuda, not {device.type}"
    if world > 1:
        return "several processes"
    if training.parts(world) > 1:
        return "the batch is processed in parts"
    if training.recompute:
        return "activations are recomputed"
    return None


def why_not_compiled(experiment: Experiment) -> str | None:
    """Why this experiment's networks are not compiled; None where they can be."""
    terms = [*experiment.penalties, *experiment.consistency]
    twice = [name for name in terms if name not in _ONCE]
    if experiment.loss.latent_optimisation is not None:
        twice.append("latent_optimisation")
    if experiment.training.recompute:
        return "training.recompute computes blocks again, which compiled code does not"
    if twice:
        return f"{', '.join(twice)} differentiates twice, which compiled code cannot"
    return None


def _words(name: str) -> str:
    return name.replace("_", " ")
