from __future__ import annotations

import json

import pytest

from reacgan.assembly import complete
from reacgan.config import ConfigError, parse_experiment
from reacgan.data import DATASETS
from reacgan.experiments import EXPERIMENTS, experiment
from reacgan.experiments.derive import ImageFacts, derive
from reacgan.experiments.describe import describe
from reacgan.models import build_discriminator, build_generator
from reacgan.training.ema import ema_decay


def test_the_table():
    for name, held in EXPERIMENTS.items():
        assert held.name == name
        assert held.data.name in DATASETS
    published = {"reacgan", "acgan", "biggan", "contragan", "reacgan-diffaug"}
    expected = {f"{size}/{one}" for size in ("cifar10", "cifar10-small") for one in published}
    assert expected | {"digits/reacgan", "digits/acgan"} <= set(EXPERIMENTS)


def test_unknown():
    with pytest.raises(
        ConfigError, match=r"unknown experiment 'cifar10/reacgn'; did you mean 'cif"
    ):
        experiment("cifar10/reacgn")


@pytest.mark.parametrize(
    ("name", "head", "batch", "weight", "d"),
    [
        ("cifar10/reacgan", "d2dce", 128, 0.5, 2_517_186),
        ("cifar10/contragan", "contrastive", 64, 1.0, 2_517_186),
        ("cifar10/acgan", "auxiliary", 64, 1.0, 2_415_170),
        ("cifar10/biggan", "projection", 64, 0.0, 2_415_170),
    ],
)
def test_published_settings(name, head, batch, weight, d):
    held = experiment(name)
    assert (held.model.head.name, held.training.batch) == (head, batch)
    assert held.loss.conditioning_weight == weight
    assert held.training.d_steps == 5
    assert held.training.images == 100_000 * 5 * batch  # 100,000 generator steps
    assert describe(held)["parameters"] == {"generator": 9_416_196, "discriminator": d}


def of_each_kind():
    """The first of each data set with each pair of networks; the others among the slow tests."""
    seen = set()
    for name, settings in EXPERIMENTS.items():
        kind = (settings.data.name, settings.model.generator.name, settings.model.backbone.name)
        yield pytest.param(name, marks=pytest.mark.slow if kind in seen else ())
        seen.add(kind)


@pytest.mark.parametrize("name", of_each_kind())
def test_describe(name):
    described = json.loads(json.dumps(describe(experiment(name))))
    assert described.pop("parameters")["generator"] > 0
    classes = {"cifar100": 100, "tiny_imagenet": 200, "cub200": 200, "imagenet": 1000, "afhq": 3}
    classes["glyphs"] = 100
    assert described.pop("num_classes") == classes.get(EXPERIMENTS[name].data.name, 10)
    assert parse_experiment(described) == complete(experiment(name))


def test_describe_needs_the_number_of_classes():
    held = experiment("digits/reacgan").replace(**{"data.name": "folder"})
    with pytest.raises(ConfigError, match="give --num-classes"):
        describe(held)
    assert describe(held, 10)["parameters"] == describe(experiment("digits/reacgan"))["parameters"]
    for wrong in (0, -3):
        with pytest.raises(ConfigError, match=f"num_classes is {wrong}; allowed: 1 or more"):
            describe(held, wrong)


def facts(**changes):
    held = {
        "path": "photos",
        "dataset": "folder",
        "images": 5_000,
        "classes": ("cat", "dog"),
        "side": 40,
        "grey": False,
        "accelerator": False,
    }
    return ImageFacts(**{**held, **changes})


@pytest.mark.parametrize("accelerator", [True, False])
@pytest.mark.parametrize("side", [1, 8, 15, 16, 31, 32, 64, 127, 128, 256, 5_000])
@pytest.mark.parametrize("dataset", ["folder", "archive"])
def test_whatever_is_derived_can_be_built(side, accelerator, dataset):
    side = side if dataset == "folder" else max(8, min(1 << (side.bit_length() - 1), 256))
    derived = derive(facts(side=side, accelerator=accelerator, dataset=dataset))
    held = complete(derived.experiment)
    assert held.data.resolution <= max(side, 8)
    assert held.data.path == "photos" and held.name == "photos"
    if dataset == "archive":
        assert held.data.resolution == side
    import torch

    with torch.device("meta"):
        build_generator(held.model.generator, held.data, 2)
        build_discriminator(held.model.backbone, held.model.head, held.data, 2)
    assert derive(facts(side=side, accelerator=accelerator, dataset=dataset)) == derived


def test_each_choice_follows_from_a_fact_and_is_in_the_experiment():
    def value(key, **changes):
        derived = derive(facts(**changes))
        found = {choice.key: choice.value for choice in derived.choices}
        section, _, leaf = key.rpartition(".")
        node = derived.experiment
        for part in section.split("."):
            node = getattr(node, part)
        held = {**getattr(node, "options", {}), **node.model_dump()}[leaf]
        assert held == found[key]
        return held

    assert value("data.channels", grey=True) == 1
    assert value("data.channels") == 3
    assert value("augment.name") == "diffaug"
    assert value("augment.name", images=200_000) == "identity"
    assert value("data.flip") is True
    assert value("data.flip", classes=("a", "b")) is False
    assert value("training.batch", accelerator=True) > value("training.batch")
    assert value("training.images", images=20) <= value("training.images", images=10**6)
    assert value("data.resolution", side=40) == 32
    assert all(choice.reason for choice in derive(facts()).choices)


def test_a_folder_of_images(tmp_path):
    import numpy as np
    from PIL import Image

    from reacgan import derive_experiment

    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((20, 17), number * 40, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    held = derive_experiment(tmp_path / "pets", device="cpu").experiment
    assert (held.name, held.data.resolution, held.data.channels) == ("pets", 16, 1)


STYLEGAN = [
    ("cifar10/stylegan2", 500_000, 0.05),
    ("cifar10/stylegan2-d2dce", 500_000, 0.05),
    ("cub200/stylegan2", 20_000, None),
    ("cub200/stylegan2-d2dce", 20_000, None),
    ("imagenet/stylegan2", 20_000, None),
    ("afhq/stylegan2-d2dce-ada", 20_000, None),
]


@pytest.mark.parametrize(("name", "half_life", "ramp"), STYLEGAN)
@pytest.mark.parametrize("step", [1_000, 100_000])
def test_stylegan2s_average_counts_the_images_of_gs_steps(name, half_life, ramp, step):
    """0.5^(B / min(half-life, ramp x B x step)) at each of G's steps, however many D's are."""
    held = experiment(name)
    batch = held.training.batch
    counted = half_life if ramp is None else min(half_life, ramp * batch * step)
    decay = ema_decay(held.ema, step * held.cycle_images, held.cycle_images)
    assert decay == pytest.approx(0.5 ** (batch / counted), rel=1e-12)


def test_stylegan2s_adam_is_corrected_by_the_interval_of_its_own_penalty():
    for name, every in (("cifar10/stylegan2", 16), ("cifar10/stylegan2-d2dce-diffaug-rev", 2)):
        held = experiment(name)
        share = every / (every + 1)
        assert held.penalties["r1"]["every"] == every
        assert held.d_optimizer.lr == pytest.approx(2.5e-3 * share)
        assert held.d_optimizer.beta2 == pytest.approx(0.99**share)
        assert held.g_optimizer.lr == pytest.approx(2.5e-3 * 4 / 5)


def test_apa_is_stylegan2_and_nothing_else():
    held, plain = experiment("cifar10/stylegan2-apa"), experiment("cifar10/stylegan2-diffaug")
    assert held.apa is not None
    assert (held.augment.name, held.data.flip) == ("identity", True)
    assert held.training == plain.training


def test_without_an_average_the_copy_is_a_copy_to_the_end():
    held = experiment("cifar10/sngan")
    assert ema_decay(held.ema, held.training.images, held.cycle_images) == 0


def test_losses_that_do_not_go_together():
    paired = experiment("cifar10/reacgan-relativistic")
    with pytest.raises(ConfigError, match=r"loss.top_k .* relativistic"):
        complete(paired.replace(**{"loss.top_k": {}}))
    hinges = experiment("cifar10/mhgan")
    with pytest.raises(ConfigError, match=r"loss.transition .* nothing to minimise"):
        complete(hinges.replace(**{"loss.transition": {"start": 1_000, "end": 2_000}}))


@pytest.mark.parametrize(
    ("name", "target", "flip"),
    [
        ("cifar10/biggan-ada", 0.6, True),
        ("cifar100/biggan-ada", 0.6, False),
        ("cifar10/reacgan-ada", 0.7, False),
        ("cifar10/stylegan2-ada", 0.6, True),
        ("cifar10/stylegan2-d2dce-ada", 0.8, True),
        ("tiny_imagenet/reacgan-ada", 0.7, True),
        ("cub200/stylegan2-d2dce-ada", 0.6, True),
        ("afhq/stylegan2-d2dce-ada", 0.8, True),
    ],
)
def test_published_settings_of_ada(name, target, flip):
    held = experiment(name)
    assert (held.augment.options["target"], held.data.flip) == (target, flip)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "nothing in the head d2dce tells real from fake; .* these heads: multihinge"),
        (
            {"model.head": "multihinge", "loss.top_k.gamma": 0.5},
            r"loss\.top_k has no effect where loss\.adversarial is none",
        ),
    ],
)
def test_no_adversarial_loss_needs_a_head_that_judges_alone(changes, message):
    held = experiment("digits/reacgan").replace(**{"loss.adversarial": "none", **changes})
    with pytest.raises(ConfigError, match=message):
        complete(held)
    complete(experiment("cifar10/mhgan"))
    over = {"name": "infogan", "over": {"name": "multihinge"}}
    codes = {"model.head": over, "model.codes.continuous": 2, "loss.adversarial": "none"}
    complete(experiment("digits/reacgan").replace(**codes))


@pytest.mark.parametrize(
    ("name", "found"),
    [("tacgan", "there are: cifar10-small/tacgan, cifar10/tacgan"), ("TAC-GAN", "cifar10/tacgan$")],
)
def test_the_name_of_a_method_finds_its_experiments(name, found):
    with pytest.raises(ConfigError, match=found):
        experiment(name)


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        ("cifar10/reacgan", 9_416_196, 2_517_186),
        ("cifar10/contragan", 9_416_196, 2_517_186),
        ("cifar10/biggan", 9_416_196, 2_415_170),
        ("cifar10/acgan", 9_416_196, 2_415_170),
        ("cifar10/mhgan", 9_416_196, 2_415_180),
        ("cifar10/reacgan-adc", 9_416_196, 2_522_306),
        ("cifar10/reacgan-tac", 9_416_196, 2_621_122),
        ("cifar10/sngan", 4_304_387, 1_055_105),
        ("cifar10/sagan", 4_386_308, 1_075_586),
        ("cifar10/acgan-resnet", 4_304_387, 1_057_159),
        ("cifar10/projgan", 4_304_387, 1_057_159),
        ("cifar10/biggan-deep", 7_762_948, 2_908_930),
        ("cifar10/biggan-deep-learned", 9_338_884, 3_177_730),
        ("tiny_imagenet/reacgan", 17_335_204, 31_678_130),
        ("tiny_imagenet/biggan", 17_335_204, 30_796_722),
        ("cub200/reacgan", 49_226_404, 61_551_026),
        ("cub200/biggan", 49_226_404, 60_290_482),
        ("imagenet/reacgan-2048", 70_433_988, 91_642_146),
        ("imagenet/biggan-256", 70_433_988, 87_982_370),
        ("cifar10/stylegan2", 20_215_315, 23_089_664),
        ("cifar10/stylegan2-d2dce", 20_215_315, 21_251_585),
        ("afhq/stylegan2-ada", 30_540_775, 31_348_288),
        ("afhq/stylegan2-d2dce-ada", 30_540_775, 30_561_857),
        # Without gains and biases of the 64 channels where D takes the image, as DCGAN has it.
        ("cifar10/dcgan", 3_812_355, 2_931_009 - 2 * 64),
    ],
)
def test_published_parameter_counts(name, generator, discriminator):
    found = describe(experiment(name))["parameters"]
    assert found == {"generator": generator, "discriminator": discriminator}


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((300, 200), "32x48 keeps the whole"),
        ((200, 300), "48x32 keeps the whole"),
        ((96, 72), "24x32 keeps the whole"),
        ((1920, 1080), "32x56 keeps 98%"),
        ((110, 100), None),
    ],
)
def test_what_cutting_squares_would_lose_is_said(size, said):
    reason = next(
        held.reason for held in derive(facts(sizes={size: 9})).choices if "resolution" in held.key
    )
    assert ("squares are cut out" in reason) == (said is not None)
    assert said is None or f"data.resolution={said}" in reason
    if said is not None:
        size = said.split()[0]
        assert derive(facts()).experiment.replace(**{"data.resolution": size})


@pytest.mark.parametrize("group", ["cifar10", "cifar100"])
@pytest.mark.parametrize(("method", "batch"), [("biggan-lecam", 64), ("reacgan-lecam", 128)])
def test_lecam_starts_after_a_thousand_steps_of_g_as_published(group, method, batch):
    held = experiment(f"{group}/{method}")
    lecam = held.penalties["lecam"]
    assert lecam == {"weight": 0.3, "decay": 0.99, "start": 1_000 * 5 * batch, "form": "paper"}
    assert lecam["start"] == 1_000 * held.cycle_images
    assert held.training.images == 200 * lecam["start"]


@pytest.mark.parametrize(
    ("group", "steps", "flip"), [("cifar10", 200_000, True), ("cifar100", 400_000, False)]
)
def test_length_and_mirroring_of_biggan_with_ada_are_those_of_each_data_set(group, steps, flip):
    held = experiment(f"{group}/biggan-ada")
    assert (held.training.images, held.data.flip) == (steps * 5 * 64, flip)
    assert (held.augment.options["target"], held.augment.options["speed"]) == (0.6, 500_000)


@pytest.mark.parametrize(
    ("group", "weight", "every"), [("cifar10", 0.08, 2), ("cifar100", 0.01, 16)]
)
def test_r1_of_the_revised_recipe_is_that_of_each_data_set(group, weight, every):
    held = experiment(f"{group}/stylegan2-d2dce-diffaug-rev")
    assert held.penalties["r1"] == {"weight": weight, "every": every}
    assert held.d_optimizer.lr == pytest.approx(2.5e-3 * every / (every + 1))
    assert held.d_optimizer.beta2 == pytest.approx(0.99 ** (every / (every + 1)))


def test_path_lengths_let_the_gradient_through_their_mean_as_published():
    found = {name: one.penalties["path_length"] for name, one in EXPERIMENTS.items()
             if "path_length" in one.penalties}  # fmt: skip
    assert {name.partition("/")[0] for name in found} == {"cub200", "imagenet", "afhq"}
    for options in found.values():
        assert options == {"weight": 2.0, "every": 4, "constant_mean": False}


def test_tiny_imagenet_with_diffaug_is_as_long_as_the_runs_of_its_scores():
    lengths = {"biggan": 200_000, "contragan": 200_000, "reacgan": 100_000}
    for method, steps in lengths.items():
        assert experiment(f"tiny_imagenet/{method}-diffaug").training.images == steps * 1024


@pytest.mark.parametrize(
    ("resolution", "latent_dim", "attention"),
    [
        (8, 40, ()),
        (16, 60, ()),
        (32, 80, (2,)),
        ("48x64", 80, (2,)),
        (64, 100, (3,)),
        (128, 120, (4,)),
    ],
)
def test_what_is_set_decides_the_rest(resolution, latent_dim, attention):
    given = {"data.resolution": resolution, "training.images": 1_000}
    derived = derive(facts(side=40, given=given))
    made = derived.experiment.model.generator.options
    assert (made["latent_dim"], made["attention_after"]) == (latent_dim, attention)
    reasons = {choice.key: choice.reason for choice in derived.choices}
    assert reasons["data.resolution"] == reasons["training.images"] == "as you say"
    built = build_generator(derived.experiment.model.generator, derived.experiment.data, 3)
    assert built.latent_dim == latent_dim


def test_options_of_a_network_that_is_replaced_are_no_choices():
    derived = derive(facts(given={"model.generator.name": "dcgan"}))
    keys = {choice.key for choice in derived.choices}
    assert "model.generator.width" not in keys and "model.backbone.width" in keys
    assert derived.experiment.model.generator.options == {}


def test_sizes_that_do_not_fit_come_with_examples():
    small = EXPERIMENTS["cifar10/reacgan"].replace(**{"data.resolution": 16})
    with pytest.raises(ConfigError, match=r"must be a multiple of 3 .*, such as 78 or 81; set"):
        build_generator(small.model.generator, small.data, 10)
    with pytest.raises(ConfigError, match=r"does not divide; take a batch such as 126 or 129"):
        small.replace(**{"training.accumulate": 3})
    with pytest.raises(ConfigError, match=r"resolution is 17 x 17.*such as 16 or 20"):
        derive(facts(given={"data.resolution": 17}))
