"""A method keeps its colour, and nobody confuses ACGAN with ReACGAN."""

from __future__ import annotations

import itertools

import numpy as np

from reacgan.heads import HEADS
from reacgan.reports.palette import METHODS, NAMES, class_style, head_of, styles

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
BLIND = {
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(colour):
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array(TO_XYZ) @ rgb.clip(0, 1) / (0.9505, 1.0, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(first, second, sight=None):
    """CIE76 distance, as people of that sight see it; 2.3 is just noticed."""
    seen = np.eye(3) if sight is None else np.array(BLIND[sight])
    return float(np.linalg.norm(lab(seen @ linear(first)) - lab(seen @ linear(second))))


def test_every_head_has_a_colour_and_a_name():
    ours = {name for name, head in HEADS.items() if head.__module__.startswith("reacgan.")}
    assert set(METHODS) == set(NAMES) == ours
    assert len(set(METHODS.values())) == len(METHODS)


def test_acgan_and_reacgan_are_never_alike():
    acgan, reacgan = METHODS["auxiliary"], METHODS["d2dce"]
    assert all(apart(acgan, reacgan, sight) > 60 for sight in (None, *BLIND))


def test_the_methods_of_the_paper_are_told_apart_by_all():
    five = ["d2dce", "auxiliary", "contrastive", "projection", "unconditional"]
    for first, second in itertools.combinations(five, 2):
        for sight in (None, *BLIND):
            assert apart(METHODS[first], METHODS[second], sight) > 11, (first, second, sight)


def test_colours_stand_out_from_white():
    for head, colour in METHODS.items():
        light = float(np.array(TO_XYZ[1]) @ linear(colour))
        assert 1.05 / (light + 0.05) >= 3, head


def test_a_method_keeps_its_colour_whatever_is_beside_it():
    names = ["BigGAN", "ACGAN", "ACGAN + both", "  with less", "ReACGAN (both, D2D-CE)"]
    for count in range(1, 6):
        shown = names[-count:]
        drawn = dict(zip(shown, styles(shown), strict=True))
        assert drawn["ReACGAN (both, D2D-CE)"].colour == METHODS["d2dce"]
        colours = [style.colour for style in drawn.values()]
        assert len(set(colours)) == count
        if "ACGAN" in drawn:
            assert drawn["ACGAN"].colour == METHODS["auxiliary"]
    assert head_of("AC") == "auxiliary" and head_of("a run of mine") is None


def test_runs_of_one_method_differ_in_dashes():
    first, second, other = styles(["a", "b", "c"], ["d2dce", "d2dce", None])
    assert first.colour == second.colour == METHODS["d2dce"] != other.colour
    assert first.dash != second.dash and first.mark != second.mark
    many = styles([f"row {number}" for number in range(30)])
    assert len({(style.colour, str(style.dash)) for style in many}) == 30


def test_eighty_classes_are_told_apart():
    pairs = {(class_style(rank).colour, class_style(rank).mark) for rank in range(88)}
    assert len(pairs) == 88
    assert all(class_style(rank).colour != class_style(rank + 1).colour for rank in range(88))
