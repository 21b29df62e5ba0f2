"""docs/reproducing.md is what the suites and docs/results say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from reacgan.experiments.notes import differences_of, fid_of
from reacgan.suites import SUITES
from reacgan.suites.tables import published_of
from reacgan.text import safe

ROOT = Path(__file__).parents[2]


def page():
    path = ROOT / "tools" / "reproducing_page.py"
    spec = importlib.util.spec_from_file_location("reproducing_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_current():
    assert (ROOT / "docs" / "reproducing.md").read_text("utf-8") == page().page()


def test_it_has_every_experiment_of_the_paper_and_what_it_links_to_is_there():
    text = page().page()
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.M)] == list(range(1, 20))
    assert all(f"run {name} --scale full" in text for name in SUITES)
    links = re.findall(r"\]\((results/[^)]+)\)", text)
    assert links and all((ROOT / "docs" / link).is_file() for link in links)


def test_kept_reports_show_published_scores_as_they_are_told_now():
    shown = 0
    for name, suite in SUITES.items():
        report = ROOT / "docs" / "results" / name / "report.md"
        text = report.read_text("utf-8") if report.is_file() else ""
        if "published FID" not in text:
            continue
        scores = [one for trial in suite.trials("cpu") for one in published_of(trial)]
        for one in scores:
            assert f"| {safe(fid_of(one))} (" in text, one
            assert all(safe(difference) in text for difference in differences_of(one)), one
            shown += 1
    assert shown == 8
