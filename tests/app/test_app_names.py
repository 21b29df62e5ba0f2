"""Names in any script: fonts from the page's own server, and each name in its own direction."""

from __future__ import annotations

import re

from reacgan.app.fonts import EMOJI, FONTS, SIGNS, faces
from reacgan.app.guard import passes
from reacgan.app.markup import Shown, sheet, text, words
from reacgan.sampling.fonts import FOLDER, font_of


def test_the_page_has_its_fonts_from_its_own_server():
    rules = faces()
    addresses = re.findall(r'url\("(.*?)"\)', rules)
    assert {address.removeprefix(FONTS) for address in addresses} == {
        path.name for path in FOLDER.glob("*.ttf")
    }
    assert all(passes("GET", address) and not passes("POST", address) for address in addresses)
    assert set(re.findall('font-family: "(.*?)"', rules)) == {EMOJI, SIGNS}


def test_each_sign_is_asked_of_a_font_that_has_it():
    for sign in "αЖאبகาकखগ한カ猫😀📷ស":
        rule = next(line for line in faces().splitlines() if _asked(line, ord(sign)))
        assert font_of(sign).name in rule, sign


def _asked(rule: str, sign: int) -> bool:
    spans = re.findall(r"U\+([0-9A-F]+)-([0-9A-F]+)", rule)
    return any(int(low, 16) <= sign <= int(high, 16) for low, high in spans)


def test_names_read_from_the_right_turn_no_number_around():
    html = sheet([("חתול", [Shown("", "", "חתול · 90.7")])], 32, label="x")
    assert ">חתול</bdi> · 90.7</figcaption>" in html and "><bdi>חתול</bdi></div>" in html
    assert words("cat · 90.7") == text("cat · 90.7") and "<b>" not in words("א<b>")
