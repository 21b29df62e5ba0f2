"""The site builds, needs no network, and its links lead somewhere; so do those of the pages as files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import markdown
import pytest
import yaml
from fences import ROOT
from markdown_it import MarkdownIt

import reacgan

DOCS = ROOT / "docs"
MARKDOWN = [
    *(path for path in ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
]
RESOURCES = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
RESOURCES |= {"audio": "src", "video": "src", "object": "data", "embed": "src"}


class Reader(HTMLParser):
    """What a page loads, where it leads to, and the places in it that have a name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.places |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.leads.append(values["href"])
        if tag in RESOURCES and RESOURCES[tag] in values:
            self.loads.append(values[RESOURCES[tag]])
        self.loads += [part.split()[0] for part in values.get("srcset", "").split(",") if part]


def foreign(addresses: list[str]) -> list[str]:
    """Those of another host."""
    return [link for link in addresses if urlsplit(link).netloc or link.startswith("//")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Reader(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def test_pages_load_nothing_from_another_host(pages, site):
    assert len(pages) > 20
    assert {str(path): foreign(page.loads) for path, page in pages.items()} == {
        str(path): [] for path in pages
    }
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", sheet.read_text("utf-8"))
        assert foreign(addresses) == [], sheet


def test_a_foreign_resource_is_seen():
    page = Reader(
        '<script src="https://x.org/a.js"></script><img src="a.png"><a href="https://y.org">'
    )
    assert foreign(page.loads) == ["https://x.org/a.js"]


def test_links_and_anchors_of_the_site(pages, site):
    for path, page in pages.items():
        for link in [*page.leads, *page.loads]:
            target = urlsplit(link)
            if target.scheme or target.netloc or path.name == "404.html":
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            assert file.exists(), f"{path.relative_to(site)}: {link}"
            if target.fragment and file.suffix == ".html" and target.fragment != "__skip":
                named = pages[file].places
                assert unquote(target.fragment) in named, f"{path.relative_to(site)}: {link}"


def anchors(path: Path) -> set[str]:
    """The names that a code host gives to headings."""
    tokens = MarkdownIt().parse(path.read_text("utf-8"))
    titles = [
        tokens[k + 1].content for k, token in enumerate(tokens) if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_pages_as_files(path):
    page = Reader(MarkdownIt("commonmark").enable("table").render(path.read_text("utf-8")))
    for link in [*page.leads, *page.loads]:
        target = urlsplit(link)
        if target.scheme:
            assert target.scheme in ("https", "mailto"), link
            continue
        file = (path.parent / unquote(target.path)).resolve() if target.path else path
        assert file.exists(), link
        if target.fragment and file.suffix == ".md":
            assert target.fragment in anchors(file), link


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_is_the_same_on_the_site_and_on_a_code_host(path):
    """The two read lists and tables by different rules, so what one shows may be prose to the other."""
    text = re.sub(r"<!--.*?-->", "", path.read_text("utf-8"), flags=re.S)
    here = markdown.markdown(text, extensions=["tables", "pymdownx.superfences"])
    there = MarkdownIt("commonmark").enable("table").render(text)
    for tag in ("li", "table", "tr", "pre", "img", "h1", "h2", "h3", "a"):
        counts = [len(re.findall(rf"<{tag}[ >]", html)) for html in (here, there)]
        assert counts[0] == counts[1], tag


def test_every_public_name_is_documented(site):
    text = (site / "api.html").read_text("utf-8")
    named = {name.rpartition(".")[2] for name in re.findall(r'<h3 id="([\w.]+)"', text)}
    assert {*reacgan.__all__} - {"__version__"} <= named
    for undocumented in (":class:", ":func:", ":data:", ":meth:"):
        assert undocumented not in text


def test_links_to_code_are_words_on_the_site():
    sys.path.insert(0, str(ROOT / "tools"))
    from site_hooks import on_page_markdown

    link = "[a script](../examples/score_digits.py)"
    assert on_page_markdown(link) == "a script (`examples/score_digits.py`)"
    for other in ("[gone](../examples/gone.py)", "[page](sampling.md)"):
        assert on_page_markdown(other) == other


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = re.findall(r"[\w-]+\.md", str(yaml.safe_load(text.replace("!!", ""))["nav"]))
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium here")
@pytest.mark.slow
def test_the_site_as_a_reader_sees_it(site):
    """Opened as files, narrow and wide: nothing asks another host, nothing overflows, search finds."""
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for width in (390, 1280):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("request", lambda request: asked.append(request.url))
            for file in sorted(site.glob("*.html")):
                page.goto(file.as_uri())
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert page.evaluate(wide) <= 1, (file.name, width)
        page.goto((site / "index.html").as_uri())
        page.get_by_role("textbox", name="Search").fill("temperature")
        page.locator(".md-search-result__item").first.wait_for(timeout=20_000)
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
