"""Class names that mean something to a terminal, Markdown, HTML, YAML, a shell, a spreadsheet, a disk.

They pass every command that prints or writes names; each output is looked at for what must not be in it,
and where names are data they are compared letter by letter.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from PIL import Image

from commands import TINY
from reacgan.cli import main

HOSTILE = (
    "# Heading",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31mred",
    "\x01\x08",
    "reacgan: done\rreacgan: error",
    "a\u202egnp.exe",
    "a\u2028b\u2066c",
    "../../x",
    "/etc/passwd",
    "CON",
    "---\nlicense: mit\n---",
    "=cmd|'/C calc'!A1",
    "a|b",
    "`ticks` ``` ~~~",
    "--out=x",
    "$(touch hacked) ${HOME} {{7*7}}",
    "l" * 300,
    "caf\ufffd",
)
FORGED = re.compile("^(license: mit|reacgan: error)", re.MULTILINE)


def hidden(text: str) -> list[str]:
    """What a reader does not see, or what moves what a reader sees."""
    return [
        ascii(mark) for mark in text if not mark.isprintable() and mark not in "\n\t\u200c\u200d"
    ]


def check_terminal(text: str) -> None:
    """Nothing moves the cursor, and no name begins a line."""
    assert hidden(text) == []
    assert not FORGED.search(text), text


def check_json(text: str) -> object:
    """A program reads it, and a terminal shows it as it is."""
    assert hidden(text) == []
    return json.loads(text)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def check_html(text: str) -> None:
    """No element is a name's."""
    assert hidden(text) == []
    parser = _Elements()
    parser.feed(text)
    for tag, attributes in parser.elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        links = [str(attributes.get(name) or "") for name in ("href", "src")]
        assert not any(link.startswith(("javascript", "http://evil", "x")) for link in links)
    assert "<script>alert" not in text


def check_markdown(text: str, headings: set[str]) -> None:
    """As it is rendered no heading, link, picture or element is a name's."""
    assert hidden(text) == []
    rendered = MarkdownIt("commonmark").enable("table").enable("strikethrough").render(text)
    check_html(rendered)
    assert set(re.findall("<h[1-6]>(.*?)</h", rendered)) <= headings
    assert "<hr" not in rendered and "<del" not in rendered


def check_files(folder: Path) -> None:
    """Every name of a file can be on any system, and none leaves the folder."""
    for path in folder.rglob("*"):
        name = path.name
        assert name.isprintable() and len(os.fsencode(name)) <= 255, ascii(name)
        assert (
            not set(name) & set('<>:"/\\|?*')
            and name.strip(" ") == name
            and name.rstrip(".") == name
        )
        assert path.resolve().is_relative_to(folder.resolve())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A folder with images, a table that names their classes, folders named so, and a run."""
    folder = tmp_path_factory.mktemp("hostile")
    draws = np.random.default_rng(0)
    lines = []
    for number, name in enumerate(HOSTILE * 2):
        pixels = draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        file = f"images/{number}.png"
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / file)
        lines.append(json.dumps({"path": file, "label": name}))
        within = folder / "folders" / name.replace("/", "_")[:200]
        within.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(within / f"\x1b[2J{number}\n.png")
    bytes_folder = os.fsencode(folder / "folders") + b"/caf\xe9"
    os.mkdir(bytes_folder)  # noqa: PTH102 - a name that is no UTF-8
    Image.fromarray(pixels).save(os.fsdecode(bytes_folder) + "/1.png")
    (folder / "t.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def trained(hostile) -> tuple[Path, str]:
    """A run of a moment on the table, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    words = [
        "train", "digits/reacgan", "--images", "64", "--out", hostile / "run", *TINY, "data.name=jsonl",
        f"data.path={hostile / 't.jsonl'}", "data.resolution=8", "data.channels=3",
        "report.samples_every=64",
    ]  # fmt: skip
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main([str(word) for word in words])
    assert not ended.value.code, err.getvalue()
    return hostile / "run", out.getvalue() + err.getvalue()


def test_train_prints_no_name_as_it_is(trained) -> None:
    run, printed = trained
    check_terminal(printed)
    names = json.loads((run / "model" / "config.json").read_text())["class_names"]
    assert sorted(names) == sorted(HOSTILE)
    check_files(run)


@pytest.mark.parametrize(
    "words", [("data", "inspect"), ("new", "--seconds", "0", "--out", "x.yaml")]
)
@pytest.mark.parametrize("data", ["t.jsonl", "folders"])
def test_what_is_said_of_images(hostile, words, data, reacgan, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = words if words[0] == "new" else (" ".join(words),)
    code, out, err = reacgan(*command.split(), hostile / data, *options)
    assert code == 0, err
    check_terminal(out + err)
    if words[0] == "new":
        check_terminal((tmp_path / "x.yaml").read_text())
        (tmp_path / "x.yaml").unlink()
    code, out, err = reacgan(*command.split(), hostile / data, *options, "--json")
    assert code == 0, err
    facts = check_json(out)
    if data == "t.jsonl" and words[0] == "data":
        assert set(facts["classes"]) == set(HOSTILE)


def test_an_unknown_class(trained, reacgan, tmp_path) -> None:
    code, out, err = reacgan(
        "sample", trained[0], "--classes", "\x1b[31m?", "--out", tmp_path / "s"
    )
    assert code == 1 and "unknown class" in err
    check_terminal(out + err)
    code, out, err = reacgan(
        "sample", trained[0], "--classes", "?\u202e", "--out", tmp_path / "s", "--json"
    )
    assert code == 1 and "unknown class" in check_json(out)["error"]


def test_sample_and_walk(trained, reacgan, tmp_path) -> None:
    run, _ = trained
    out = tmp_path / "s"
    code, printed, err = reacgan("sample", run, "--num", 1, "--grid", "--out", out)
    assert code == 0, err
    check_terminal(printed + err)
    code, printed, err = reacgan("sample", run, "--num", 1, "--out", out, "--json")
    assert {image["class"] for image in check_json(printed)["images"]} == set(HOSTILE)
    code, printed, err = reacgan(
        "walk", run, "--classes", "0,1", "--seeds", "0,1", "--out", tmp_path / "w"
    )
    assert code == 0, err
    check_terminal(printed + err)
    check_files(tmp_path)
    assert not (tmp_path.parent / "x").exists()


@pytest.mark.parametrize("form", ["folder", "zip", "webdataset", "parquet", "hf"])
def test_generate(trained, form, reacgan, tmp_path) -> None:
    out = tmp_path / f"set{'.zip' if form == 'zip' else ''}"
    code, printed, err = reacgan(
        "generate", trained[0], "--num", 22, "--to", form, "--out", out, "--json"
    )
    assert code == 0, err
    facts = check_json(printed)
    assert facts
    code, printed, err = reacgan("generate", trained[0], "--num", 22, "--to", form, "--out", out)
    check_terminal(printed + err)
    check_files(tmp_path)
    if form == "zip":
        with zipfile.ZipFile(out) as file:
            for name in file.namelist():
                assert (
                    name.isprintable() and ".." not in name.split("/") and not name.startswith("/")
                )
            manifest, table = file.read("manifest.json").decode(), file.read("labels.csv").decode()
    else:
        manifest = next(out.rglob("manifest.json")).read_text()
        table = (out / "labels.csv").read_bytes().decode() if form == "folder" else None
    assert sorted(check_json(manifest)["class_names"]) == sorted(HOSTILE)
    if table is not None:  # data stay what they are, also in a table: see docs/generating.md
        assert {row["class"] for row in csv.DictReader(io.StringIO(table, newline=""))} == set(
            HOSTILE
        )


def test_scores_and_reports(trained, hostile, reacgan, tmp_path) -> None:
    run, _ = trained
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = [
            "--reference",
            hostile / "t.jsonl",
            "--extractor",
            "domain",
            "--metrics",
            "prdc,per_class",
        ]
        code, out, err = reacgan(
            "evaluate", run, *words, "--set", "extractor.epochs=1", "per_class.k=1", "--num", 44
        )
    assert code == 0, err
    check_terminal(out + err)
    code, out, err = reacgan("report", run)
    assert code == 0, err
    check_html((run / "report.html").read_text())
    code, out, err = reacgan("report", run, "--markdown")
    check_terminal(out + err)
    check_markdown(out, set())
    code, out, err = reacgan("report", run, "--markdown", "--json")
    check_markdown(check_json(out)["markdown"], set())
    check_files(run)


def _environment_says(run: Path, word: str) -> None:
    facts = json.loads((run / "environment.json").read_text())
    facts["command"] = ["reacgan", "train", word]
    (run / "environment.json").write_text(json.dumps(facts))


def test_cards(trained, reacgan, tmp_path, monkeypatch) -> None:
    run, _ = trained
    _environment_says(run, "```\n# Heading\n\x1b[31m")
    shared = tmp_path / "weights" / "shared"
    code, out, err = reacgan("weights", "publish", run, "--out", shared, "--licence", "cc0-1.0")
    assert code == 0, err
    check_terminal(out + err)
    check_files(shared)
    for card in (shared / "README.md", run / "model" / "README.md"):
        text = card.read_text()
        _, front, body = text.split("---\n", 2)
        assert yaml.safe_load(front)["license"] != "mit"
        headings = {
            "Use",
            "Data",
            "Scores",
            "Training",
            "Same samples elsewhere",
            "Intended use",
            "Limits",
        }
        check_markdown(body, headings | {"shared", "digits/reacgan", "t"})
    monkeypatch.setenv("REACGAN_WEIGHTS", str(shared.parent))
    for words in (("list",), ("show", "shared"), ("check", "shared")):
        code, out, err = reacgan("weights", *words)
        assert code == 0, out + err
        if words[0] != "show":  # a card has a front matter, and that a line with its licence
            check_terminal(out + err)
        code, out, _ = reacgan("weights", *words, "--json")
        assert code == 0 and check_json(out)


def test_a_damaged_card_is_shown_without_its_codes(trained, reacgan, tmp_path) -> None:
    shared = tmp_path / "shared"
    reacgan("weights", "publish", trained[0], "--out", shared)
    (shared / "README.md").write_bytes(b"# \x1b[31mred\x1b]0;t\x07 \xe2\x80\xae \xff\n")
    _, out, err = reacgan("weights", "show", shared)
    check_terminal(out + err)
    assert "\\x1b[31mred" in out


def _values(page) -> Iterator[str]:
    for component in page.config["components"]:
        if component["type"] in ("html", "markdown"):
            yield str(component["props"].get("value") or "")


@pytest.mark.slow  # names in the page are tested in a browser, too
def test_the_page(trained, tmp_path) -> None:
    pytest.importorskip("gradio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from reacgan.app.page import build_page
        from reacgan.app.sets import DataSets
        from reacgan.app.studio import open_studio

        page = build_page(DataSets(open_studio([trained[0]]), tmp_path, tmp_path))
    for value in _values(page):
        check_html(value)
