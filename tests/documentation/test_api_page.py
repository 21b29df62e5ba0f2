"""docs/api.md is what tools/api_page.py writes, and tells of every public name."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
from fences import ROOT

import reacgan

sys.path.insert(0, str(ROOT / "tools"))
import api_page
import site_hooks


def rows() -> dict[str, tuple[str, str]]:
    """Signature and sentence of every name in the tables of a code host."""
    text = re.sub(r"<!--.*?-->", "", api_page.PAGE.read_text("utf-8"), flags=re.S)
    found = re.findall(r"^\| `(\w+)([^`]*)` \| (.+) \|$", text, flags=re.M)
    assert len({name for name, _, _ in found}) == len(found)
    return {name: (call, meaning) for name, call, meaning in found}


def test_the_page_is_up_to_date():
    assert api_page.PAGE.read_text("utf-8") == api_page.page(), "run python tools/api_page.py"


def test_every_public_name_has_a_row_with_signature_and_sentence():
    known = rows()
    assert {*reacgan.__all__} <= {*known}
    for name, (call, meaning) in known.items():
        assert re.fullmatch(r"[A-Z_`].*\.", meaning.replace("\\|", "|")), name
        value = getattr(reacgan, name, None)
        if inspect.isfunction(value):
            for parameter in inspect.signature(value).parameters:
                assert re.search(rf"\b{parameter}\b", call), (name, parameter)


def test_a_new_public_name_gets_a_row(monkeypatch):
    monkeypatch.setattr(reacgan, "__all__", [*reacgan.__all__, "brand_new"])
    monkeypatch.setattr(reacgan, "brand_new", rows, raising=False)
    text = api_page.page()
    assert "| `brand_new()` | Signature and sentence of every name" in text
    assert "<!-- documented: reacgan.brand_new -->" in text


def test_the_site_fills_in_the_documentation():
    text = site_hooks.on_page_markdown(api_page.PAGE.read_text("utf-8"))
    assert "documented:" not in text
    assert "::: reacgan.training.run.train" in text and "::: reacgan.heads.base.Head" not in text
    assert "### save_pretrained {#reacgan.save_pretrained}" in text


@pytest.mark.parametrize(("path", "call"), [("reacgan.journal", "`journal(run)`"),
                                            ("reacgan.ConfigError", "`ConfigError`")])  # fmt: skip
def test_calls(path, call):
    assert api_page._call(path) == call
