"""Figures draw whatever there is: one seed or more, holes, one row or ten, what is not finite."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from test_suites_results import result

from reacgan.reports.palette import styles
from reacgan.suites.base import Figure
from reacgan.suites.figures import draw

pytest.importorskip("matplotlib", reason="figures need it")
NAMES = ("fid", "recall")
TITLE = "A title that is long enough to be wider than a single panel of a figure is, and then some"


def rows_of(count):
    return [f"a method of the name {place}" for place in range(count)]


def results(rows=2, seeds=1, columns=("",), places=(None,), points=0, hole=()):
    """Results of made-up numbers; those of the rows in ``hole`` have no recall."""
    chance = np.random.default_rng(0)
    return [
        result(
            row,
            seed,
            column,
            x,
            series={
                "d/x": [[1000 * moment, 1 + chance.random()] for moment in range(1, points + 1)]
            },
            fid=float(chance.uniform(5, 50)),
            **({} if number in hole else {"recall": float(chance.random())}),
        )
        for number, row in enumerate(rows_of(rows))
        for column in columns
        for x in places
        for seed in range(seeds)
    ]


def opened(png):
    with Image.open(io.BytesIO(png)) as held:
        held.load()
        return held.convert("RGB")


def is_drawn(png):
    image = opened(png)
    assert min(image.size) > 150
    assert max(image.size) < 4000
    coloured = np.ptp(np.asarray(image).astype(int), axis=2) > 60
    assert coloured.sum() > 20, "nothing but black and white"
    edge = np.asarray(image)[:, [0, -1]]
    assert (edge == 255).all(), "something runs over the edge"


@pytest.mark.parametrize("rows", [1, 2, 10])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("kind", ["bars", "lines", "curves"])
def test_rows_and_seeds(kind, seeds, rows):
    held = results(rows, seeds, places=(None,) if kind != "lines" else (10.0, 100.0), points=4)
    names = ("d/x",) if kind == "curves" else NAMES
    log = kind == "curves"
    is_drawn(draw(Figure(kind, names, TITLE, "classes", log_x=kind == "lines", log_y=log), held))


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_a_panel_for_each_column(columns):
    held = results(3, columns=tuple(f"data {place}" for place in range(columns)), points=3)
    is_drawn(draw(Figure("bars", NAMES, TITLE), held))
    is_drawn(draw(Figure("curves", ("d/x",), TITLE), held))


@pytest.mark.parametrize(("kind", "places"), [("bars", (None,)), ("lines", (1.0, 2.0))])
def test_holes(kind, places):
    whole, holed = (
        draw(Figure(kind, NAMES, "Some", "x"), results(3, places=places, hole=hole))
        for hole in ((), (1,))
    )
    is_drawn(holed)
    assert holed != whole
    none = draw(Figure(kind, ("recall",), "None"), results(2, places=places, hole=(0, 1)))
    assert none is None
    assert draw(Figure(kind, NAMES, "None"), []) is None


def test_rows_that_only_a_later_panel_has_are_in_the_legend():
    """Those of the first panel alone were, once."""
    both = results(1, places=(1.0, 2.0))
    later = [result("another", x=x, column="second", fid=1.0) for x in (1.0, 2.0)]
    figure = Figure("lines", ("fid",), "Legend", "x")
    image = np.asarray(opened(draw(figure, [*both, *later])))
    hexes = styles([both[0].trial.row, "another"])[1].colour
    colour = [int(hexes[at : at + 2], 16) for at in (1, 3, 5)]
    rows = np.flatnonzero((abs(image.astype(int) - colour).sum(2) < 30).any(1))
    gaps = np.flatnonzero(np.diff(rows) > 20)
    assert len(gaps) >= 1, "the second row's colour is nowhere below its panel"


def test_lines_of_two_columns_are_not_joined():
    held = [result("a", x=x, column=column, fid=x) for column in "pq" for x in (1.0, 2.0)]
    one = draw(Figure("lines", ("fid",), "x"), held[:2])
    assert opened(draw(Figure("lines", ("fid",), "x"), held)).width > opened(one).width * 1.5


def test_what_is_not_finite_is_left_out():
    wild = [result("a", x=1.0, fid=math.inf), result("a", x=2.0, fid=2.0), result("b", fid=1.0)]
    is_drawn(draw(Figure("bars", ("fid",), "Bars"), wild[1:]))
    is_drawn(draw(Figure("lines", ("fid",), "Lines"), wild))
    curve = result("a", series={"d/x": [[1, 1.0], [2, math.inf], [3, 2.0]]})
    is_drawn(draw(Figure("curves", ("d/x",), "Curves", log_y=True), [curve]))
    assert draw(Figure("bars", ("fid",), "Nothing"), wild[:1]) is None


def test_letters_that_mean_something_to_matplotlib_are_drawn():
    held = [result("a $b_{c$ \\x", column="100 % & $", fid=1.0, x=1.0)]
    for kind in ("bars", "lines"):
        is_drawn(draw(Figure(kind, ("fid",), "A $title"), held))


def test_equal_results_give_equal_pictures():
    figure = Figure("bars", NAMES, "Same")
    assert draw(figure, results(3, 2)) == draw(figure, results(3, 2))


def test_failed_trials_are_not_drawn():
    held = result("a", fid=1.0)
    held = type(held)(held.trial, 0, {**held.record, "status": "failed"})
    assert draw(Figure("bars", ("fid",), "x"), [held]) is None


def test_a_panel_of_one_moment_is_bars():
    """A single point has no course: its value is drawn from zero, with the moment below."""
    figure = Figure("curves", ("d/x",), TITLE)
    one, two = (draw(figure, results(rows=3, points=count)) for count in (1, 2))
    colour = np.array([int(styles(rows_of(3))[0].colour[at : at + 2], 16) for at in (1, 3, 5)])

    def area(png):
        return int((np.asarray(opened(png)) == colour).all(2).sum())

    is_drawn(one)
    assert area(one) > 10 * area(two) > 0
