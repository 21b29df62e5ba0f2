"""What a page says first, its sheets with their words as text, and runs beside one another."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from reacgan.evaluation.scores import Score, append_scores
from reacgan.metrics.names import LEGEND
from reacgan.outlook import meaning_of
from reacgan.reports import plots
from reacgan.reports.palette import METHODS
from reacgan.reports.record import data_in_words, read_run
from reacgan.reports.report import report_html
from reacgan.reports.sheets import read_sheet, repeats
from reacgan.reports.words import how_good, look_out, what_it_is
from reacgan.sampling import save_png, seed_heads, sheet

EVIL = "<script>alert(1)</script>"
NAMES = ("кошка", "猫", EVIL)


def protocol(**metric):
    facts = {"fake": {"images": 5000}, "reference": {"images": 90, "split": "test"}}
    return {**facts, "metric": metric}


def make_run(folder, *, head="d2dce", side=8, names=NAMES, seen=5000, data="digits", real=True):
    experiment = {
        "name": "mine",
        "data": {"name": data, "path": "/home/me/secret", "resolution": side, "channels": 3},
        "model": {"head": {"name": head}},
        "training": {"images": 10_000, "seed": 0},
    }
    (folder / "model").mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps(experiment))
    (folder / "model" / "config.json").write_text(json.dumps({"class_names": names}))
    lines = [{"images_seen": at, "d/adversarial": at / 7} for at in (seen // 2, seen)]
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    images = torch.full((len(names), 4, 3, side, side), 200, dtype=torch.uint8)
    shown = folder / "samples"
    save_png(sheet(images, names, heads=seed_heads(range(4))), shown / f"{seen:012d}.png")
    if real:
        save_png(sheet(images // 2, names), shown / "real.png")
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    monkeypatch.setattr(plots, "have_plots", lambda: False)


def test_three_sentences_come_first(run):
    page = report_html([read_run(run)])
    body = page.split("<h1>")[1]
    assert re.findall("<dt>(.*?)</dt>", body) == [
        "What it is", "How good it is", "What to look out for",
    ]  # fmt: skip
    assert body.index("</dl>") < body.index("<img") < body.index("<h2>")
    said = what_it_is(read_run(run))
    assert "colour images of 8 x 8 pixels" in said and "кошка, 猫" in said
    assert (
        "ReACGAN and has seen 5,000 images, 50% of its plan. Too early to judge: pictures are"
        in said
    )
    assert meaning_of(5000, 8, None, 10)[1:] in said  # one source of words, here and in training
    assert "`reacgan evaluate RUN`" in how_good({}) and "secret" not in page


def scores(top1=0.8, coverage=0.7, **more):
    made = {
        "top1": Score(
            "top1", top1, "higher", protocol(judge_held_out_top1=0.9, classes=10),
            details={"classes": {"a": 0.9, "b": 0.1}},
        ),
        "coverage": Score("coverage", coverage, "higher", protocol()),
        **more,
    }  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("top1", "coverage", "grade"),
    [(0.9, 0.9, "Very good:"), (0.9, 0.6, "Good:"), (0.3, 0.9, "Fair:"), (0.1, 0.9, "Poor:")],
)
def test_how_good_is_the_lower_of_classes_and_variety(top1, coverage, grade):
    words = how_good(scores(top1, coverage))
    assert words.startswith(grade)
    assert "guessing gives 10%" in words and "90% of real ones" in words and "(coverage)" in words


def state(value, name="precision", *, seen=50_000, fakes=5000):
    facts = {**protocol(), "fake": {"images": fakes}}
    return {name: Score(name, value, "higher", facts, images_seen=seen)}


@pytest.mark.parametrize(
    ("scored", "doubt"),
    [
        (state(0.87, seen=1856), "had hardly trained"),
        (state(0.87, fakes=135), "Scores of so few images mean little (135 generated ones)"),
        (state(0.87) | state(0.05, "coverage"), "Poor"),
        (state(0.87) | state(0.01, "recall"), "(recall)"),
        (state(0.87) | scores(0.15, 0.9), "Poor"),
    ],
)
def test_a_high_precision_is_no_praise_of_early_or_poor_states(run, scored, doubt):
    words = how_good(scored, read_run(run))
    assert doubt in words and "could pass" not in words
    assert "precision of 87% is no sign of quality" in words
    assert "could pass for real" in how_good(state(0.87), read_run(run))


def test_a_classifier_tried_on_few_images_is_doubted():
    judge = {"held_out": {"images": 11}}
    facts = protocol(judge_held_out_top1=0.64, classes=2, judge=judge)
    words = how_good({"top1": Score("top1", 0.63, "higher", facts)})
    assert "right on only 64% of 11 held-out real ones" in words.split("). ")[0]
    assert "As far as they go, very good" in words


def test_a_caption_has_the_name_of_the_run_as_it_is(tmp_path):
    run = make_run(tmp_path / "Мои фото")
    (run / "scores").mkdir()
    picture = (run / "samples" / "real.png").read_bytes()
    (run / "scores" / "pairs-Мои-фото-000000005000.png").write_bytes(picture)
    assert "closest pairs of Мои фото at 5,000 images seen" in report_html([read_run(run)])


def test_scores_of_an_older_state_say_so(run):
    append_scores(run / "scores.jsonl", state(0.5, "coverage", seen=2500).values())
    page = report_html([read_run(run)])
    assert "of its state at 2,500 images seen; it has trained on since, to 5,000" in page
    assert f"<code>reacgan evaluate {run.name}</code>" in page
    caption = re.findall("<figcaption>(.*?)</figcaption>", page)[0]
    assert "not of these images but of the state at 2,500 images seen" in caption
    append_scores(run / "scores.jsonl", state(0.5, "coverage", seen=5000).values())
    page = report_html([read_run(run)])
    assert "trained on since" not in page and "not of these images" not in page


def test_too_early_is_not_said_again_and_a_run_keeps_its_name(run):
    text = "run has hardly begun to learn: 5,000 images seen"
    early = Score(
        "fid", 9.0, "lower", protocol(), warnings=(text,), subject="run", images_seen=5000
    )
    assert "hardly begun" not in look_out(read_run(run), {"fid": early})
    append_scores(run / "scores.jsonl", [early])
    assert "hardly begun" not in report_html([read_run(run)])
    (run / "journal.jsonl").write_text('{"images_seen": 20000}\n')
    assert look_out(read_run(run), {"fid": early}) == f"{text}."
    page = report_html([read_run(run)])
    assert f"Warning: {text}" in page and "run: run" not in page


def test_what_to_look_out_for(run):
    record = read_run(run)
    assert "nothing to judge by yet" in look_out(record, scores())
    (run / "journal.jsonl").write_text('{"images_seen": 20000}\n')
    record = read_run(run)
    assert "Nothing was noted" in look_out(record, scores(0.15))
    alone = "The weakest class is b (10% of its images are taken for it)."
    assert look_out(record, scores()) == alone
    scored = scores()
    scored["top1"].details["classes"]["c"] = 0.2
    assert "weakest classes are b (10% of" in look_out(record, scored)
    copies = Score("memorised_share", 0.05, "lower", protocol(chance=0.01))
    assert "look for copies" in look_out(record, scores(memorised_share=copies))
    weak = Score("top1", 0.3, "higher", protocol(judge_held_out_top1=0.45, classes=10))
    assert "mean little (a classifier that is right on only 45%" in how_good({"top1": weak})
    event = {"images_seen": 3000, "event": {"kind": "mode_collapse"}}
    with (run / "journal.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    assert "Mode collapse was noticed at 3,000 images" in look_out(read_run(run), {})


def pictures(page):
    for source in re.findall(r'<img[^>]*src="data:image/png;base64,([^"]*)"', page):
        with Image.open(io.BytesIO(base64.b64decode(source))) as opened:
            yield opened.convert("RGB")


def test_words_of_sheets_are_text_and_each_sheet_is_shown_once(run):
    page = report_html([read_run(run)])
    shown = list(pictures(page))
    assert len(shown) == 6  # three classes, generated and real
    for image in shown:
        assert {colour for _, colour in image.getcolors()} <= {
            (200,) * 3, (100,) * 3, (255,) * 3,
        }, "words are in the picture"  # fmt: skip
    assert 'class="pixels"' not in page
    assert re.findall('<div class="name">([^<]+)<', page)[:2] == ["кошка", "猫"]
    assert "<span>seed 0</span><span>1</span>" in page and "<script" not in page
    assert page.count("generated images at 5,000 images seen, a column a seed, and real ones") == 1
    assert page.count('<div class="title">generated<') == page.count('"title">real<') == 1


def test_a_sheet_of_pictures_is_not_shown_again(run):
    folder = run / "pictures"
    source = (run / "samples" / "000000005000.png").read_bytes()
    for seen, count in ((5000, 6), (4000, 9)):
        folder.mkdir(exist_ok=True)
        (folder / "sheet.png").write_bytes(source)
        facts = {"sheet": {"caption": "generated", "pixels": True}}
        numbers = {"images_seen": seen, "seed": 0, "pictures": facts}
        (folder / "pictures.json").write_text(json.dumps(numbers))
        assert len(list(pictures(report_html([read_run(run)])))) == count


def test_settings_and_protocols_are_folded(run):
    append_scores(run / "scores.jsonl", [Score("fid", 3.0, "lower", protocol(), notes=("a note",))])
    page = report_html([read_run(run)])
    folded = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", page, re.DOTALL)
    assert [title for title, _ in folded] == [
        "How it was measured", "Notes (1)", f"What the scores say ({LEGEND})", "Settings",
    ]  # fmt: skip
    assert "images to see" in folded[-1][1] and "a note" in folded[1][1]
    assert "FID: distance to the real images; 0 is best" in folded[2][1]


@pytest.mark.parametrize(
    "words",
    [
        "null", "[]", "{", "7", '{"lefts": [0], "tops": [0]}',
        '{"lefts": [0], "tops": [90000], "cell": [8, 8]}',
        '{"lefts": [-5], "tops": [0], "cell": [8, 8]}',
        '{"lefts": [0], "tops": [0], "cell": [8, 8], "names": ["a", "b"]}',
    ],
)  # fmt: skip
def test_damaged_words_leave_the_picture_whole(run, words):
    newest = run / "samples" / "000000005000.png"
    with Image.open(newest) as opened:
        image = opened.convert("RGB")
    image.info["sheet"] = words
    save_png(image, newest)
    assert read_sheet(newest) is None
    assert image.size in [shown.size for shown in pictures(report_html([read_run(run)]))]


def test_runs_beside_one_another(tmp_path):
    paths = [make_run(tmp_path / "a"), make_run(tmp_path / "b", head="auxiliary", seen=9000)]
    records = [read_run(path) for path in paths]
    page = report_html(records)
    assert "--beside:2" in page and "Not comparable" not in page
    assert page.count('<div class="title">') == 2 and "a, 5,000 images" in page
    assert "Unequal training: images seen are a 5,000, b 9,000" in page
    for path, value in zip(paths, (1.0, 2.0), strict=True):
        append_scores(path / "scores.jsonl", [Score("fid", value, "lower", protocol())])
    other = make_run(tmp_path / "c", side=16, data="folder", names=("x", "y"))
    append_scores(other / "scores.jsonl", [Score("fid", 3.0, "lower", {"reference": {}})])
    page = report_html([read_run(path) for path in (*paths, other)])
    assert "Not comparable, other data. a, b: digits; c: folder." in page
    assert "a, b: 8 x 8, colour; c: 16 x 16, colour" in page and "other classes" in page
    assert "Scores of 2 protocols are here" in page and "secret" not in page
    for table in re.findall("<table>(.*?)</table>", page, re.DOTALL):
        values = {value for value in ("1.000", "2.000", "3.000") if f">{value}<" in table}
        assert values in (set(), {"1.000", "2.000"}, {"3.000"}), "two protocols in one table"


def test_losses_of_several_runs_are_in_one_figure(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plots, "have_plots", lambda: True)
    drawn = []
    monkeypatch.setattr(
        plots, "journal_curve", lambda lines, title, **how: drawn.append((lines, title, how)) or b""
    )
    paths = [make_run(tmp_path / "a"), make_run(tmp_path / "b", head="auxiliary")]
    paths.append(make_run(tmp_path / "c", data="folder"))
    report_html([read_run(path) for path in paths])
    (lines, title, how), *others = drawn
    assert list(lines) == ["a", "b"] and title == "discriminator: adversarial" and not others
    assert how["drawn_as"]["a"].colour == METHODS["d2dce"]
    assert how["drawn_as"]["b"].colour == METHODS["auxiliary"]


CHROMIUM = Path("/usr/bin/chromium")


def fonts_of(page, selector):
    """The families that the browser draws an element with."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
    fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    return {font["familyName"] for font in fonts}


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")
def test_the_page_in_a_browser(tmp_path):
    """Narrow and wide, light and dark: nothing runs over the edge, nothing is asked of the network."""
    run = make_run(tmp_path / "Мои фото", names=("champignons 🍄", "猫", EVIL))
    wide = Score("kid", 0.028387, "lower", protocol(), low=0.01461, high=0.04216, images_seen=5000)
    many = [replace(wide, metric=f"memorisation_ratio_{number}") for number in range(12)]
    append_scores(run / "scores.jsonl", many)
    browsers = pytest.importorskip("playwright.sync_api")
    (tmp_path / "page.html").write_text(report_html([read_run(run)]), "utf-8")
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (390, 1280):
            for scheme in ("light", "dark"):
                view = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
                page = browser.new_context(**view).new_page()
                asked = []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                page.goto((tmp_path / "page.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") == width
                assert all(url.startswith(("file:", "data:")) for url in asked)
                ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
                assert page.locator(".name", has_text="猫").first.is_visible()
                assert fonts_of(page, ".row:nth-of-type(2) .name") >= {"Noto Emoji"}
                pairs = page.locator(".pair").all()
                fits = "table => table.scrollWidth <= table.clientWidth"
                assert pairs and all(table.evaluate(fits) for table in pairs)
                titles = page.locator(".which" if width == 390 else ".title")
                shown = [text for text in titles.all() if text.is_visible()]
                assert len(shown) == (6 if width == 390 else 2)
                assert page.evaluate("[...document.fonts].some(f => f.status === 'loaded')")
        browser.close()


def test_short_tables_are_lists_on_a_narrow_page(run):
    append_scores(run / "scores.jsonl", state(0.5, "coverage", seen=5000).values())
    page = report_html([read_run(run)])
    short = page[page.index("In short") :]
    short = short[: short.index("</div>")]
    assert 'class="wide brief"' in short
    heads = re.findall(r"<th[^>]*>([^<]+)", short)
    assert re.findall('data-head="([^"]+)"', short)[: len(heads)] == heads


def test_a_packed_set_has_the_name_of_its_file(run):
    record = read_run(run)
    packed = {"data": {"name": "archive", "path": "/home/secret/ferien.safetensors"}}
    assert data_in_words(replace(record, experiment=packed)) == "ferien.safetensors"
    assert data_in_words(replace(record, experiment={"data": {"name": "folder"}})) == "folder"


def test_real_images_that_come_twice_are_said(tmp_path):
    images = torch.arange(4, dtype=torch.uint8).view(1, 4, 1, 1, 1).expand(1, 4, 3, 8, 8) * 60
    save_png(sheet(images, ["a"]), tmp_path / "once.png")
    save_png(sheet(images[:, [0, 1, 2, 0]], ["a"]), tmp_path / "twice.png")
    once, twice = (read_sheet(tmp_path / f"{name}.png") for name in ("once", "twice"))
    assert once is not None and not repeats(once)
    assert twice is not None and repeats(twice)


def test_classes_without_a_bar_are_named(run, monkeypatch):
    monkeypatch.setattr(plots, "have_plots", lambda: True)
    pytest.importorskip("matplotlib")
    facts = protocol()
    details = {"classes": {"кошка": 0.5, "猫": 0.4}}
    score = Score("class_recall", 0.5, "higher", facts, details=details, subject="run")
    append_scores(run / "scores.jsonl", [score])
    page = report_html([read_run(run)])
    assert "too few images for a value: &lt;script&gt;" in page
    assert 'alt="Recall by class: classes; run' in page
