"""Studies of trained models: accuracy, pictures, cost (experiments 14, 17, 19)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reacgan.suites.base import Claim, Figure, Scale, Suite, Trial
from reacgan.suites.scales import MAIN, TITLES, of_data, published_rows
from reacgan.suites.work import Drawn, Rescored

# -- accuracy


def _accuracy(scale: Scale) -> tuple[Trial, ...]:
    names = {
        **of_data("cifar10", MAIN, TITLES),
        **of_data("tiny_imagenet", ("biggan", "acgan", "reacgan"), TITLES),
    }
    cas = {"epochs": 0.5, "repeats": 1, "width": 4} if scale == "toy" else {}
    trials = []
    for base in published_rows(names, scale):
        run: Any = base.work
        rescored = Rescored(base, replace(run, metrics={"accuracy": {}, "cas": cas}, protocol=None))
        trials.append(Trial(f"{base.name}-accuracy", base.row, rescored, column=base.column))
    return tuple(trials)


ACCURACY = Suite(
    name="accuracy",
    numbers=(14,),
    title="Are generated images of the class that was asked for?",
    about=(
        "Top-1 and top-5 of a classifier of real images on generated ones, and CAS: a classifier trained "
        "on generated images, tested on real ones, beside one trained on as many real images."
    ),
    trials=_accuracy,
    metrics=("top1", "top5", "gan_train_top1", "gan_test_top1", "real_top1", "gan_train_ratio"),
    claims=(
        Claim(
            "ReACGAN's images teach a classifier more than BigGAN's",
            "gan_train_top1",
            ("ReACGAN", "BigGAN"),
            "above",
        ),
        Claim(
            "ReACGAN's images teach a classifier more than ACGAN's",
            "gan_train_top1",
            ("ReACGAN", "ACGAN"),
            "above",
            source="ours",
        ),
    ),
    figures=(Figure("bars", ("top1", "gan_train_top1"), "Labels of generated images"),),
)

# -- pictures


def _pictures(scale: Scale) -> tuple[Trial, ...]:
    names = of_data("cifar10", ("biggan", "acgan", "reacgan"), TITLES)
    count = 200 if scale == "toy" else 2000
    return tuple(
        Trial(f"{base.name}-pictures", base.row, Drawn(base, count), column=base.column)
        for base in published_rows(names, scale)
    )


PICTURES = Suite(
    name="pictures",
    numbers=(17,),
    title="Sheets, neighbours, walks, features and spectra",
    about=(
        "Generated images, their nearest training images, walks between seeds and classes, t-SNE of D's "
        "features with the purity of their neighbourhoods, and spectra beside those of real images."
    ),
    trials=_pictures,
    metrics=(
        "tsne/real.purity",
        "tsne/real.chance",
        "tsne/fake.class_of_nearest_real",
        "spectra/difference.generated.all",
        "spectra/halves_of_real.all",
        "spectra/difference.generated.highest_quarter",
        "neighbours-pixels/median_nearest",
        "neighbours-pixels/held_out_median_nearest",
    ),
)

# -- cost


def _cost(scale: Scale) -> tuple[Trial, ...]:
    names = {
        **of_data("cifar10", MAIN, TITLES),
        "cifar10/stylegan2": "StyleGAN2",
        "cifar10/stylegan2-d2dce": "StyleGAN2 + D2D-CE",
    }
    return published_rows(names, scale)


COST = Suite(
    name="cost",
    numbers=(19,),
    title="What training costs",
    about=(
        "Time, speed and memory of the trials of other suites, as their journals have them. The authors' "
        "own: 25.7 hours for ReACGAN on CIFAR10 (0.86 s per generator step with 5 D steps of 128), 12.8 "
        "for BigGAN; hardware not recorded."
    ),
    trials=_cost,
    metrics=(
        "cost/images_seen",
        "cost/train_seconds",
        "cost/images_per_second",
        "cost/memory_mb",
        "cost/evaluation_seconds",
    ),
    claims=(
        Claim(
            "D2D-CE costs time: ReACGAN is slower than BigGAN",
            "cost/images_per_second",
            ("ReACGAN", "BigGAN"),
            source="paper",
        ),
    ),
    figures=(Figure("bars", ("cost/images_per_second",), "Images a second"),),
)

STUDIES = (ACCURACY, PICTURES, COST)
