"""Whether generated images help: generators whose answer is known before anything is trained."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import reacgan
from reacgan.benefit import ArmResult, Interval, Study, augment_study
from reacgan.benefit.images import generated, open_real, part_of
from reacgan.benefit.result import METHOD, compared, compared_by_class
from reacgan.benefit.showing import figure, table
from reacgan.benefit.study import Recipe, arms_of
from reacgan.config import ConfigError
from reacgan.data import open_dataset
from reacgan.metrics.intervals import student95
from reacgan.sampling import SamplingSettings, save_image

SHORT = Recipe(steps=60, width=6, batch=32, flip=False)
TINY = Recipe(steps=2, width=2, batch=8, flip=False)


def by_name(study):
    return {arm.name: arm for arm in study.arms}


def written(folder, data, per_class, *, shift=0):
    """Some digits as files in class folders."""
    for label in range(data.num_classes):
        for index in np.flatnonzero(data.labels == label)[shift : shift + per_class].tolist():
            save_image(
                torch.tensor(data.images[index]), folder / str(label), f"{index}-{len(data)}"
            )


@pytest.fixture(scope="module")
def real(digits):
    return tuple(open_dataset(digits.experiment.data, split) for split in ("train", "test"))


def test_a_good_generator_helps_where_there_are_few_images(digits):
    study = augment_study(digits, sizes=(1,), amounts=(20,), recipe=SHORT, repeats=3)
    alone, fake, mixed = study.arms
    assert (alone.real, alone.generated, fake.real, fake.generated) == (10, 0, 0, 10)
    assert (mixed.name, mixed.size, mixed.real, mixed.generated) == (
        "real + 20x generated", 1, 10, 200,
    )  # fmt: skip
    assert mixed.verdict == "helps" and mixed.difference.low > 0
    assert alone.verdict is None and alone.difference is None
    assert study.words()[0].startswith(
        "With 1 real image a class generated images help: real + 20x"
    )
    assert any("has seen all of its training images" in text for text in study.warnings())
    assert mixed.classes.keys() == set(digits.class_names)
    labels = open_dataset(digits.experiment.data, "test").labels
    weights = np.bincount(labels) / len(labels)
    mean = sum(weights[int(name)] * share for name, share in mixed.classes.items())
    assert mean == pytest.approx(mixed.accuracy.value)


def test_wrong_labels_harm(digits):
    moved = replace(digits, class_names=(*digits.class_names[1:], digits.class_names[0]))
    study = augment_study(moved, sizes=(20,), amounts=(2,), recipe=SHORT, repeats=2)
    arms = by_name(study)
    assert arms["generated alone"].accuracy.value < 0.2
    assert arms["real + 2x generated"].verdict == "harms"
    assert "generated images harm in every mixture" in study.words()[0]


def test_stopped_and_taken_up_again(digits, tmp_path):
    options = {"amounts": (1,), "sizes": (5,), "repeats": 2, "recipe": TINY}
    whole = augment_study(digits, out=tmp_path / "whole", **options)
    asked = iter([False] * 4 + [True] * 9)
    part = augment_study(digits, out=tmp_path / "part", should_stop=lambda: next(asked), **options)
    assert whole.complete and not part.complete
    assert json.loads((tmp_path / "part" / "study.json").read_text())["complete"] is False
    reported = []
    rest = augment_study(
        digits, out=tmp_path / "part", progress=lambda *n: reported.append(n), **options
    )
    assert reported[0] == (3, 6) and reported[-1] == (6, 6)
    assert rest.to_json() == whole.to_json()
    stored = json.loads((tmp_path / "whole" / "study.json").read_text())
    assert stored == json.loads(json.dumps(whole.to_json())) and stored["complete"] is True
    more = augment_study(digits, out=tmp_path / "part", **{**options, "repeats": 3})
    assert by_name(more)["real"].repeats[:2] == by_name(whole)["real"].repeats
    with pytest.raises(
        ConfigError, match=r"study of something else \(classifier.width 2 there, 3 now"
    ):
        augment_study(
            digits, out=tmp_path / "part", **{**options, "recipe": replace(TINY, width=3)}
        )
    assert augment_study(digits, **options).to_json() == whole.to_json()


def test_repeats_differ_in_generated_and_real_images(digits, real):
    first, second = (part_of(real[0], 3, seed=0, repeat=repeat) for repeat in (0, 1))
    assert first.counts.tolist() == second.counts.tolist() == [3] * 10
    assert first.digest != second.digest
    names = tuple(reversed(digits.class_names))
    counts = np.array([2, 0, 1, *[0] * 7])
    made = generated(digits, SamplingSettings(), counts, names, first=4)
    assert made.labels.tolist() == [0, 0, 2] and made.class_names == names
    truth = [
        *reacgan.sample(digits, "9", num=2, seed=4),
        *reacgan.sample(digits, "7", num=1, seed=4),
    ]
    for image, item in zip(made.images, truth, strict=True):
        assert np.array_equal(image, item.image.numpy())


def test_held_out_images_that_were_learned_from_are_left_out(digits, real, tmp_path):
    train, test = real
    written(tmp_path / "mine", train, 2)  # the generator's own
    written(tmp_path / "mine", test, 3)
    images = open_real(digits, None, tmp_path / "mine")
    assert len(images.held_out) == 30 and len(images.training) == len(train)
    assert images.notes == ("20 held-out images were also training images and are left out",)
    written(tmp_path / "all", train, 2)
    with pytest.raises(ConfigError, match="20 of 20 held-out images are also among the training"):
        open_real(digits, None, tmp_path / "all")


def test_own_images(digits, real, tmp_path):
    _, test = real
    written(tmp_path / "set" / "train", test, 4)
    written(tmp_path / "set" / "test", test, 2, shift=4)
    images = open_real(digits, tmp_path / "set", None)
    assert (len(images.training), len(images.held_out), images.notes) == (40, 20, ())
    with pytest.raises(ConfigError, match="needs real images that neither .* held_out"):
        open_real(digits, tmp_path / "set" / "train", None)
    away = digits.experiment.replace(**{"data.name": "folder", "data.path": str(tmp_path / "gone")})
    notes = open_real(replace(digits, experiment=away), tmp_path / "set", None).notes
    assert "could not be checked" in notes[0] and "gone" in notes[0]
    other = replace(digits, class_names=tuple("abcdefghij"))
    with pytest.raises(ConfigError, match="has the class '0', which the generator has not"):
        open_real(other, tmp_path / "set", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "repeats is 0; allowed: 1 or more"),
        ({"amounts": (1, 0)}, "amounts: 0; allowed: above 0 to 100"),
        ({"sizes": (5, 0)}, "sizes: 0; allowed: 1 or more"),
        ({"sizes": (5, 500)}, "sizes: 500; allowed: up to 1.., the real training images"),
        ({"settings": SamplingSettings(statistics="batch")}, "do not fix an image"),
    ],
)
def test_what_cannot_be_asked_for(digits, options, message):
    with pytest.raises(ConfigError, match=message):
        augment_study(digits, **options)
    with pytest.raises(ConfigError, match="batch is 1; allowed: 2 or more"):
        Recipe(batch=1)


def test_steps_are_the_same_for_all():
    assert Recipe(steps=7).resolved(10**6).steps == 7
    assert Recipe(batch=100).resolved(10_000).steps == 1000
    assert Recipe().resolved(10).steps == 300 and Recipe().resolved(10**6).steps == 3000
    assert [arm.name for arm in arms_of((2, 0.5, 2))] == [
        "real", "generated alone", "real + 0.5x generated", "real + 2x generated",
    ]  # fmt: skip


def test_intervals():
    for freedom in (1, 2, 3, 9):
        assert student95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)
    values = [0.5, 0.6, 0.9]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    interval = Interval.of(values)
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-4)
    assert Interval.of([0.5]) == Interval(0.5) and Interval(0.5).points() == "+50.0 (one repeat)"
    draw = np.random.default_rng(0)
    base = [draw.random(400) < 0.5 for _ in range(3)]
    better = [each | (draw.random(400) < 0.3) for each in base]
    apart = [(b.astype(float) - a).mean() for a, b in zip(base, better, strict=True)]
    each = np.mean([b.astype(float) - a for a, b in zip(base, better, strict=True)], axis=0)
    reach = math.hypot(4.302653 * stats.sem(apart), 1.959964 * stats.sem(each))
    found = compared(better, base)
    assert found.value == pytest.approx(np.mean(apart))
    assert found.high - found.value == pytest.approx(reach, rel=1e-5)
    same = compared(base, base)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def study_of(difference, repeats=3, classes=None, **changes):
    base = ArmResult("real", None, 10, 0, Interval(0.5, 0.4, 0.6), (0.5,), {"a": 0.5, "b": 0.5})
    mixed = replace(
        base, name="real + 1x generated", generated=10, difference=difference,
        classes={"a": 0.7, "b": 0.4}, class_differences=classes or {},
    )  # fmt: skip
    return Study((base, mixed), 500, repeats, {}, **changes)


def test_in_words():
    assert study_of(Interval(0.02, -0.01, 0.05)).words() == [
        "With all real images no difference can be told from 3 repeats and 500 held-out images: "
        "real + 1x generated against real images alone: +2.0 (-1.0 to +5.0) points."
    ]
    assert "generated images help" in study_of(Interval(0.02, 0.01, 0.03)).words()[0]
    assert "harm in every" in study_of(Interval(-0.02, -0.03, -0.01)).words()[0]
    assert (
        "one repeat shows nothing: real + 1x generated against real images alone: +20.0 (one repeat)"
        in study_of(Interval(0.2), repeats=1).words()[0]
    )
    few = study_of(Interval(0.02, -0.01, 0.05), notes=("mind this",))
    assert few.warnings() == ["mind this"]
    assert replace(few, held_out=50).warnings()[1] == (
        "50 held-out images are few: one of them is 2.0 points"
    )
    text = table(few)
    assert "real + 1x generated  50.0 % (40.0 to 60.0)  +2.0 (-1.0 to +5.0)   unclear" in text
    assert text.endswith("note: mind this") and METHOD in text


def test_classes_have_intervals_or_no_number():
    changes = {
        "a": Interval(0.2, 0.1, 0.3), "b": Interval(-0.1, -0.15, -0.05), "c": Interval(0.5, -0.1, 1.1)
    }  # fmt: skip
    study = study_of(Interval(0.02, -0.01, 0.05), classes=changes)
    text = table(study)
    assert "  gains: a +20.0 (+10.0 to +30.0)\n  losses: b -10.0 (-15.0 to -5.0)\n" in text
    assert "c +50.0" not in text
    unclear = table(study_of(Interval(0.0, -0.1, 0.1), classes={"c": changes["c"]}))
    assert "no class differs by more than its interval" in unclear
    assert "by class: 1 classes have fewer than 10 held-out images" in unclear
    alone = table(study_of(Interval(0.02), repeats=1, classes={"a": Interval(0.2)}))
    assert "by class: needs 2 repeats or more" in alone and "a +20.0" not in alone
    assert figure(study).startswith(b"\x89PNG")


def test_a_class_is_compared_as_all_images_are():
    draw = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [40, 30, 9])
    base, better = ([draw.random(79) < share for _ in range(2)] for share in (0.3, 0.7))
    by_class = compared_by_class(better, base, labels, ("a", "b", "c"))
    assert by_class.keys() == {"a", "b"}
    ours, theirs = ([each[40:70] for each in arm] for arm in (better, base))
    assert by_class["b"] == compared(ours, theirs)


def test_lines_fit_80_columns():
    wide = Interval(-0.123, -0.999, 0.999)
    base, mixed = study_of(wide).arms
    arms = (base, replace(mixed, name="real + 0.5x generated", accuracy=Interval(0.5, -1, 2)))
    lines = table(replace(study_of(wide), arms=arms)).split("\n\n")[1].split("\n")
    assert max(map(len, lines)) <= 80


def test_the_command(reacgan, tmp_path):
    words = [
        "augment-study",
        "digits-reacgan",
        "--out",
        tmp_path / "out",
        "--steps",
        2,
        "--width",
        2,
    ]
    words += ["--repeats", 2, "--amounts", "1", "--sizes", "4", "--batch", 8]
    code, out, err = reacgan(*words)
    assert code == 0, err
    assert "tested on 596 held-out real images, 2 repeats" in out
    assert "4 real images a class, 40 in all:\nlearned from" in out
    assert "With 4 real images a class no difference can be told from 2 repeats" in out
    with Image.open(tmp_path / "out" / "study.png") as drawn:
        assert drawn.size[0] > 600
    assert reacgan(*words) == (0, out, "")
    code, _, err = reacgan(*words, "--seed", 5)
    assert code == 1 and "sampling.seed 0 there, 5 now" in err
    code, _, err = reacgan("augment-study", "digits-reacgan", "--amounts", "1;2", "--out", tmp_path)
    assert code == 1 and "--amounts '1;2': needed: numbers separated by commas" in err


def test_the_figure_of_many_classes():
    study = study_of(Interval(0.02, -0.01, 0.05))
    names = [f"class {number}" for number in range(80)]
    arms = [
        replace(arm, class_differences=dict.fromkeys(names, Interval(0.1, 0.0, 0.2)))
        for arm in study.arms
    ]
    assert figure(replace(study, arms=tuple(arms))).startswith(b"\x89PNG")
