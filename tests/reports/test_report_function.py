"""``reacgan.report``: the page, its tables and its pictures from Python; the command is one call of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import reacgan
from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score, append_scores

PROTOCOL = {"extractor": {"name": "domain"}, "fake": {"images": 100, "seed": 0}}


@pytest.fixture
def run(run_folder, tmp_path):
    folder = tmp_path / "runs" / "кот"
    shutil.copytree(run_folder, folder)
    append_scores(folder / "scores.jsonl", [Score("fid", 3.25, "lower", PROTOCOL, images_seen=64)])
    return folder


def test_a_page_of_a_run(run, tmp_path, monkeypatch):
    report = reacgan.report(run)
    assert report.path == run / "report.html" and str(report) == str(run / "report.html")
    assert Path(report).read_text("utf-8").startswith("<!doctype html>")
    assert "3.25" in report.tables and report.pictures == {}
    monkeypatch.chdir(tmp_path)
    shown = report._repr_html_()
    assert 'href="runs/кот/report.html"' in shown and "What it is" in shown


def test_what_train_returns_and_several_runs(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    out = tmp_path / "both.html"
    report = reacgan.report(SimpleNamespace(folder=run), str(other), other, out=str(out))
    assert report.runs == (run, other) and report.path == out
    text = out.read_text("utf-8")
    assert "<h1>кот, other</h1>" in text and "What they make" in text


def test_tables_alone(run, tmp_path):
    report = reacgan.report(run, markdown=True)
    assert report.path is None and str(report) == report.tables and "| FID ↓ |" in report.tables
    assert not (run / "report.html").exists()
    with pytest.raises(ConfigError, match="out=FILE"):
        Path(report)
    out = tmp_path / "scores.md"
    assert reacgan.report(run, markdown=True, out=out).path == out
    assert out.read_text("utf-8") == report.tables


def test_what_is_wrong_is_named(run, tmp_path):
    with pytest.raises(ConfigError, match="no run is named"):
        reacgan.report()
    with pytest.raises(ConfigError, match="not the folder of a run"):
        reacgan.report(run, tmp_path)
    with pytest.raises(ConfigError, match="pictures=True"):
        reacgan.report(run, extractor="domain")
    assert not (run / "report.html").exists()


def test_pictures_are_drawn_first(run, tmp_path):
    pytest.importorskip("sklearn")
    scored = tmp_path / "evaluation"
    scored.mkdir()
    shutil.copy(run / "scores.jsonl", scored)
    report = reacgan.report(run, scored, pictures=True, out=tmp_path / "all.html", device="cpu")
    drawn = report.pictures[run]
    assert drawn.folder == run / "pictures" and "neighbours-pixels" in drawn.made
    assert all((drawn.folder / f"{name}.png").exists() for name in drawn.made)
    assert report.pictures[scored].folder is None and report.pictures[scored].made == ()
    assert "nearest of" in (tmp_path / "all.html").read_text("utf-8")


def test_the_command_is_one_call_of_it(run, reacgan, monkeypatch):
    from reacgan.pictures import reporting

    calls = []
    plain = reporting.report
    monkeypatch.setattr(reporting, "report", lambda *a, **k: calls.append((a, k)) or plain(*a, **k))
    code, out, _ = reacgan("report", str(run), "--markdown", "--json")
    assert code == 0 and "FID" in json.loads(out)["markdown"]
    ((runs, options),) = calls
    assert runs == (run,) and options["markdown"] is True and options["out"] is None
