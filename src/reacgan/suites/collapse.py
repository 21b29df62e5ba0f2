"""ACGAN's collapse, and ablations of ReACGAN (experiments 1, 11 and 15)."""

from __future__ import annotations

from reacgan.experiments.parts import Changes
from reacgan.suites.base import SHORT_SCORES, Claim, Figure, Scale, Suite, Trial, closer
from reacgan.suites.scales import GLYPH_CLASSES, trial_of, variant

_DIAGNOSIS = (
    "diagnosis/classifier_gradient:growth",
    "diagnosis/classifier_gradient:max",
    "diagnosis/feature_norm:max",
    "diagnosis/true_class:last",
)
_WHERE = (
    f"at full scale on Tiny-ImageNet as published, on a CPU on {GLYPH_CLASSES} classes of signs"
)
_GRADIENT = "diagnosis/classifier_gradient:growth"

_FEATURES: Changes = {"model.head.normalize_features": True}
_WEIGHTS: Changes = {"model.head.normalize_weights": True}
# Cosines without a temperature cannot separate 100 classes: the maximum probability is 7 %.
_BOTH: Changes = {**_FEATURES, **_WEIGHTS, "model.head.temperature": 0.1}

_REACGAN = "ReACGAN (both, D2D-CE)"
_NORMALISED = "ACGAN + both, temperature 0.1"
_Rows = dict[str, tuple[str, str, Changes]]
"""Row, method of the digits, and changes, by name."""
_CURES: _Rows = {
    "acgan": ("ACGAN", "acgan", {}),
    "acgan-features": ("ACGAN + normalised features", "acgan", _FEATURES),
    "acgan-weights": ("ACGAN + normalised weights", "acgan", _WEIGHTS),
    "acgan-both": (_NORMALISED, "acgan", _BOTH),
    "reacgan": (_REACGAN, "reacgan", {}),
}
_EASY = "  without suppression of easy "
_PARTS: _Rows = {
    f"reacgan-{name}": (row, "reacgan", {f"model.head.{option}": value})
    for name, row, option, value in (
        ("classes", "  with class vectors as negatives", "negatives", "classes"),
        ("easy-positives", f"{_EASY}positives", "suppress_easy", "negatives"),
        ("easy-negatives", f"{_EASY}negatives", "suppress_easy", "positives"),
        ("false-negatives", "  with false negatives", "false_negatives", True),
        ("released", "  in the released form", "form", "released"),
    )
}


def _rows(table: _Rows, scale: Scale) -> tuple[Trial, ...]:
    return tuple(
        trial_of(
            variant(method, scale, data="tiny_imagenet", name=name, changes=changes), row, scale
        )
        for name, (row, method, changes) in table.items()
    )


COLLAPSE = Suite(
    name="collapse",
    numbers=(1,),
    title="ACGAN's collapse diagnosed",
    about=(
        "The gradient of the classifier, the length of its input and the probability of the true class "
        "over training, without cures, with each normalisation, with both, and with D2D-CE (the paper's "
        f"figure 2). BigGAN's networks, spectral norm, hinge loss; {_WHERE}."
    ),
    trials=lambda scale: _rows(_CURES, scale),
    metrics=(*_DIAGNOSIS, "fid", "recall", "coverage", "top1"),
    claims=(
        Claim(
            "without a cure the classifier's gradient grows more than with it",
            _GRADIENT,
            ("ACGAN", _REACGAN),
            "above",
        ),
        Claim(
            "normalised features keep it down",
            "diagnosis/classifier_gradient:max",
            ("ACGAN + normalised features", "ACGAN"),
        ),
        closer("ReACGAN ends nearer to the real images than ACGAN", _REACGAN, "ACGAN"),
    ),
    figures=(
        Figure(
            "curves",
            (
                "diagnosis/classifier_gradient",
                "diagnosis/feature_norm",
                "diagnosis/true_class",
                "watch/variety",
            ),
            "What the classifier is given and gives (thin: seeds; thick: their mean, smoothed over five)",
            log_y=True,
        ),
    ),
)

ABLATION = Suite(
    name="ablation",
    numbers=(11,),
    title="What each part of ReACGAN does",
    about=(
        "One part changed at a time: normalisation of features and of class vectors, negatives from data "
        "or from class vectors, suppression of easy pairs, removal of false negatives, the form of the "
        f"paper or as released; {_WHERE}."
    ),
    trials=lambda scale: _rows({**_CURES, **_PARTS}, scale),
    metrics=("fid", "recall", "coverage", "precision", "density", "top1", "ifid", _GRADIENT),
    claims=(
        closer("normalising both helps ACGAN", _NORMALISED, "ACGAN"),
        closer("D2D-CE is better than the normalised classifier", _REACGAN, _NORMALISED),
        closer(
            "negatives from data are better than class vectors",
            _REACGAN,
            "  with class vectors as negatives",
        ),
        closer("suppression of easy positives helps", _REACGAN, f"{_EASY}positives"),
        closer("suppression of easy negatives helps", _REACGAN, f"{_EASY}negatives"),
        closer("leaving out false negatives helps", _REACGAN, "  with false negatives"),
        closer(
            "the paper's form is better than the released one",
            _REACGAN,
            "  in the released form",
            "ours",
        ),
    ),
    figures=(Figure("bars", ("fid", "recall", "top1"), "Parts of ReACGAN"),),
)

_SWEEPS: dict[str, tuple[str, tuple[float, ...]]] = {
    "temperature": ("model.head.temperature", (0.125, 0.25, 0.5, 0.75, 1.0)),
    "margin": ("model.head.margin", (0.5, 0.75, 0.9, 0.95, 0.98, 1.0)),
    "lambda": ("loss.conditioning_weight", (0.125, 0.25, 0.5, 1.0, 2.0)),
}


def _sensitivity(scale: Scale) -> tuple[Trial, ...]:
    trials = []
    for row, (key, values) in _SWEEPS.items():
        for value in values if scale != "toy" else values[:2]:
            name = f"reacgan-{row}-{value:g}"
            chosen = variant("reacgan", scale, data="cifar10", name=name, changes={key: value})
            trials.append(trial_of(chosen, row, scale, column=row, x=value))
    return tuple(trials)


SENSITIVITY = Suite(
    name="sensitivity",
    numbers=(15,),
    title="Temperature, margin and lambda",
    about=(
        "ReACGAN with one of its three hyper-parameters changed at a time, over the values that the "
        "paper's search is remembered to have had. At full scale on CIFAR10, below it on signs."
    ),
    trials=_sensitivity,
    metrics=SHORT_SCORES,
    figures=(Figure("lines", ("fid", "recall", "top1"), "Over one hyper-parameter", axis="value"),),
)
