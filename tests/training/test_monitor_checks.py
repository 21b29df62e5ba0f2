"""What is said of numbers and images: each kind named, and silence about healthy runs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.training.monitor.checks import ADVICE, RunFacts, Snapshot, check
from reacgan.training.monitor.signals import image_signals

FACTS = RunFacts(
    chance=2.0, undecided=0.0, conditional=True, cycle_images=64, num_classes=10, images=50_000
)
HEALTHY = {
    "variety": 0.7,
    "contrast": 0.9,
    "flat": 0.0,
    "real_sign": 0.2,
    "d/adversarial": 1.8,
    "d/conditioning": 2.0,
    "g/conditioning": 1.0,
    "d/score_real": 0.1,
    "d/score_fake": -0.2,
    "g/adversarial": 0.4,
}


def pictures(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).byte()


def snapshots(count, **last):
    """So many healthy snapshots, every 100,000 images, of which the last is another."""
    made = [Snapshot(100_000 * (index + 1), dict(HEALTHY)) for index in range(count)]
    return [*made[:-1], Snapshot(made[-1].images_seen, {**HEALTHY, **last})]


def kinds(seen, facts=FACTS):
    return [finding.kind for finding in check(seen, facts)]


def test_images_compared_with_themselves_are_as_varied():
    real = pictures(5, 8, 3, 16, 16)
    found = image_signals(real, real)
    assert found == pytest.approx(
        {"nearest": 1, "directions": 1, "variety": 1, "contrast": 1, "flat": 0}
    )


def test_one_image_a_class_has_no_variety_and_one_a_seed_no_contrast():
    real = pictures(4, 8, 3, 16, 16)
    collapsed = real[:, :1].expand(-1, 8, -1, -1, -1)
    assert image_signals(collapsed, real)["variety"] == 0
    unlabelled = real[:1].expand(4, -1, -1, -1, -1)
    assert image_signals(unlabelled, real)["contrast"] == 0
    assert image_signals(unlabelled, real)["variety"] > 0.5


def test_images_that_differ_in_one_way_alone():
    """Brightness a + b t: one direction of exp(0) = 1; the real ones are n - 1 equal directions."""
    real = torch.zeros(1, 4, 1, 8, 8, dtype=torch.uint8)
    for index in range(4):
        real[0, index, 0, index, index] = 255
    fake = torch.tensor([0, 50, 100, 150], dtype=torch.uint8).view(1, 4, 1, 1, 1).expand(real.shape)
    found = image_signals(fake, real)
    assert found["directions"] == pytest.approx(1 / 3)
    assert found["nearest"] == pytest.approx(50 / 255 * 8 / math.sqrt(2))
    assert found["variety"] == pytest.approx(found["directions"] * found["nearest"])
    assert "contrast" not in found


def test_flat_images_are_those_beyond_the_real_ones():
    real = pictures(2, 4, 1, 8, 8).clamp(1, 254)
    real[:, :2] = 0  # half of the pixels at the end
    black = torch.zeros_like(real)
    assert image_signals(real, real)["flat"] == 0
    assert image_signals(black, real)["flat"] == pytest.approx(1)
    grey = torch.full_like(real, 127)
    assert image_signals(grey, pictures(2, 4, 1, 8, 8))["flat"] == 1


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(3)))
def test_the_order_of_classes_and_seeds_does_not_matter(seeds, classes):
    fake, real = pictures(3, 6, 1, 9, 12, seed=1), pictures(3, 6, 1, 9, 12)
    moved = fake[classes][:, seeds]
    assert image_signals(moved, real) == pytest.approx(image_signals(fake, real), rel=1e-10)


def test_few_images_give_few_signals():
    assert image_signals(pictures(1, 2, 3, 8, 8), pictures(1, 2, 3, 8, 8)).keys() == {"flat"}
    alike = torch.zeros(2, 4, 1, 8, 8, dtype=torch.uint8)  # a set whose images are all the same
    assert image_signals(alike, alike) == {"flat": 0.0}


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30])
def test_a_healthy_run_gets_no_finding(count):
    assert kinds(snapshots(count) if count else []) == []


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"variety": 0.29}, "mode_collapse"),
        ({"contrast": 0.2}, "class_collapse"),
        ({"contrast": 0.01}, "class_collapse"),
        ({"d/adversarial": 0.05}, "divergence"),
        ({"d/adversarial": 40.0}, "divergence"),
        ({"g/adversarial": -30.0}, "divergence"),
        ({"d/score_real": 1e4}, "divergence"),
        ({"flat": 0.8}, "divergence"),
        ({"d/conditioning": 9.0}, "conditioning_explosion"),
        ({"g/conditioning": 90.0}, "conditioning_explosion"),
    ],
)
def test_what_is_wrong_is_named_with_its_numbers(last, kind):
    (finding,) = check(snapshots(10, **last), FACTS)
    assert finding.kind == kind
    (name,) = last
    assert finding.evidence[name] == last[name]
    assert kind in ADVICE


def test_low_variety_alone_is_no_collapse():
    """Young and small models make blurs; a collapse is less than the same run could do before."""
    assert kinds([Snapshot(10_000 * k, {"variety": 0.3}) for k in (1, 2, 3)]) == []
    assert kinds([Snapshot(10_000 * k, {"variety": 0.3 / k}) for k in (1, 2, 3)]) == []
    assert kinds([Snapshot(10_000, {"variety": 0.05})]) == []
    assert kinds([Snapshot(100_000, {"variety": 0.05})]) == ["mode_collapse"]


def test_variety_that_falls_while_classes_separate_is_no_collapse():
    """As on the digits: 1.5 falls to 0.39 while contrast grows, and stays there."""
    course = [(1.51, 0.10), (1.02, 0.44), (0.55, 0.88), (0.42, 0.93), (0.39, 0.95)]
    seen = [
        Snapshot(20_000 * (index + 1), {"variety": variety, "contrast": contrast})
        for index, (variety, contrast) in enumerate(course)
    ]
    assert kinds(seen) == []
    fallen = Snapshot(200_000, {"variety": 0.29, "contrast": 0.9})
    assert kinds([*seen, fallen]) == ["mode_collapse"]
    plain = RunFacts(**{**vars(FACTS), "conditional": False})
    assert kinds(seen, plain) == ["mode_collapse"]  # nothing tells that it still learns


def test_classes_that_look_alike_early_are_no_collapse():
    alike = {"contrast": 0.01}
    assert kinds([Snapshot(100_000, alike)]) == []
    assert kinds([Snapshot(200_000, alike)]) == ["class_collapse"]
    many = RunFacts(**{**vars(FACTS), "num_classes": 1000})
    assert kinds([Snapshot(200_000, alike)], many) == []
    plain = RunFacts(**{**vars(FACTS), "conditional": False})
    assert kinds([Snapshot(900_000, alike)], plain) == []
    late = RunFacts(**{**vars(FACTS), "labels_from": 800_000})
    assert kinds([Snapshot(900_000, alike)], late) == []
    assert kinds([Snapshot(950_000, alike)], late) == ["class_collapse"]


def test_a_sure_discriminator_has_overfitted_only_after_many_passes():
    assert kinds([Snapshot(500_000, {"real_sign": 0.99})]) == []
    assert kinds([Snapshot(1_000_000, {"real_sign": 0.99})]) == ["discriminator_overfit"]
    assert kinds([Snapshot(1_000_000, {"real_sign": 0.6})]) == []


def test_scores_that_drift_and_losses_without_a_level_say_nothing():
    drifting = RunFacts(**{**vars(FACTS), "chance": 0.0, "undecided": None})
    assert kinds(snapshots(10, **{"d/score_real": 1e4, "g/adversarial": -1e4}), drifting) == []
    assert kinds(snapshots(10, **{"d/adversarial": 0.0}), drifting) == []
    assert kinds(snapshots(10, **{"d/adversarial": -1e4}), drifting) == ["divergence"]


def test_a_loss_that_always_swings_is_none_that_explodes():
    swings = [
        Snapshot(100_000 * k, {"d/adversarial": 1.0 if k % 2 else 30.0}) for k in range(1, 12)
    ]
    assert kinds(swings) == []
    assert kinds(snapshots(4, **{"d/adversarial": 40.0})) == []  # too young to know what is usual
    assert kinds(snapshots(5, **{"d/adversarial": 40.0})) == ["divergence"]


def test_scores_that_come_more_rarely_than_looks_are_not_forgotten():
    """FID and recall of every second look: what was found holds until the next score."""
    fids, recalls = [10.0, None, 8.0, None, 100.0, None], [0.5, None, 0.5, None, 0.02, None]
    snapshots = [
        Snapshot(
            10_000 * (place + 1),
            {"variety": 1.0} | ({"score/fid": fid, "score/recall": recall} if fid else {}),
        )
        for place, (fid, recall) in enumerate(zip(fids, recalls, strict=True))
    ]
    kinds = [[one.kind for one in check(snapshots[:count], FACTS)] for count in range(1, 7)]
    assert kinds[:4] == [[], [], [], []]
    assert kinds[4] == kinds[5] == ["mode_collapse", "scores_fell"]


@pytest.mark.parametrize("name", ["d/adversarial", "g/adversarial"])
@pytest.mark.parametrize(("chance", "most"), [(2.0, 200), (0.0, 1e4)])
def test_a_loss_beyond_all_is_divergence_at_any_look(name, chance, most):
    """Also at the first, where there is no history; losses without a level of chance may be larger."""
    facts = replace(FACTS, chance=chance, undecided=None)
    first = [Snapshot(500, {**HEALTHY, name: most * 1.01})]
    (finding,) = check(first, facts)
    assert (finding.kind, finding.evidence) == ("divergence", {name: most * 1.01, "most": most})
    assert kinds([Snapshot(500, {**HEALTHY, name: -most * 1.01})], facts) == ["divergence"]
    assert kinds([Snapshot(500, {**HEALTHY, name: most * 0.99})], facts) == []


def test_classes_more_distinct_than_real_ones_hide_no_collapse():
    """What collapsed within its classes may be far more distinct between them than anything before."""
    seen = snapshots(4, variety=0.01, contrast=9.0)
    assert kinds(seen) == ["mode_collapse"]
