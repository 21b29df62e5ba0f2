"""Small settings for every registered member, so that a new one is covered when it lands."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from reacgan.augment import AUGMENTS
from reacgan.config import component
from reacgan.heads import HEADS, head_names
from reacgan.losses import ADVERSARIAL, CONSISTENCY, PENALTIES
from reacgan.models import BACKBONES, GENERATORS
from reacgan.suites.scales import shrink
from reacgan.training.state import Adaptive

OVER = {
    "twin": ("auxiliary", "contrastive", "d2dce", "multihinge"),
    "discriminative": ("auxiliary", "contrastive", "d2dce", "multihinge"),
    "infogan": ("unconditional", "projection", "auxiliary", "contrastive", "d2dce"),
}
CODES = {"model.codes": {"discrete": (3,), "continuous": 2}}


def _takes(member: Any, option: str) -> bool:
    return option in inspect.signature(member).parameters


def head_changes(name: str, over: str | None = None) -> dict[str, Any]:
    """The head of this name, small, with what it cannot do without, perhaps over another one."""
    *_, inner = head_names(component(name, **({"over": over} if over else {})))
    options = {"embedding_dim": 12} if _takes(HEADS[inner], "embedding_dim") else {}
    if inner != name:
        options = {"over": {"name": inner, **options}}
    changes: dict[str, Any] = {"model.head": {"name": name, **options}}
    if name == "multihinge":
        changes["loss.adversarial"] = "none"
    return {**changes, **(CODES if HEADS[name].needs_codes else {})}


def every_head() -> dict[str, dict[str, Any]]:
    """Every head by name, and every head that stands over others over each of them."""
    heads = {name: head_changes(name) for name in HEADS}
    for name, inner_heads in OVER.items():
        heads |= {f"{name}-over-{over}": head_changes(name, over) for over in inner_heads}
    return heads


@dataclass(frozen=True)
class TermCase:
    """What switches a term on, and whether it says that it sees one part of a batch at a time."""

    values: dict[str, Any]
    of_a_part: bool


# Not every generator has styles.
STYLES = {
    "model.generator.name": "stylegan2",
    "model.generator.latent_dim": 8,
    "model.generator.style_dim": 8,
    "model.generator.mapping_layers": 2,
    "model.generator.channel_base": 64,
}
# With the options that they have by themselves nothing happens in a few steps.
OPTIONS: dict[str, dict[str, Any]] = {"lecam": {"start": 0}, "path_length": {"every": 1}}


def term_changes() -> dict[tuple[str, str], TermCase]:
    """Every penalty and consistency term, by (family, name)."""
    found = {}
    for family, table in (("penalties", PENALTIES), ("consistency", CONSISTENCY)):
        for name, member in table.items():
            values = {f"{family}.{name}": OPTIONS.get(name, {})}
            if name == "path_length":
                values |= STYLES
            of_a_part = "training.accumulate" in (member.__doc__ or "")
            found[family, name] = TermCase(values, of_a_part)
    return found


def augment_changes(name: str) -> dict[str, Any]:
    """The augmentation of this name, such that it acts and adapts within a few steps."""
    adapts = {"augment.probability": 0.5, "augment.speed": 100, "augment.every": 2}
    return {"augment.name": name, **(adapts if _takes(AUGMENTS[name], "probability") else {})}


def network_changes() -> dict[str, dict[str, Any]]:
    """Every generator and every backbone, with the norms that it may have, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name in GENERATORS:
        found[f"generator-{name}"] = {"model.generator": shrink(GENERATORS, name, {})}
    for name, member in BACKBONES.items():
        norms = ("spectral", "batch") if _takes(member, "norm") else (None,)
        for norm in norms:
            options = {} if norm is None else {"norm": norm}
            key = f"backbone-{name}" if norm is None else f"backbone-{name}-{norm}"
            found[key] = {"model.backbone": shrink(BACKBONES, name, options)}
    return found


def every_case() -> dict[str, dict[str, Any]]:
    """Every member of every family that a step is made with, and what else couples samples."""
    cases = {f"head-{name}": changes for name, changes in every_head().items()}
    cases |= {  # without one, with the head that needs none: head-multihinge
        f"adversarial-{name}": {"loss.adversarial": name} for name in ADVERSARIAL if name != "none"
    }
    cases |= {f"augment-{name}": augment_changes(name) for name in AUGMENTS}
    cases |= {f"{family}-{name}": case.values for (family, name), case in term_changes().items()}
    return {
        **cases,
        **network_changes(),
        "balanced": {"data.balanced": True},
        "partners": {"model.head.partners": 2},
        "apa": {"apa.every": 1, "apa.speed": 200},
        "accumulate": {"training.accumulate": 2, "model.generator.name": "plain"},
        "top_k": {"loss.top_k.every": 1, "loss.top_k.least": 0.4, "loss.top_k.gamma": 0.5},
        "latent_optimisation": {"loss.latent_optimisation": {}},
        "transition": {"loss.transition.end": 64},
        "freeze_d": {"training.freeze_d": 1},
    }


def begin_adapted(adaptive: Adaptive) -> None:
    """Let APA act from the first step on: it begins at zero, and needs longer than a test."""
    if adaptive.apa is not None:
        adaptive.apa.probability.fill_(0.5)
