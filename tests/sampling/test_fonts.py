"""Labels in any script: a glyph for every sign, wrapped, in the order of the eye."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from reacgan.sampling import fonts, save_sheets, seed_heads, sheet, sheets
from reacgan.sampling.grids import SHEET_KEY

SCRIPTS = {
    "German": "Grün ß", "Greek": "Γάτα", "Russian": "Кошка", "Chinese": "中文猫",
    "Japanese": "ねこ ネコ", "Korean": "고양이", "Arabic": "قطة", "Hebrew": "חתול",
    "Hindi": "बिल्ली", "Thai": "แมว", "Bengali": "বিড়াল", "Tamil": "பூனை", "emoji": "😀🐈❤️👨‍👩‍👧🇩🇪",
}  # fmt: skip


def ink(text, size=16):
    """The drawn text as an array, dark on white."""
    canvas = Image.new("L", (round(fonts.text_width(text, size)) + 8, 2 * size), "white")
    fonts.draw_text(ImageDraw.Draw(canvas), (4, 2), text, size)
    return 255 - np.asarray(canvas).astype(int)


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_every_sign_has_a_glyph_in_a_font_of_the_package(text):
    parts = fonts.runs(text)
    assert "".join(part.text for part in parts) == text
    assert all(part.font is not None and part.font.parent == fonts.FOLDER for part in parts)
    drawn = ink(text)
    assert drawn.sum() > 1000
    letters = [cluster for cluster in fonts.clusters(text) if cluster.strip()]
    boxes = [ink(letter).tobytes() for letter in letters]
    assert len(set(boxes)) == len(set(letters)), "signs of one look: they are boxes"


def test_what_no_font_has_is_a_box_with_its_code_point():
    assert fonts.font_of("\U000f0000") is None and fonts.font_of("\udcff") is None
    assert not np.array_equal(ink("\U000f0000"), ink("\U000f0001"))
    box = ink("\U000f0000")
    upright = (box[8:18] > 150).all(0)
    assert upright.sum() == 2, "a box has two sides"


def test_arabic_letters_join_and_run_from_the_right():
    if not fonts.has_raqm():
        pytest.skip("Pillow has no Raqm here")
    joined = fonts.text_width("قطة", 32)
    alone = sum(fonts.text_width(letter, 32) for letter in "قطة")
    assert joined < 0.95 * alone
    mixed = fonts._in_order("قط 猫", "rtl")
    assert [part.text.strip() for part in mixed] == ["猫", "قط"]


def test_without_raqm_words_of_hebrew_are_still_read_from_the_right(monkeypatch):
    monkeypatch.setattr(fonts, "has_raqm", lambda: False)
    fonts._font.cache_clear()
    assert fonts._in_order("אבג", "rtl")[0].text == "גבא"
    assert fonts._in_order("😀\ufe0f ok", "ltr")[0].text.startswith("😀")
    assert ink("אבג").sum() > 1000 and "\ufe0f" not in fonts._in_order("❤\ufe0f", "ltr")[0].text
    fonts._font.cache_clear()


@pytest.mark.parametrize(
    ("text", "seen"),
    [("", "no name"), (" ", "blank (U+0020)"), ("\u200b", "blank (U+200B)"), ("a\tb", "a b")],
)
def test_names_that_look_empty_say_so(text, seen):
    assert fonts.visible(text) == seen


def test_clusters_stay_whole():
    assert list(fonts.clusters("e\u0301👨‍👩‍👧🇩🇪🇫🇷❤️x")) == [
        "e\u0301", "👨‍👩‍👧", "🇩🇪", "🇫🇷", "❤️", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a name of many words", "x" * 200, "中文名字" * 20, "a_b-c/d." * 9]
)
def test_lines_fit_and_nothing_is_lost(text):
    lines = fonts.wrapped(text, 12, 90)
    assert all(fonts.text_width(line, 12) <= 90 for line in lines) and len(lines) > 1
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert max(map(len, fonts.wrapped("two words", 12, 65))) <= 9


def test_a_long_name_makes_its_row_taller_and_hides_no_picture():
    images = torch.zeros(2, 1, 1, 8, 8, dtype=torch.uint8)
    plain, long = sheet(images, ["a", "b"]), sheet(images, ["many words " * 14, "b"])
    assert long.height > plain.height
    words = json.loads(long.info[SHEET_KEY])
    for top in words["tops"]:
        left = words["lefts"][0]
        box = (left, top, left + 48, top + 48)
        assert (np.asarray(long.crop(box)) == 0).all()


def test_sheets_are_paged(tmp_path):
    images = torch.zeros(120, 2, 1, 8, 8, dtype=torch.uint8)
    names = [f"class {label}" for label in range(120)]
    pages = sheets(images, names, heads=seed_heads([7, 8]))
    shown = [json.loads(page.info[SHEET_KEY]) for page in pages]
    assert [name for page in shown for name in page["names"]] == names and len(pages) == 3
    assert shown[2]["caption"] == "page 3 of 3: rows 101 to 120 of 120"
    assert all(page["heads"] == ["seed 7", "8"] for page in shown)
    paths = save_sheets(pages, tmp_path, "grid")
    assert [path.name for path in paths] == ["grid.png", "grid-2.png", "grid-3.png"]
    with Image.open(paths[2]) as opened:
        assert json.loads(opened.text[SHEET_KEY]) == shown[2]
    wide = sheets(images[:1, :1].expand(1, 200, -1, -1, -1), ["a"], heads=seed_heads(range(200)))
    assert len(wide) == 3 and max(page.width for page in wide) < 4400
