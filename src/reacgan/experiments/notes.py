"""Differences of an experiment from the published one of its name, with reasons.

Notes are derived from the configuration: an experiment with the published value has no note of it. Facts
of a single published run are stored with its score (:mod:`reacgan.experiments.published`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reacgan.config import Experiment
from reacgan.experiments import EXPERIMENTS
from reacgan.experiments.published import PublishedScore

_GROUPS = ("cifar10", "cifar100", "tiny_imagenet", "cub200", "imagenet", "afhq")


@dataclass(frozen=True)
class Note:
    """A note on an experiment."""

    text: str
    differs: bool = True
    """Whether the run of the published score differs in this."""


def notes(experiment: Experiment) -> tuple[Note, ...]:
    """The notes of an experiment with published settings; empty for others."""
    group, _, method = experiment.name.partition("/")
    if group not in _GROUPS:
        return ()
    differences = [Note(text) for applies, text in _DIFFERENCES if applies(experiment)]
    if method == "logan":
        differences.append(Note(_UNIFORM))
    remarks = [text for names, text in _REMARKS if experiment.name in names]
    if method.startswith("stylegan2"):
        # The one published configuration that adds its penalty to the loss and starts with D, as here.
        remarks += [_MEAN_STYLE] if method.endswith("-rev") else [_LAZY, _MEAN_STYLE]
    remarks += [OURS[method]] if method in OURS else []
    return (*differences, *(Note(text, differs=False) for text in remarks))


def differences_of(score: PublishedScore) -> tuple[str, ...]:
    """Differences between the run of a published score and the experiment of its name."""
    of_experiment = (note.text for note in notes(EXPERIMENTS[score.experiment]) if note.differs)
    return (*of_experiment, *((score.note,) if score.note else ()))


def asterisk(score: PublishedScore) -> str:
    """``"*"`` for a score with :func:`differences_of`, else empty."""
    return "*" if differences_of(score) else ""


def fid_of(score: PublishedScore) -> str:
    """``7.792*``."""
    return f"{score.fid:g}{asterisk(score)}"


# -- D


def shortcut_differs(experiment: Experiment) -> bool:
    """Whether D's shortcuts take x where those of the published runs took ReLU(x)."""
    backbone = experiment.model.backbone
    spectral = backbone.options.get("norm", "spectral") == "spectral"
    residual = backbone.name in ("resnet", "biggan", "biggan_deep")
    return residual and spectral and not backbone.options.get("preactivated_shortcut", False)


def batch_norm_differs(experiment: Experiment) -> bool:
    """Whether D has no norm where the published configuration has batch norm."""
    backbone = experiment.model.backbone
    return backbone.name == "resnet" and backbone.options.get("norm") == "none"


def _plain_dcgan_differs(experiment: Experiment) -> bool:
    backbone = experiment.model.backbone
    return backbone.name == "dcgan" and not backbone.options.get("first_norm", False)


_SHORTCUT = (
    "the published runs had D's ReLUs in place, so the shortcuts behind its first layer saw ReLU(x) "
    "and D learnt by another gradient; here they see x, as the papers have it "
    "(model.backbone.preactivated_shortcut=true is theirs)"
)
_BATCH_NORM = (
    "the published configuration has batch norm in D (model.backbone.norm=batch); here D has none, as "
    "Gulrajani et al. 2017 say: with it a penalty is not of one image's gradient"
)
_DCGAN = (
    "the published D has batch norm where it takes the image and plain ReLUs "
    "(model.backbone.first_norm=true model.backbone.leak=0 are theirs); here it is DCGAN's own"
)

# -- losses


def _paper_d2dce(experiment: Experiment) -> bool:
    head = experiment.model.head
    over = head.options.get("over")
    options = over if isinstance(over, dict) else {"name": head.name, **head.options}
    return options.get("name") == "d2dce" and options.get("form", "paper") == "paper"


def _paper_lecam(experiment: Experiment) -> bool:
    lecam = experiment.penalties.get("lecam")
    return lecam is not None and lecam.get("form", "paper") == "paper"


def _unclipped(experiment: Experiment) -> bool:
    move = experiment.loss.latent_optimisation
    return move is not None and move.limit is None


def _wasserstein_betas(experiment: Experiment) -> bool:
    return experiment.loss.adversarial == "wasserstein" and experiment.d_optimizer.beta2 == 0.9


_D2DCE = (
    "D2D-CE is the paper's equation (6); the published runs have its released form "
    "(model.head.form=released)"
)
_LECAM = (
    "LeCam is the paper's equation (3); published code leaves alone what has already passed the other "
    "side's average (penalties.lecam.form=released)"
)
_LOGAN = (
    "the moved z is not clipped, since z is normal; published code clips it to [-1, 1] "
    "(loss.latent_optimisation.limit=1), where a third of a normal z's entries end up on the border, "
    "and moves whole samples instead of entries"
)
_BETAS = (
    "Adam's betas are 0 and 0.9, those of Gulrajani et al. 2017; the published configuration has 0.5 "
    "and 0.999"
)

_DIFFERENCES: tuple[tuple[Callable[[Experiment], bool], str], ...] = (
    (shortcut_differs, _SHORTCUT),
    (batch_norm_differs, _BATCH_NORM),
    (_plain_dcgan_differs, _DCGAN),
    (_wasserstein_betas, _BETAS),
    (_paper_d2dce, _D2DCE),
    (_paper_lecam, _LECAM),
    (_unclipped, _LOGAN),
)

# -- not visible in the configuration

_UNIFORM = "z is normal; the published configuration draws it uniformly on [-1, 1]"
_LAZY = (
    "a lazy penalty is added to the loss of every k-th step, and D goes first; published code makes a "
    "step of its own of it, and G goes first"
)
_LOGGED_LENGTH = (
    "200,000 steps, as in the log of the score; the configuration published later says 100,000"
)
_CONTRAGAN_ADA = (
    "the one published configuration is that of the score of CIFAR-10 (312,500 steps, ADA a hundred "
    "times slower, images mirrored); length, speed and mirroring here are those of reacgan-ada"
)
_REMARKS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("tiny_imagenet/biggan-diffaug", "tiny_imagenet/contragan-diffaug"), _LOGGED_LENGTH),
    (("cifar10/contragan-ada", "cifar100/contragan-ada"), _CONTRAGAN_ADA),
)
_MEAN_STYLE = (
    "the mean of w keeps 0.995 of itself in a step, as in StyleGAN2's own code and, by its dates, in "
    "that of the scored runs (later: 0.998); only samples with truncated styles (--psi) depend on it"
)
_ONE_CHANGE = "no published configuration: {base} with one change"
OURS: Mapping[str, str] = {
    "reacgan-icr": _ONE_CHANGE.format(base="reacgan"),
    "reacgan-apa": "no published configuration: reacgan with APA, as long as reacgan-diffaug",
    "reacgan-relativistic": _ONE_CHANGE.format(base="reacgan"),
    "reacgan-released": "no published configuration: reacgan with D2D-CE and D's shortcuts as released",
    "biggan-topk": _ONE_CHANGE.format(base="biggan"),
    "infogan": "two continuous codes are beside the published discrete one",
    "r3gan": "no published configuration: the method is R3GAN's, width and length are ours",
    "r3gan-d2dce": "no published configuration: r3gan with D2D-CE",
}
