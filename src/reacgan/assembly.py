"""A whole experiment: every option written out, every name checked, parts that go together."""

from __future__ import annotations

from reacgan.augment import augment_options
from reacgan.config import Component, ConfigError, Experiment, LossConfig, lookup
from reacgan.heads import HEADS, check_codes, head_names, head_options
from reacgan.losses import adversarial, term_options
from reacgan.models import backbone_options, generator_options


def complete(experiment: Experiment) -> Experiment:
    """The experiment with every option of every member written out, and every name checked.

    Raises:
        ConfigError: a name or option is unknown, a value is out of range, parts of the loss do not go
            together, or the head looks for codes that z does not hold, or the other way round.
    """
    _check_loss(experiment.loss, experiment.model.head)
    model = experiment.model
    check_codes(model.head, model.codes)
    full = {
        "model.generator": generator_options(model.generator),
        "model.backbone": backbone_options(model.backbone),
        "model.head": head_options(model.head),
        "augment": augment_options(experiment.augment),
    }
    changes = {
        f"{part}.{key}": value for part, options in full.items() for key, value in options.items()
    }
    changes["penalties"] = term_options("penalties", experiment.penalties)
    changes["consistency"] = term_options("consistency", experiment.consistency)
    return experiment.replace(**changes)


def _check_loss(loss: LossConfig, head: Component) -> None:
    if adversarial(loss.adversarial).paired and loss.top_k is not None:
        raise ConfigError(
            f"loss.top_k leaves fakes out, but {loss.adversarial} compares each of them with a real "
            "image; set loss.top_k=null or take another loss.adversarial"
        )
    if loss.adversarial != "none":
        return
    if not any(lookup("head", HEADS, name).is_adversarial for name in head_names(head)):
        alone = ", ".join(name for name, member in HEADS.items() if member.is_adversarial)
        raise ConfigError(
            f"loss.adversarial is none, but nothing in the head {head.name} tells real from fake; take "
            f"another loss.adversarial, such as hinge, or one of these heads: {alone}"
        )
    if loss.top_k is not None:
        raise ConfigError(
            "loss.top_k has no effect where loss.adversarial is none; set loss.top_k=null"
        )
    if loss.transition is not None:
        raise ConfigError(
            "loss.transition leaves D nothing to minimise until its start where loss.adversarial is "
            "none; set loss.transition=null or take another loss.adversarial"
        )
