from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score, append_scores
from reacgan.reports import plots
from reacgan.reports.report import read_run, report_html, table_of, write_report

EVIL = "<script>alert('&\"')</script>\x00"
ESCAPED = "&lt;script&gt;alert(&#x27;&amp;&quot;&#x27;)&lt;/script&gt;"
EXPERIMENT = {
    "name": "digits/reacgan",
    "data": {"name": "digits", "resolution": 8, "path": "/home/me/secret"},
    "model": {"head": {"name": "d2dce"}},
    "training": {"images": 1_000_000, "batch": 16},
}


def protocol(split="test"):
    return {
        "extractor": {"name": "domain"},
        "fake": {"images": 100, "seed": 0},
        "reference": {"images": 100, "split": split, "name": EVIL, "part": "whole"},
    }


def png(colour):
    held = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(held, "PNG")
    return held.getvalue()


def make_run(folder, factor=1.0):
    (folder / "samples").mkdir(parents=True)
    (folder / "scores").mkdir()
    (folder / "experiment.json").write_text(json.dumps(EXPERIMENT))
    (folder / "environment.json").write_text(json.dumps({"torch": "2.0", "command": ["x"]}))
    lines = [
        {"images_seen": at, "images_per_second": 9.0, "d/adversarial": 1.0, "g/adversarial": 2.0}
        for at in (1000, 2000)
    ]
    event = {"kind": "mode_collapse", "at": 2000, "evidence": {"variety": 0.1}, "advice": EVIL}
    lines += [{"images_seen": 2000, "event": event}, {"images_seen": 2000, "event": EVIL}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "journal.jsonl").write_text(text + '[1]\n{"odd": 1}\n{"images_seen": NaN}\n{"torn')
    for name, colour in (("000001000", "red"), ("000002000", "lime"), ("real", "blue")):
        (folder / "samples" / f"{name}.png").write_bytes(png(colour))
    (folder / "scores" / "pairs-run-1-000000002000.png").write_bytes(png("yellow"))
    classes = {EVIL: 9.0, **{f"class {place}": place / 9 for place in range(20)}}
    scores = [
        Score("fid", factor * 5000 / at, "lower", protocol(), images_seen=at, notes=(EVIL,))
        for at in (1000, 2000)
    ]
    scores.append(
        Score("ifid", 2.0, "lower", protocol(), details={"classes": classes}, images_seen=2000)
    )
    scores.append(Score("fid", 7.0, "lower", protocol("train"), images_seen=2000))
    append_scores(folder / "scores.jsonl", scores)
    with (folder / "scores.jsonl").open("a") as file:
        file.write('{"figures": {"fid": 3}, "protocol": {}}\n')
    return folder


@pytest.fixture(autouse=True)
def _no_plots(request, monkeypatch):
    """They take time; where they are the point of a test it says so."""
    if "plotted" not in request.fixturenames:
        monkeypatch.setattr(plots, "have_plots", lambda: False)


@pytest.fixture
def plotted():
    pytest.importorskip("matplotlib")


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


class Page(HTMLParser):
    """Tags, addresses of images, and text; an unclosed tag fails."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.sources, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def colours(self):
        """Of the embedded images that are one colour."""
        found = []
        for source in self.sources:
            data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
            shades = Image.open(io.BytesIO(data)).convert("RGB").getcolors(8)
            found += [shades[0][1]] if shades and len(shades) == 1 else []
        return found


def test_what_the_page_says(run):
    page = Page(report_html([read_run(run)]))
    for words in (
        "digits/reacgan", "d2dce", "1,000,000", "2,000", "torch 2.0",
        "100 fakes against the whole test split", "100 fakes against the whole train split",
        "is not comparable with", "reference.split train, not test", "worst 10 of 21 classes",
        "mode collapse", "evidence.variety 0.1", "generated images at 2,000 images seen",
        "100 fakes, test split, domain [", "real images", "ordinary unless the memorised share",
    ):  # fmt: skip
        assert words in page.text, words
    assert "secret" not in page.text
    assert page.colours() == [(0, 255, 0), (0, 0, 255), (255, 255, 0)]  # the newest sheet alone


def test_the_page_is_whole_by_itself(run, plotted):
    text = report_html([read_run(run)])
    page = Page(text)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert re.findall(r"url\((.{15})", text) == ["data:font/ttf;b"] * text.count("@font-face")
    assert "@import" not in text and "http://" not in text and "https://" not in text
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_everything_that_people_named_is_escaped(run):
    text = report_html([read_run(run)])
    assert "<script" not in text and "\x00" not in text
    # a note, a class, the name of the data in two protocols, two events
    assert text.count(ESCAPED) >= 6


def test_worst_classes_first(run):
    page = report_html([read_run(run)])
    rows = re.findall(r'<tr><td>([^<]*)</td><td class="number">([\d.]+)</td></tr>', page)
    assert [float(value) for _, value in rows] == sorted((float(v) for _, v in rows), reverse=True)
    assert rows[0][0].startswith("&lt;script") and rows[1][0] == "class 19" and len(rows) == 10


def test_pictures(run, plotted, monkeypatch):
    page = report_html([read_run(run)])
    pictures = re.findall(r"<figcaption>([^<]*)</figcaption>", page)
    titles = [re.split(r"[;:,] | images seen", one)[0] for one in pictures]
    assert titles == [
        "generated images at 2,000", "real images", "100 fakes", "run at 2,000",
        "closest pairs of run-1 at 2,000",
    ]  # fmt: skip
    assert "run at 2,000 images seen, 100 fakes, test split" in pictures[3]
    for title in (
        "FID ↓",
        "Intra-class FID: classes;",
        "discriminator losses",
        "images per second",
    ):
        assert page.count(f'alt="{title}') == 1 and f"<figcaption>{title}" not in page
    monkeypatch.setattr(plots, "have_plots", lambda: False)
    page = report_html([read_run(run)])
    assert page.count("<figcaption>") == 3 and "pip install &#x27;reacgan[plots]&#x27;" in page


def test_several_runs_share_tables(run, tmp_path, reacgan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = make_run(tmp_path / "other", 2.0)
    table = table_of([read_run(run), read_run(other)])
    assert [len(block.rows) for block in table.blocks] == [4, 2]
    assert {row.subject for row in table.blocks[0].rows} == {"run", "other"}
    code, out, _ = reacgan("report", run, other, run)
    assert code == 0 and out == "report: report.html\n"
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert page.text.count("Run run") == page.text.count("Run other") == 1
    twin = make_run(tmp_path / "deep" / "run")
    subjects = {row.subject for row in table_of([read_run(run), read_run(twin)]).blocks[0].rows}
    assert subjects == {str(run), str(twin)}


def test_subjects_keep_their_own_names(run):
    append_scores(run / "scores.jsonl", [Score("fid", 1.0, "lower", {}, subject="photos")])
    both = [read_run(run), read_run(make_run(run.parent / "other"))]
    named = {row.subject for block in table_of(both).blocks for row in block.rows}
    assert named == {"run", "other", "run: photos"}


def test_commands(run, reacgan, tmp_path):
    assert reacgan("report", run)[1] == f"report: {run / 'report.html'}\n"
    assert (run / "report.html").is_file()
    code, out, _ = reacgan("report", run, "--out", tmp_path / "new" / "page.html")
    assert code == 0 and (tmp_path / "new" / "page.html").is_file()
    code, out, _ = reacgan("report", run, "--markdown")
    assert code == 0 and out.count("| subject | images seen |") == 2 and "<script" not in out
    code, _, _ = reacgan("report", run, "--markdown", "--out", tmp_path / "scores.md")
    assert (tmp_path / "scores.md").read_text("utf-8") == out


def test_what_is_no_run(run, reacgan, tmp_path):
    for path, words in (
        (tmp_path / "nowhere", "no such folder"),
        (run / "journal.jsonl", "no such folder"),
        (
            tmp_path,
            "it has no experiment.json and no scores.jsonl; needed: a folder written by `reacgan train`",
        ),
    ):
        code, _, err = reacgan("report", path)
        assert code == 1 and words in err and str(path) in err
    assert reacgan("report")[0] == 1
    for text in ("{", "[]"):
        (run / "experiment.json").write_text(text)
        with pytest.raises(ConfigError, match=r"experiment.json: damaged"):
            write_report([run])
    assert not (run / "report.html").exists()


def test_an_evaluation_of_what_is_no_run(run, tmp_path):
    folder = tmp_path / "folder-of-samples"
    folder.mkdir()
    (folder / "scores.jsonl").write_text((run / "scores.jsonl").read_text())
    page = write_report([folder]).read_text()
    assert "<h1>folder-of-samples</h1>" in page and "images to see" not in page
    assert "Evaluation folder" not in page and "<table></table>" not in page
    (folder / "scores").mkdir()
    (folder / "scores" / "pairs-photos-7.png").write_bytes(png("yellow"))
    page = write_report([folder]).read_text()
    assert "Evaluation folder-of-samples" in page and "<table></table>" not in page
    assert "closest pairs of photos-7: generated" in page  # a name, no count of images


def short(page):
    """Of each table of the short part what it is under, its head and its lines."""
    part = page.split("<h2>In short</h2>")[1].split("<h2>")[0]
    tables = re.findall(r"<p>(.*?)</p>\n(.*?)</table>", part, re.DOTALL)
    cells = r"<t[dh][^>]*>(.*?)</t[dh]>"
    return [
        (under, [re.findall(cells, line) for line in re.findall(r"<tr>(.*?)</tr>", table)])
        for under, table in tables
    ]


def test_in_short(tmp_path):
    def one(metric, value, better="lower", seen=None, chosen="as it is", **more):
        held = {**protocol(), "selection": {"checkpoint": chosen}, "metric": more}
        return Score(metric, value, better, held, subject="x", images_seen=seen, low=0.0, high=9.0)

    scores = [
        one("fid", 3.0, seen=2000),
        replace(one("fid", 5.0, seen=1000), time="2026"),  # an older state, scored later
        one("fid", 1.0, seen=9000, chosen="each"),
        one("precision", 0.5, "higher", seen=2000),
        one("memorised_share", 0.0, seen=2000, chance=0.009999),
        one("recall", 0.25, "higher", seen=500, chosen="each"),
    ]
    append_scores(tmp_path / "scores.jsonl", scores)
    (final, of_final), (during, of_during) = short(report_html([read_run(tmp_path)]))
    assert final.startswith("100 fakes, test split, domain [")
    assert of_final == [
        ["subject", "images seen", "FID ↓", "Memorised share ↓"],
        ["x", "2,000", "3.000", "0 (chance 0.01)"],
    ]
    assert during.startswith("100 fakes, test split, domain, states during training [")
    assert of_during == [["subject", "images seen", "Recall ↑"], ["x", "500", "0.2500"]]
    (tmp_path / "scores.jsonl").write_text("")
    assert "In short" not in report_html([read_run(tmp_path)])


def test_only_moments_of_training_make_a_curve(tmp_path, plotted, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "metric_curve", lambda scores, *_: drawn.append(scores) or b"x")
    for place, chosen in enumerate(("best", "as it is")):
        held = {**protocol(), "selection": {"checkpoint": chosen}}
        scores = [
            Score("fid", 1.0, "lower", held, subject=subject, images_seen=at)
            for subject, moments in (("many", (1, 2, 3)), ("one", (2,)), ("photos", (None,)))
            for at in moments
        ]
        append_scores(tmp_path / "scores.jsonl", scores)
        page = report_html([read_run(tmp_path)])
        assert len(drawn) == page.count('class="figures"') == place
    assert [(score.subject, score.images_seen) for score in drawn[0]] == [
        ("many", 1), ("many", 2), ("many", 3),
    ]  # fmt: skip


def test_a_run_that_has_just_begun(tmp_path):
    (tmp_path / "experiment.json").write_text("{}")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "000000001.png").write_bytes(b"<b>no picture")
    page = Page(write_report([tmp_path]).read_text("utf-8"))
    assert "None yet." in page.text and "is not a PNG" in page.text and page.sources == []


def test_many_pictures_are_cut(run, plotted):
    details = {"fid": [3.0], "images": [10]}
    scores = [
        Score(f"m{place}", 1.0, "lower", protocol("all"), details=details) for place in range(30)
    ]
    record = read_run(run)
    record.scores[:], record.journal[:] = scores, []
    drawn = []
    plain, plots.extrapolation = plots.extrapolation, lambda score, _: drawn.append(score) or b"x"
    try:
        page = report_html([record])
    finally:
        plots.extrapolation = plain
    assert len(drawn) == 25
    assert page.count("extrapolation to infinitely many images;") == 2 * 24  # alt and caption
    assert "Only the first 24 pictures are drawn." in page
