"""Every suite at toy scale: all trials run, and their report holds all that the suite declares."""

from __future__ import annotations

import json
import math
import re

import pytest
from PIL import Image

from reacgan.experiments.notes import differences_of, fid_of
from reacgan.experiments.published import published_for
from reacgan.suites import SUITES
from reacgan.suites.base import SCALES
from reacgan.suites.results import folder_of, read_result
from reacgan.text import safe

ALL = pytest.mark.parametrize("name", SUITES)


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Rows of cells of each table of a Markdown text, without the rule below the head."""
    found, table = [], []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("| "):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif table:
            found.append([table[0], *table[2:]])
            table = []
    return found


@ALL
def test_every_trial_is_complete_and_finite(name, toy):
    held = toy(name)
    assert held.failed == []
    trials = held.suite.trials("toy")
    assert len({trial.name for trial in trials}) == len(trials) > 0
    assert len(held.results) == len(trials)
    for trial in trials:
        found = read_result(folder_of(held.out, "toy", trial, 0))
        assert found["status"] == "complete", found.get("error")
        assert all(math.isfinite(value) for value in found["values"].values())
        assert found["values"].keys() >= found["better"].keys()
        assert found["protocol"], trial.name
        assert found["command"]
        assert found["digest"] and found["software"]["torch"]
    claimed = {claim.metric for claim in held.suite.claims}
    for metric in claimed or held.suite.metrics[:1]:
        values = [one.value(metric) for one in held.results if wanted(held, one, metric)]
        assert values, metric
        assert all(value is not None and math.isfinite(value) for value in values), metric


def wanted(held, one, metric):
    """A row that a claim about the metric names; every one where nothing is claimed."""
    rows = [claim.rows for claim in held.suite.claims if claim.metric == metric]
    return not rows or one.trial.row in {row for pair in rows for row in pair}


@ALL
def test_report_holds_all_that_is_declared(name, toy):
    held = toy(name)
    folder = held.report.parent
    markdown = held.report.read_text(encoding="utf-8")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    machine = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert len(machine["trials"]) == len(held.results)
    for place in range(1, len(held.suite.figures) + 1):
        with Image.open(folder / f"figure-{place}.png") as figure:
            figure.load()
            assert figure.format == "PNG"
            assert min(figure.size) > 100
            low, high = figure.convert("L").getextrema()
            assert high - low > 100, "an empty picture"
    linked = re.findall(r"^!\[.*\]\((.*)\)$", markdown, re.MULTILINE)
    assert len(linked) >= len(held.suite.figures)
    assert all((folder / one).is_file() for one in linked)
    assert page.count("<img") == len(linked)
    for one in held.results:
        assert one.record["command"] in markdown


@ALL
def test_rows_are_trials_with_published_scores_beside(name, toy):
    held = toy(name)
    tables = tables_of(held.report.read_text(encoding="utf-8"))
    scores = [table for table in tables if table[0][1] == "seeds"]
    rows = [row for table in scores for row in table[1:]]
    trials = held.suite.trials("toy")
    assert len(rows) == len(trials)
    assert {row[1] for row in rows} == {"1"}
    known = [one for trial in trials if trial.published for one in published_for(trial.published)]
    shown = [row[-1] for table in scores if "published" in table[0][-1] for row in table[1:]]
    assert sum(cell.count("\\[") for cell in shown) == len(known)
    for one in known:
        fid = safe(fid_of(one))
        assert any(fid in cell and one.protocol in cell for cell in shown), one
        told = held.report.read_text(encoding="utf-8").partition("## Published scores")[2]
        assert all(safe(text) in told for text in differences_of(one)), one
    claims = [table for table in tables if table[0][0] == "claim"]
    assert bool(claims) == bool(held.suite.claims)
    texts = {row[0].replace("\\", "") for table in claims for row in table[1:]}
    assert texts == {claim.text for claim in held.suite.claims}


@ALL
def test_tables_do_not_mix_protocols(name, toy):
    from reacgan.suites.tables import tables_of

    held = toy(name)
    blocks = tables_of(held.suite, held.results)
    kinds = set()
    for one in held.results:
        shared = {key: value for key, value in one.record["protocol"].items() if key != "metrics"}
        kinds.add((one.trial.column, json.dumps(shared, sort_keys=True)))
    assert len(blocks) == len(kinds)


def test_the_suites_are_the_experiments_of_the_paper_and_ours():
    numbers = [number for held in SUITES.values() for number in held.numbers]
    assert numbers == list(range(1, 20))
    assert {held.name for held in SUITES.values() if not held.numbers} == {
        "class-count",
        "effective-batch",
        "modern-base",
    }
    for held in SUITES.values():
        for scale in SCALES:
            assert held.trials(scale) or held.notes.get(scale), (held.name, scale)
