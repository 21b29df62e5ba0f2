"""The paper's tables: conditional GANs on four data sets, with CR, with DiffAug, StyleGAN2 (2 to 10)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from reacgan.suites.base import PRDC, Claim, Figure, Scale, Suite, closer
from reacgan.suites.scales import MAIN, TITLES, of_data, published_rows

_PUBLISHED = ("fid", "is", "f_8", "f_1_8", *PRDC)
_METRICS = (*_PUBLISHED, "top1", "ifid")
"""With metrics of small scale only: Inception has no classes of these data."""
_NOT_ON_CPU: Mapping[Scale, str] = {
    "cpu": "No size of this data set is made for two CPU cores; scale full needs a GPU."
}
_SMALL: Mapping[Scale, str] = {
    "cpu": (
        "Small networks (cifar10-small), few steps: the beginning of a training, where scores show "
        "how fast a method starts. The distances are in the features of a classifier of these images and "
        "compare with no published score."
    )
}


def _main_claims(*others: str) -> tuple[Claim, ...]:
    return tuple(
        closer(f"ReACGAN's distance is smaller than {other}'s", "ReACGAN", other)
        for other in others
    )


def _main(number: int, data: str, title: str, names: dict[str, str], on_cpu: bool) -> Suite:
    return Suite(
        name=f"main-{title.lower()}",
        numbers=(number,),
        title=f"SNGAN, BigGAN, ContraGAN, ACGAN and ReACGAN on {title}",
        about=f"The paper's main table, {title}: the published settings, one seed as published or more.",
        trials=partial(published_rows, names),
        metrics=_METRICS if on_cpu else _PUBLISHED,
        claims=_main_claims("SNGAN", "BigGAN", "ContraGAN", "ACGAN"),
        figures=(
            Figure("bars", ("fid", "recall", *["top1"] * on_cpu), f"Five methods on {title}"),
            Figure(
                "curves",
                ("watch/variety", "watch/contrast", "d/conditioning"),
                "Variety and classes of the averaged generator, and D's conditioning loss",
            ),
        ),
        notes=_SMALL if on_cpu else _NOT_ON_CPU,
    )


MAIN_CIFAR10 = _main(2, "cifar10", "CIFAR10", of_data("cifar10", MAIN, TITLES), True)
MAIN_TINY = _main(3, "tiny_imagenet", "Tiny-ImageNet", of_data("tiny_imagenet", MAIN, TITLES), True)
MAIN_CUB200 = _main(4, "cub200", "CUB200", of_data("cub200", MAIN, TITLES), False)
MAIN_IMAGENET = _main(
    5,
    "imagenet",
    "ImageNet-256",
    {f"imagenet/{method}-256": title for method, title in TITLES.items()},
    False,
)
MAIN_IMAGENET_2048 = Suite(
    name="main-imagenet-2048",
    numbers=(6,),
    title="BigGAN and ReACGAN on ImageNet with a batch of 2048",
    about=(
        "The paper's table 2: 4 parts of 512, accumulated. Here the losses see all 2048 samples; published "
        "runs had losses of 512 (suite effective-batch)."
    ),
    trials=partial(
        published_rows, {"imagenet/biggan-2048": "BigGAN", "imagenet/reacgan-2048": "ReACGAN"}
    ),
    metrics=_PUBLISHED,
    claims=_main_claims("BigGAN"),
    figures=(Figure("bars", ("fid", "recall"), "ImageNet, batch 2048"),),
    notes=_NOT_ON_CPU,
)


def _extra(number: int, extra: str, title: str, about: str) -> Suite:
    """BigGAN, ContraGAN, ReACGAN with and without an extra, on two data sets."""
    methods = ("biggan", "contragan", "reacgan")
    names: dict[str, str] = {}
    for data in ("cifar10", "tiny_imagenet"):
        for method in methods:
            names[f"{data}/{method}"] = TITLES[method]
            names[f"{data}/{method}-{extra}"] = f"{TITLES[method]} + {title}"
    better = f"with {title}, ReACGAN's distance is smaller than BigGAN's"
    return Suite(
        name=extra,
        numbers=(number,),
        title=f"BigGAN, ContraGAN and ReACGAN with {title}",
        about=about,
        trials=partial(published_rows, names),
        metrics=_METRICS,
        claims=(
            *(
                closer(f"{title} helps {row}", f"{row} + {title}", row)
                for row in (TITLES[method] for method in methods)
            ),
            closer(better, f"ReACGAN + {title}", f"BigGAN + {title}"),
        ),
        figures=(Figure("bars", ("fid", "recall"), f"With and without {title}"),),
        notes=_SMALL,
    )


CR = _extra(
    7,
    "cr",
    "CR",
    "Consistency regularisation: D's outputs for an image and its augmented view agree.",
)
DIFFAUG = _extra(8, "diffaug", "DiffAug", "Differentiable augmentation of all that D sees.")

_STYLES = {
    "cifar10/stylegan2": "StyleGAN2",
    "cifar10/stylegan2-d2dce": "StyleGAN2 + D2D-CE",
    "cifar10/stylegan2-ada": "StyleGAN2 + ADA",
    "cifar10/stylegan2-d2dce-ada": "StyleGAN2 + ADA + D2D-CE",
    "cifar10/stylegan2-diffaug": "StyleGAN2 + DiffAug",
    "cifar10/stylegan2-d2dce-diffaug": "StyleGAN2 + DiffAug + D2D-CE",
}
STYLEGAN2 = Suite(
    name="stylegan2-cifar10",
    numbers=(9,),
    title="StyleGAN2 with and without D2D-CE on CIFAR10",
    about="The paper's table 5: StyleGAN2 alone, with ADA, with DiffAug, each with D2D-CE too.",
    trials=partial(published_rows, _STYLES, protocol="benchmark"),
    metrics=_METRICS,
    claims=tuple(
        closer(f"D2D-CE helps StyleGAN2{extra}", f"StyleGAN2{extra} + D2D-CE", f"StyleGAN2{extra}")
        for extra in ("", " + ADA", " + DiffAug")
    ),
    figures=(Figure("bars", ("fid", "recall"), "StyleGAN2 with and without D2D-CE"),),
    notes=_SMALL,
)
STYLEGAN2_AFHQ = Suite(
    name="stylegan2-afhq",
    numbers=(10,),
    title="StyleGAN2-ADA with and without D2D-CE on AFHQ",
    about="512 pixels, three classes; released with the paper.",
    trials=partial(
        published_rows,
        {
            "afhq/stylegan2-ada": "StyleGAN2 + ADA",
            "afhq/stylegan2-d2dce-ada": "StyleGAN2 + ADA + D2D-CE",
        },
        protocol="benchmark",
    ),
    metrics=_PUBLISHED,
    claims=(closer("D2D-CE helps StyleGAN2 + ADA", "StyleGAN2 + ADA + D2D-CE", "StyleGAN2 + ADA"),),
    figures=(Figure("bars", ("fid", "recall"), "AFHQ"),),
    notes=_NOT_ON_CPU,
)

TABLES = (
    MAIN_CIFAR10,
    MAIN_TINY,
    MAIN_CUB200,
    MAIN_IMAGENET,
    MAIN_IMAGENET_2048,
    CR,
    DIFFAUG,
    STYLEGAN2,
    STYLEGAN2_AFHQ,
)
