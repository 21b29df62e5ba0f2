from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.evaluation.protocols import INCEPTION
from reacgan.evaluation.scores import Score, protocol_id
from reacgan.reports.tables import column, require_same_protocol, score_table


def protocol(split="test", *, seed=0, **changes):
    return {
        "extractor": {"name": "domain", "weights": "ab" * 32},
        "fake": {"images": 100, "seed": seed},
        "reference": {"split": split, "images": 100, "part": "whole"},
        "software": {"torch": changes.pop("torch", "2")},
        **changes,
    }


def score(value=1.0, metric="fid", better="lower", held=None, **changes):
    return Score(metric, value, better, held or protocol(), **{"subject": "run", **changes})


splits = st.sampled_from(["test", "train"])
some_scores = st.lists(
    st.builds(
        lambda metric, split, k, seed, subject, seen: score(
            1.0,
            metric,
            held=protocol(split, seed=seed, metric={"k": k}),
            subject=subject,
            images_seen=seen,
        ),
        st.sampled_from(["fid", "kid"]),
        splits,
        st.sampled_from([3, 5]),
        st.integers(0, 1),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, 10, 20]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(some_scores)
def test_no_column_holds_two_protocols_and_no_score_is_lost(scores):
    table = score_table(scores)
    columns = [one for block in table.blocks for one in block.columns]
    for one in columns:
        assert len({protocol_id(held.protocol) for held in one.scores.values()}) == 1
        assert {held.metric for held in one.scores.values()} == {one.metric}
    ids = [(one.metric, protocol_id(next(iter(one.scores.values())).protocol)) for one in columns]
    assert len(set(ids)) == len(ids)
    kept = [held for one in columns for held in one.scores.values()]
    assert all(held in kept for held in scores)
    for left, right in combinations(table.blocks, 2):
        assert left.title != right.title
    for block in table.blocks:
        assert len(set(block.head())) == len(block.head())
        assert all(len(line) == len(block.head()) for line in block.body())


def test_mixing_names_the_facts():
    scores = [score(), score(held=protocol("train", metric={"k": 3}))]
    for ask in (lambda: column(scores, "fid"), lambda: require_same_protocol(scores)):
        with pytest.raises(ConfigError) as error:
            ask()
        assert "reference.split: test / train\n" in str(error.value)
        assert "metric.k: absent / 3" in str(error.value)
        assert "software" not in str(error.value) and "images" not in str(error.value)


def test_a_column_of_one_protocol():
    other = score(held=protocol(seed=5, torch="3"))
    kid = score(metric="kid", held=protocol("train"))
    assert column([score(), kid, other], "fid") == [score(), other]
    require_same_protocol([])
    with pytest.raises(ConfigError, match="no score of 'is'; there are: fid, kid"):
        column([score(), kid], "is")
    with pytest.raises(ConfigError, match="none at all"):
        column([], "is")


def test_blocks_and_what_keeps_them_apart():
    table = score_table([score(), score(held=protocol("train")), score(metric="kid")])
    assert [len(block.columns) for block in table.blocks] == [2, 1]
    assert table.differences() == [
        f"{table.blocks[1].title} is not comparable with {table.blocks[0].title}: "
        "reference.split train, not test"
    ]
    for text in (str(table), table.markdown()):
        assert "reference.split train, not test" in text
        assert text.count("100 fakes against the whole test split") == 1
        assert text.count("100 fakes against the whole train split") == 1
    assert score_table([]).blocks == () and str(score_table([])) == ""


def test_settings_tell_columns_of_one_metric_apart():
    held = [
        score(0.5, "precision", "higher", protocol(metric={"k": k, "of": 9}), notes=("n",))
        for k in (5, 3)
    ]
    block = score_table(held).blocks[0]
    assert block.head() == ["subject", "Precision (k 5) ↑", "Precision (k 3) ↑"]
    assert block.lines[-2:] == ["Precision: k 5, of 9", "Precision: k 3, of 9"]
    assert block.notes == ("run Precision: n",)
    one = score_table(held[:1]).blocks[0]
    assert one.head() == ["subject", "Precision ↑"]


def test_published_names_are_printed_where_they_are_true():
    paper = {
        "extractor": {
            **{"name": "inception", "weights": INCEPTION},
            **{"resizer": "legacy", "logits": "with bias"},
        },
        "fake": {"images": 100, "labels": "uniform"},
        "reference": {"images": 100, "split": "test", "part": "whole"},
        "generator": {"weights": "average", "batch_norm": "batch"},
    }
    table = score_table(
        [score(held=paper), score(0.5, "recall", held={**paper, "metric": {"k": 3}})]
    )
    assert re.fullmatch(r"protocol paper \[[0-9a-f]{8}\]", table.blocks[0].title)
    assert table.blocks[0].head() == ["subject", "FID ↓", "Recall (not as in paper) ↓"]
    assert "NeurIPS 2021" in str(table)
    assert "paper" not in str(score_table([score()]))


def test_a_title_says_in_few_words_what_the_protocol_is():
    whole = {**protocol()["reference"], "images": 12_345}
    best = {"checkpoint": "best"}
    for held, words in (
        (protocol(), "100 fakes, test split, domain"),
        (protocol(fake={"images": 12_345}, reference=whole), "12,345 fakes, test split, domain"),
        (protocol(reference={"split": "all", "part": "second half"}), "100 fakes, part of the all"),
        (protocol(selection=best), "100 fakes, test split, domain, best state ["),
        (protocol(selection={"checkpoint": "each"}), "domain, states during training ["),
        ({}, "protocol ["),
        ({"fake": 3, "extractor": None}, "protocol ["),
    ):
        title = score_table([score(held=held)]).blocks[0].title if held else None
        title = title or score_table([Score("fid", 1.0, "lower", held)]).blocks[0].title
        assert words in title and title.endswith(f" [{protocol_id(held)}]")


def test_best_is_marked_in_its_column_only():
    scores = [
        score(7.0, subject="a"),
        score(5.0, subject="b"),
        score(9.0, held=protocol("train"), subject="a"),
        score(1.0, held=protocol("train"), subject="b"),
        score(0.2, "recall", "higher", subject="a"),
        score(0.1, "recall", "higher", subject="b"),
        score(3.0, "n", "neither", subject="a"),
        score(4.0, "n", "neither", subject="b"),
    ]
    best = [
        (column.metric, sorted(row.subject for row in column.best))
        for block in score_table(scores).blocks
        for column in block.columns
    ]
    assert best == [("fid", ["b"]), ("recall", ["a"]), ("n", []), ("fid", ["b"])]
    markdown = score_table(scores).markdown()
    assert "| b | **5.000** | 0.1000 | 4.000 |" in markdown
    assert "5.000*" in str(score_table(scores)) and "* best of its column" in str(
        score_table(scores)
    )
    alike = score_table([score(7.0, subject="a"), score(7.0, subject="b")])
    assert "*" not in str(alike)


def test_rows_by_images_seen_and_seed_and_the_newest_of_one():
    scores = [
        score(3.0, images_seen=2000, time="2026-01-02"),
        score(4.0, images_seen=1000),
        score(2.0, images_seen=2000, time="2026-01-01"),  # older
        score(5.0, images_seen=1000, held=protocol(seed=7)),
        score(6.0, images_seen=1000, held=protocol(seed=7), time="x"),  # measured again
    ]
    block = score_table(scores).blocks[0]
    assert block.head()[:3] == ["subject", "images seen", "seed"]
    assert [[cell.text for cell in line] for line in block.body()] == [
        ["run", "1,000", "0", "4.000"],
        ["run", "1,000", "7", "6.000"],
        ["run", "2,000", "0", "3.000"],
    ]
    assert score_table(scores[:3]).blocks[0].head() == ["subject", "images seen", "FID ↓"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([45.5724, 7.792], ["45.572", "7.792"]),
        ([300.0, 2.3149], ["300.00", "2.31"]),
        ([0.911, 0.5], ["0.9110", "0.5000"]),
        ([0.001234567], ["0.001235"]),
        ([123456.7], ["123,457"]),
        ([0.0], ["0"]),
        ([-0.0012, 0.5], ["-0.00120", "0.50000"]),
        ([3e-12], ["3e-12"]),
        ([-0.0000712345, 0.5], ["-7.12e-05", "0.5000"]),
        ([0.0009876, 0.0], ["0.000988", "0"]),
        ([7], ["7"]),
    ],
)
def test_digits(values, texts):
    table = score_table([score(one, subject=str(place)) for place, one in enumerate(values)])
    assert [line[-1].text for line in table.blocks[0].body()] == texts


def test_intervals():
    table = score_table([score(10.0, low=9.5, high=10.5), score(0.5, "is", low=None, high=0.75)])
    texts = [cell.text for cell in table.blocks[0].body()[0]]
    assert texts == ["run", "10.00 [9.50, 10.50]", "0.5000 […, 0.7500]"]


def test_names_may_hold_anything():
    name = "a|b\n| c | `x` <i> **bold** _y_ \x1b[31m # é"
    table = score_table([score(subject=name, notes=("see | <b>\nhere",)), score(2.0, subject="z")])
    rows = [line for line in table.markdown().split("\n") if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {3}
    assert "<" not in table.markdown() and not re.search(r"(?<!\\)`", table.markdown())
    assert "\x1b" not in str(table) + table.markdown()
    assert "a|b | c" in str(table)


def test_text_is_aligned():
    table = score_table([score(100.0, subject="a"), score(7.5, subject="longer")])
    lines = str(table).split("\n")
    head = next(line for line in lines if line.startswith("subject"))
    body = [line for line in lines if line.startswith(("a ", "longer"))]
    assert head == "subject    FID ↓"
    assert body == ["a        100.00", "longer     7.50*"]


def test_many_scores_of_few_rows_lie_down():
    """A line a score: a table of twenty columns is one that nobody reads."""
    scores = [
        score(place + factor, f"metric_{place}", subject=name)
        for place in range(12)
        for name, factor in (("one", 0.5), ("two", 0.25))
    ]
    (block,) = score_table(scores).blocks
    assert block.head() == ["score", "one", "two"]
    assert [cell.text for cell in block.body()[3]] == ["metric_3 ↓", "3.500", "3.250"]
    assert [cell.best for cell in block.body()[3]] == [False, False, True]
    assert block.numbers == 2
    (upright,) = score_table(scores[:8]).blocks
    assert upright.head()[0] == "subject" and upright.numbers == 4
