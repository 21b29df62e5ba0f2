"""Our own suites: number of classes, number of negatives, D2D-CE on a modern base."""

from __future__ import annotations

from reacgan.suites.base import SHORT_SCORES, Claim, Figure, Scale, Suite, Trial, closer
from reacgan.suites.scales import GLYPH_CLASSES, published_rows, signs, trial_of

_COUNTS: dict[Scale, tuple[int, ...]] = {
    "toy": (2, 10),
    "cpu": (10, 100, 300),
    "full": (10, 30, 100, 200, 500),
}
_GROUPS: dict[Scale, tuple[int, ...]] = {
    "toy": (8, 32),
    "cpu": (4, 8, 16, 32, 64),
    "full": (8, 16, 32, 64, 128, 256, 512, 1024, 2048),
}
_BATCH: dict[Scale, int] = {"toy": 32, "cpu": 64, "full": 2048}


def _class_count(scale: Scale) -> tuple[Trial, ...]:
    """Named as in the other suites of signs, so that trials are shared."""
    return tuple(
        trial_of(signs(method, scale, classes=classes, name=method), row, scale, x=float(classes))
        for classes in _COUNTS[scale]
        for method, row in (("acgan", "ACGAN"), ("reacgan", "ReACGAN"))
    )


CLASS_COUNT = Suite(
    name="class-count",
    numbers=(),
    title="How many classes ACGAN bears, and ReACGAN",
    about=(
        "The paper's claim is that ACGAN collapses early where there are many classes, by its classifier's "
        "gradient, and ReACGAN does not. Here the number of classes is all that changes: rendered signs "
        "(glyphs:K), the same number of training images, the same networks and steps."
    ),
    trials=_class_count,
    metrics=(
        *SHORT_SCORES,
        "diagnosis/classifier_gradient:growth",
        "diagnosis/classifier_gradient:max",
        "diagnosis/feature_norm:max",
    ),
    claims=(
        closer("ReACGAN has the smaller distance", "ReACGAN", "ACGAN", "ours"),
        Claim("ReACGAN keeps more of the variety", "recall", ("ReACGAN", "ACGAN"), "above"),
        Claim(
            "ACGAN's classifier gradient grows more",
            "diagnosis/classifier_gradient:growth",
            ("ACGAN", "ReACGAN"),
            "above",
        ),
    ),
    figures=(
        Figure(
            "lines",
            ("fid", "recall", "coverage", "diagnosis/classifier_gradient:max"),
            "Over the number of classes (mean and deviation over seeds)",
            axis="classes",
            log_x=True,
        ),
    ),
)


def _negatives(scale: Scale) -> tuple[Trial, ...]:
    batch = _BATCH[scale]
    trials = []
    for size in _GROUPS[scale]:
        name, changes = "reacgan", {}
        if not size == batch == 64:  # else the trial of the other suites
            name = f"reacgan-{batch}-partners-{size}"
            changes = {"training.batch": batch, "model.head.partners": size}
        trials.append(
            trial_of(signs("reacgan", scale, name=name, **changes), "ReACGAN", scale, x=float(size))
        )
    return tuple(trials)


EFFECTIVE_BATCH = Suite(
    name="effective-batch",
    numbers=(),
    title="How many negatives D2D-CE needs",
    about=(
        f"One batch, learning rate and number of steps for all; only the groups within which samples are "
        f"one another's negatives change (model.head.partners), on {GLYPH_CLASSES} classes of signs. This "
        "is what accumulating gradients with a loss for each part does to published runs: their batch of "
        "2048 in four parts has groups of 512."
    ),
    trials=_negatives,
    metrics=(*SHORT_SCORES, "diagnosis/right:last"),
    figures=(
        Figure(
            "lines",
            ("fid", "recall", "top1", "diagnosis/right:last"),
            "Over the number of samples that see one another",
            axis="group",
            log_x=True,
        ),
    ),
)


def _modern(scale: Scale) -> tuple[Trial, ...]:
    return published_rows(
        {
            "cifar10/r3gan": "R3GAN (embedded label)",
            "cifar10/r3gan-d2dce": "R3GAN + D2D-CE",
            "cifar10/stylegan2": "StyleGAN2 (mapped projection)",
            "cifar10/stylegan2-d2dce": "StyleGAN2 + D2D-CE",
        },
        scale,
    )


MODERN_BASE = Suite(
    name="modern-base",
    numbers=(),
    title="D2D-CE on modern bases",
    about=(
        "R3GAN (relativistic loss, R1 and R2) and StyleGAN2 condition D by projection. Does D2D-CE in "
        "that place help them?"
    ),
    trials=_modern,
    metrics=("fid", "is", "recall", "coverage", "top1", "ifid", "cost/images_per_second"),
    claims=(
        closer("D2D-CE helps R3GAN", "R3GAN + D2D-CE", "R3GAN (embedded label)", "ours"),
        closer("D2D-CE helps StyleGAN2", "StyleGAN2 + D2D-CE", "StyleGAN2 (mapped projection)"),
    ),
    figures=(Figure("bars", ("fid", "recall"), "Modern bases with and without D2D-CE"),),
)

OURS = (CLASS_COUNT, EFFECTIVE_BATCH, MODERN_BASE)
