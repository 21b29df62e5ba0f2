from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.evaluation.scores import (
    Score,
    append_scores,
    canonical,
    comparable,
    protocol_id,
    read_scores,
)

PROTOCOL = {
    "extractor": {"name": "domain", "weights": "ab"},
    "fake": {"images": 100, "seed": 0},
    "reference": {"split": "test"},
    "software": {"torch": "2"},
}
FULL = Score(
    "fid",
    12.345678901234567,
    "lower",
    PROTOCOL,
    low=11.0,
    high=13.0,
    details={"classes": {"cat\n\u2028": 1.5, "猫": None}},
    notes=("few images",),
    subject="run|1",
    images_seen=0,
    time="2026-01-01T00:00:00+00:00",
)

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), plain, max_size=4)


def test_a_line_gives_the_score_again():
    assert Score.from_line(FULL.to_line()) == FULL
    assert "\n" not in FULL.to_line() and FULL.to_line().isascii()
    short = Score("is", 0.0, "higher", {})
    assert json.loads(short.to_line()) == {
        "metric": "is", "value": 0.0, "better": "higher", "protocol": {}
    }  # fmt: skip
    assert Score.from_line(short.to_line()) == short


@settings(max_examples=30, deadline=None)
@given(numbers, objects, objects, st.text(), st.none() | st.floats(-9, 9))
def test_any_score_gives_itself_again(value, protocol, details, subject, low):
    score = Score("m", value, "neither", protocol, low=low, details=details, subject=subject)
    assert Score.from_line(score.to_line()) == score


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["value", "low", "high", "details", "protocol"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, where, bad):
    held = {"metric": "fid", "value": 1.0, "better": "lower", "protocol": {}}
    held[where] = {"deep": [{"down": bad}]} if where in ("details", "protocol") else bad
    path = tmp_path / "scores.jsonl"
    with pytest.raises(ConfigError, match="needed: finite numbers"):
        append_scores(path, [FULL, Score(**held)])
    assert not path.exists()
    with pytest.raises(ConfigError):
        Score.from_line(json.dumps(held))


def test_what_is_no_json_is_refused():
    with pytest.raises(ConfigError, match="fid of an unnamed target"):
        Score("fid", 1.0, "lower", {"weights": {1, 2}}).to_line()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"metric": ""}, "metric"),
        ({"value": "1"}, "value"),
        ({"value": True}, "value"),
        ({"better": "up"}, "better"),
        ({"protocol": "paper"}, "protocol"),
        ({"low": "1"}, "low"),
        ({"details": []}, "details"),
        ({"notes": "few"}, "notes"),
        ({"subject": 3}, "subject"),
        ({"images_seen": 1.5}, "images_seen"),
    ],
)
def test_lines_that_are_no_score(change, named):
    with pytest.raises(ConfigError, match=f"wrong type: {named}"):
        Score.from_line(json.dumps({**json.loads(FULL.to_line()), **change}))


@pytest.mark.parametrize(
    "line", ["", "{", "3", "[]", FULL.to_line().replace("12.345678901234567", "1e999")]
)
def test_lines_that_are_nothing(line):
    with pytest.raises(ConfigError, match="not a"):
        Score.from_line(line)


def test_keys_of_a_later_version_are_passed_over():
    line = json.dumps({**json.loads(FULL.to_line()), "later": 1})
    assert Score.from_line(line) == FULL


def test_foreign_and_torn_lines_are_passed_over(tmp_path):
    path = tmp_path / "run" / "scores.jsonl"
    append_scores(path, [FULL])
    with path.open("ab") as file:
        file.write(b'{"figures": {"fid": 3}, "protocol": {"k": 5}}\n\xff\xfe\n\n[1]\n')
        file.write(FULL.to_line().encode()[:-20])  # killed here
    assert read_scores(path) == [FULL]
    append_scores(path, [FULL, FULL])
    assert read_scores(path) == [FULL] * 3
    assert path.read_bytes().endswith(b"\n") and b"\n\n\n" not in path.read_bytes()


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_wherever_a_writer_is_killed(tmp_path, cut):
    path = tmp_path / "scores.jsonl"
    append_scores(path, [FULL, FULL])
    path.write_bytes(path.read_bytes()[:-cut])
    whole = 2 if cut == 1 else 1  # only the line's end is missing
    append_scores(path, [FULL])
    assert read_scores(path) == [FULL] * (whole + 1)


def test_nothing_to_add_makes_no_file(tmp_path):
    append_scores(tmp_path / "scores.jsonl", [])
    assert not (tmp_path / "scores.jsonl").exists()
    assert read_scores(tmp_path / "scores.jsonl") == []


def add_many(path, number):
    for place in range(20):
        append_scores(path, [Score("m", place, "lower", {}, subject=str(number))] * 3)


def test_writers_beside_each_other(tmp_path):
    path = tmp_path / "scores.jsonl"
    path.touch()
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        list(pool.map(add_many, [path, path], [0, 1]))
    assert len(read_scores(path)) == 120


def test_what_may_differ_between_comparable_scores():
    other = {**PROTOCOL, "software": {"torch": "3"}, "fake": {"seed": 9, "images": 100}}
    assert comparable(other) == comparable(PROTOCOL)
    assert protocol_id(other) == protocol_id(PROTOCOL)
    assert protocol_id(comparable(PROTOCOL)) == protocol_id(PROTOCOL)


@pytest.mark.parametrize(
    "change",
    [
        {"fake": {"images": 101, "seed": 0}},
        {"reference": {"split": "train"}},
        {"reference": {"split": "test", "seed": 1}},
        {"metric": {"k": 3}},
        {"seed": 1},
        {"extractor": {"name": "domain", "weights": "ab", "software": 1}},
    ],
)
def test_what_may_not(change):
    assert protocol_id({**PROTOCOL, **change}) != protocol_id(PROTOCOL)


def test_the_same_content_is_one_protocol():
    turned = json.loads(json.dumps(dict(reversed(PROTOCOL.items()))))
    turned["fake"] = {"seed": None, "images": 100.0, "psi": None}
    assert protocol_id({**turned, "generator": {}, "selection": None}) == protocol_id(PROTOCOL)


def test_the_digest_does_not_move():
    assert protocol_id({"b": [1, (2, 3.0)], "a": {"é": 0.5}}) == "632e044b"
    assert canonical({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"\\u00e9"],"b":1}'
    with pytest.raises(ConfigError, match="finite"):
        canonical({"a": float("nan")})
