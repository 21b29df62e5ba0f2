"""Texts that would take memory or time without end, or break what walks through them, are refused."""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path

import pytest
from text_mutations import aliased

from reacgan.config import ConfigError, load_experiment, parse_assignments
from reacgan.files import as_text
from reacgan.plain_yaml import parse_yaml
from reacgan.records import json_lines, parse_json
from reacgan.sharing.card import missing
from reacgan.text import (
    code,
    code_block,
    file_name,
    file_stem,
    json_text,
    one_line,
    plain_lines,
    safe,
)

CLI = Path(__file__).parents[2] / "src" / "reacgan" / "cli"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (aliased(), "more than 100,000 values"),
        ("a: &a [*a]", "an alias of what it is in"),
        ("[" * 2_000, "nested too deeply"),
        (
            "\n".join(f"a{n + 1}: &a{n + 1} [*a{n}]" if n else "a1: &a1 [x]" for n in range(200)),
            "deeply",
        ),
        (f"a: {'9' * 5_000}", "5,000 digits"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!binary x", "could not determine a constructor"),
        ("a: !!bool maybe", "does not fit its tag"),
        ("a: 0x_", "invalid literal"),
    ],
)
def test_yaml_that_is_refused(text: str, says: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=says):
        parse_yaml(text)
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load_experiment(file)
    assert missing(f"---\n{text}\n---\n")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_yaml_that_is_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: 2024-13-45\n") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": "2024-13-45",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 5_000, "nested too deeply"),
        ("[" * 150 + "]" * 150, "nested too deeply"),
        ("9" * 5_000, "5,000 digits"),
        (b'{"a": -' + b"1" * 400 + b"}", "400 digits"),
    ],
)
def test_json_that_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_json(text)


def test_numbers_where_they_are_needed() -> None:
    for text in ("NaN", "-Infinity", "[1e999]"):
        with pytest.raises(ValueError, match="not finite"):
            parse_json(text, finite=True)
    assert parse_json(f'"{"9" * 400}"') == "9" * 400  # a text of digits is no number


def test_a_configuration_is_an_ordinary_file_of_some_size(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError, match=r"mine\.yaml.*at most 1,048,576"):
        load_experiment(file)


def test_lines_of_a_pipe_are_no_journal(tmp_path: Path) -> None:
    pipe = tmp_path / "journal.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no ordinary file"):
        list(json_lines(pipe))


def test_a_setting_says_why_it_is_not_readable() -> None:
    with pytest.raises(ConfigError, match=r"--set .*5,000 digits"):
        parse_assignments([f"training.batch={'9' * 5_000}"])


def test_half_a_pair_is_no_text() -> None:
    assert as_text("a\ud800b\udc80") == "a\ufffdb\ufffd"
    assert as_text("caf\udcc3\udca9") == "café"


def test_text_on_its_ways_out() -> None:
    assert one_line("\x1b[31m a\nb\u202e\u200d\udce9") == "\\x1b[31m a b\\u202e\u200d\\udce9"
    assert plain_lines("a\tb\n\rc\x07") == "a\tb\n c\\x07"
    assert safe("# [x](y) <b> |") == "\\# \\[x\\](y) &lt;b&gt; \\|"
    assert code("a`b``c|d") == "```a`b``c\\|d```"
    assert code("`a") == "`` `a ``"
    assert code_block("```\na") == "````\n```\na\n````"
    value = {"a": ["\x9b\u202e\ud800é\n"]}
    assert json.loads(json_text(value)) == value and json_text(value).isprintable()


def test_names_of_files() -> None:
    assert file_stem("../../x") == "x" and file_stem("..") == "unnamed"
    assert file_stem("CON") == "_CON" and file_name("a:b/c") == "a_b_c"
    assert len(file_stem("漢" * 300).encode()) <= 160


@pytest.mark.parametrize("file", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_commands_print_by_what_escapes(file: Path) -> None:
    """``print`` itself stands only where the text is escaped."""
    prints = re.findall(r"(?<![\w.])print\(", file.read_text("utf-8"))
    assert len(prints) == {"streams.py": 3, "answers.py": 1}.get(file.name, 0)
