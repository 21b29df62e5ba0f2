"""docs/configuration.md is what tools/configuration_page.py writes, and tells of every key."""

from __future__ import annotations

import sys

from fences import ROOT

from reacgan.config import known_keys
from reacgan.plugins import FAMILIES

sys.path.insert(0, str(ROOT / "tools"))
from configuration_page import PAGE, keys, options_of, page


def test_the_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python tools/configuration_page.py"


def rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]
        for line in page().splitlines()
        if line.startswith("| `") or line.startswith("|  | `")
    ]


def test_every_key_has_a_row_with_its_meaning():
    told = {row[0].strip("`"): row for row in rows() if len(row) == 4}
    assert {*keys()} <= {*told}
    assert {*known_keys("name")} == {key for key in told if "." not in key}
    for key, (_, allowed, default, meaning) in told.items():
        assert allowed and meaning and (default or "section" in allowed), key
        assert "any value" not in allowed, key


def test_every_option_of_every_member_has_a_row_with_its_meaning():
    told = [row for row in rows() if len(row) == 5]
    families = ("generator", "backbone", "head", "penalty", "consistency", "augment")
    families += ("dataset", "extractor", "metric")
    members = [
        (family, member) for family in families for member in FAMILIES[family].table.values()
    ]
    assert len(told) == sum(len(options_of(*pair)) for pair in members)
    for member, option, allowed, default, meaning in told:
        assert option and allowed and default and meaning, (member, option)
        assert "any value" not in allowed and "see `" not in meaning, (member, option)
