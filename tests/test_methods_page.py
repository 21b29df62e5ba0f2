"""docs/methods.md is what tests/methods_page.py writes, and tells of every method."""

from __future__ import annotations

from methods_page import COSTS, PAGE, REACHED, page, read
from reacgan.evaluation import read_scores
from reacgan.experiments.methods import METHODS
from reacgan.experiments.published import published_for
from reacgan.reports.tables import column


def test_the_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python tests/methods_page.py"


def test_every_method_has_a_row_with_its_cost():
    rows = [line for line in page().splitlines() if line.count("|") > 8][2:]
    assert len(rows) == len(METHODS)
    for method, row in zip(METHODS, rows, strict=True):
        assert row.startswith(f"| {method.title} |")
        assert " × |" in row
        for held in published_for(method.experiment):
            assert f"{held.fid:.2f}" in row


def test_what_it_tells_was_measured():
    costs, reached = read(COSTS), read_scores(REACHED)
    assert costs["methods"]["biggan"]["ratio"] == 1
    assert len({score.subject for score in reached}) >= 12
    assert {score.images_seen for score in reached} == {32_000}
    for metric in ("fid", "top1", "recall"):
        column(reached, metric)  # one protocol, or they share no column
