from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score
from reacgan.reports import plots
from reacgan.reports.palette import Style

pytest.importorskip("matplotlib")


def score(metric="fid", value=3.0, better="lower", details=None, split="test", **changes):
    protocol = {"reference": {"split": split}}
    return Score(metric, value, better, protocol, details=details or {}, **changes)


def opened(png):
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG" and 300 < image.width < 1000 and 80 < image.height < 2400
    return image


def bars_in(png):
    """Lengths of the bars from the top, in pixels."""
    blue = (np.asarray(opened(png).convert("RGB")) == (0x00, 0x72, 0xB2)).all(2).sum(1)
    starts = np.flatnonzero((blue[1:] > 0) & (blue[:-1] == 0)) + 1
    return blue[starts].tolist()


@pytest.mark.parametrize(("better", "worst_first"), [("lower", True), ("higher", False)])
def test_the_worst_class_is_on_top(better, worst_first):
    held = {"classes": {"a": 1.0, "b": 4.0, "c": 2.0, "none": None}}
    lengths = bars_in(plots.class_bars(score("ifid", 2.0, better, held)))
    assert len(lengths) == 3
    assert lengths == sorted(lengths, reverse=worst_first) and len(set(lengths)) == 3


def inked_line(png):
    """Where an upright line of ink is right of the axis, as a share of the width; None without one."""
    shades = np.asarray(opened(png).convert("L")).astype(int)
    first, panel = shades.shape[1] // 7, int(0.55 * len(shades))
    ink = (shades[:panel, first:] < 90).sum(0)
    return (first + ink.argmax()) / shades.shape[1] if ink.max() > 0.25 * panel else None


def test_accuracy_has_a_line_at_the_accuracy_of_the_classifier_itself():
    held, pale = {"classes": {"a": 0.9, "b": 0.8, "c": 0.7}}, Style("#cccccc", "-", "o")
    plain = plots.class_bars(score("top1", 0.8, "higher", held), pale)
    assert inked_line(plain) is None
    drawn = []
    for own in (0.3, 0.6):
        settings = {"judge_held_out_top1": own, "judge_held_out_top5": 0.1}
        one = Score("top1", 0.8, "higher", {"metric": settings}, details=held)
        drawn.append(inked_line(plots.class_bars(one, pale)))
    assert drawn[1] - drawn[0] > 0.1
    for settings in ({"judge_held_out_top1": None}, {"judge_held_out_top5": 0.5}, None):
        one = Score("top1", 0.8, "higher", {"metric": settings}, details=held)
        assert plots.class_bars(one, pale) == plain


def test_two_hundred_classes_with_long_names():
    names = {f"{place} $x^ a name that never ends, {'y' * 90}": place + 1 for place in range(200)}
    assert len(bars_in(plots.class_bars(score("ifid", 2.0, details={"classes": names})))) == 30


def test_names_may_hold_anything():
    names = ["$\\frac$", "\n\x00\x1b", "猫😀", "", "_", "<b>"]
    held = {name: float(place) for place, name in enumerate(names)}
    opened(plots.class_bars(score("ifid", details={"classes": held})))
    opened(plots.journal_curve({name: [(0, 1.0), (1, 2.0)] for name in names}, "$\\frac$"))
    opened(plots.metric_curve([score(subject=name, images_seen=9) for name in names], "fid"))


def test_curves_of_one_point_and_of_many():
    one = score(images_seen=1000, low=2.0, high=4.0)
    more = [score(value=9 - at, images_seen=1000 * at, low=0.0, high=9.0) for at in range(1, 4)]
    assert opened(plots.metric_curve([one], "fid")).size
    assert plots.metric_curve(more, "fid") == plots.metric_curve(more[::-1], "fid")
    assert plots.metric_curve(more, "fid") != plots.metric_curve([one], "fid")


def test_a_curve_mixes_no_protocols():
    scores = [score(images_seen=1), score(images_seen=2, split="train")]
    with pytest.raises(ConfigError, match="reference.split: test / train"):
        plots.metric_curve(scores, "fid")
    with pytest.raises(ConfigError, match="no score holds the number of images"):
        plots.metric_curve([score()], "fid")


def test_extrapolation_and_precision_recall():
    for counts in ([1000], [1000, 2000, 4000], [500, 500]):
        held = {"images": counts, "fid": [10 + 1000 / count for count in counts]}
        opened(plots.extrapolation(score("fid_infinity", 10.0, details=held, low=9.0, high=11.0)))
    named = []
    finish, plots._finish = plots._finish, lambda *held: named.append(held) or b""
    try:
        plots.extrapolation(score("fid_infinity", 10.0, details={"images": [9], "fid": [1.0]}))
    finally:
        plots._finish = finish
    axes = named[0][0]
    assert axes.get_ylabel() == "FID"
    curve = [{"lambda": 1, "precision": 1 - x / 9, "recall": x / 9} for x in range(10)]
    for points in (curve, curve[:1]):
        opened(plots.precision_recall(score("f_8", details={"curve": points})))


@pytest.mark.parametrize(
    ("draw", "details", "message"),
    [
        (plots.class_bars, {"x": 1}, "no details 'classes' to draw; it has: x"),
        (plots.class_bars, {"classes": {"a": None}}, "no class has a value"),
        (plots.extrapolation, {"images": [1], "fid": []}, "1 counts and 0 values"),
        (plots.extrapolation, {"images": "12", "fid": [1]}, "no details 'images'"),
        (plots.precision_recall, {"curve": [{"precision": 1}]}, "damaged curve: KeyError"),
        (lambda _: plots.journal_curve({"a": []}, "losses"), {}, "nothing to draw"),
    ],
)
def test_nothing_to_draw(draw, details, message):
    with pytest.raises(ConfigError, match=message):
        draw(score(details=details))


def test_what_details_allow():
    held = {"classes": {"a": 1.0}, "fid": [1.0], "images": [100], "curve": []}
    assert list(plots.pictures_of(score("m", details=held))) == [
        "classes",
        "extrapolation to infinitely many images",
    ]
    assert plots.pictures_of(score()) == {}


def test_no_global_state_and_the_same_bytes():
    code = """
import sys
from reacgan.reports import plots
assert "matplotlib" not in sys.modules
first = plots.journal_curve({"a": [(0, 1.0)]}, "t")
assert "matplotlib.pyplot" not in sys.modules
assert first == plots.journal_curve({"a": [(0, 1.0)]}, "t")
sys.modules["matplotlib.figure"] = None
try:
    plots.journal_curve({"a": [(0, 1.0)]}, "t")
except ValueError as error:
    assert "pip install 'reacgan[plots]'" in str(error), error
    assert not plots.have_plots()
    print("told")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "told\n", done.stderr
