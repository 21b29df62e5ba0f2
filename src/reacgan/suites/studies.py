"""Studies of what has been trained, and of the measures themselves (13, 14, 17, 18, 19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reacgan.mixtures.figures import panels
from reacgan.mixtures.results import file_of, mixture_of
from reacgan.mixtures.results import read_result as read_mixture
from reacgan.mixtures.study import METHODS, STEPS, STUDY_TARGETS
from reacgan.suites.base import Claim, Figure, Scale, Suite, Trial
from reacgan.suites.rows import MAIN, TITLES, of_data, published_rows
from reacgan.suites.works import Drawn, Judged, OfMixture

# -- mixtures of Gaussians


def _mixtures(scale: Scale) -> tuple[Trial, ...]:
    toy = scale == "toy"
    return tuple(
        Trial(
            f"mixture-{target}/{name}",
            method.caption,
            OfMixture(name, target, 40 if toy else STEPS, 500 if toy else 10_000),
            column=target,
        )
        for target in STUDY_TARGETS
        for name, method in METHODS.items()
    )


def _densities(places: Sequence[tuple[Trial, int, Path]]) -> dict[str, bytes]:
    """Generated points of the lowest seed beside the true densities, a figure a target."""
    lowest = min((seed for _, seed, _ in places), default=0)
    held: dict[str, dict[str, dict[str, Any]]] = {}
    for trial, seed, folder in places:
        work = trial.work
        if seed == lowest and isinstance(work, OfMixture):
            found = read_mixture(file_of(folder, work.method, work.target, seed))
            if found is not None:
                held.setdefault(work.target, {})[work.method] = found
    captions = {name: method.caption for name, method in METHODS.items()}
    return {
        f"{target}: what was generated beside the truth, seed {lowest}": panels(
            mixture_of(next(iter(found.values()))["settings"]), found, captions
        )
        for target, found in held.items()
    }


_AC, _D2D = METHODS["ac"].caption, METHODS["d2dce"].caption
MIXTURES = Suite(
    name="mixtures",
    numbers=(13,),
    title="What conditioning losses do where classes overlap",
    about=(
        "Mixtures of Gaussians whose densities and posteriors are known: three overlapping ones on a line, "
        "three overlapping blobs, a ring of eight. A generated point of a class should be as likely to be "
        "taken for another class as a real one: agreement with the Bayes classifier above its own accuracy "
        "(`bayes`) says that the classes were drawn apart. Tiny networks; full scale is a CPU's."
    ),
    trials=_mixtures,
    metrics=(
        "wasserstein",
        "variation",
        "mmd",
        "deviation",
        "agreement",
        "bayes",
        "covered",
        "overall",
    ),
    claims=(
        Claim(
            "AC draws overlapping classes apart: agreement above projection's",
            "agreement",
            (_AC, METHODS["projection"].caption),
            "above",
            ("line", "blobs"),
        ),
        Claim(
            "TAC undoes it",
            "wasserstein",
            (METHODS["tac"].caption, _AC),
            columns=("line", "blobs"),
        ),
        Claim(
            "ADC undoes it",
            "wasserstein",
            (METHODS["adc"].caption, _AC),
            columns=("line", "blobs"),
        ),
        Claim(
            "TAC takes back what D2D-CE does",
            "wasserstein",
            (METHODS["d2dce_tac"].caption, _D2D),
            source="ours",
        ),
        Claim("D2D-CE is nearer to the truth than AC", "wasserstein", (_D2D, _AC), source="ours"),
        Claim(
            "D2D-CE draws classes apart less than AC",
            "agreement",
            (_D2D, _AC),
            columns=("line", "blobs"),
            source="ours",
        ),
    ),
    figures=(
        Figure(
            "bars", ("wasserstein", "agreement"), "Distance to the truth, and agreement with Bayes"
        ),
    ),
    drawn=_densities,
)

# -- accuracy


def _accuracy(scale: Scale) -> tuple[Trial, ...]:
    found = []
    names = {
        **of_data("cifar10", MAIN, TITLES),
        **of_data("tiny_imagenet", ("biggan", "acgan", "reacgan"), TITLES),
    }
    for base in published_rows(names, scale):
        run: Any = base.work
        metrics: Any = {"accuracy": {}, "cas": {}}
        if scale == "toy":
            metrics["cas"] = {"epochs": 0.5, "repeats": 1, "width": 4}
        told = replace(run, metrics=metrics, protocol=None)
        found.append(
            Trial(f"{base.name}-accuracy", base.row, Judged(base, told), column=base.column)
        )
    return tuple(found)


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
    return tuple(
        Trial(
            f"{base.name}-pictures",
            base.row,
            Drawn(base, 200 if scale == "toy" else 2000),
            column=base.column,
        )
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

STUDIES = (MIXTURES, ACCURACY, PICTURES, COST)
