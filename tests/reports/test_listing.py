from __future__ import annotations

import inspect
import re

import pytest
import torch

from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.scores import Score
from reacgan.metrics import METRICS
from reacgan.metrics.names import NAMES, title_of
from reacgan.reports.listing import listing


def score(metric="fid", value=1.0, better="lower", settings=None, details=None, **changes):
    protocol = {"fake": {"images": 5}, "metric": settings or {}}
    return Score(metric, value, better, protocol, details=details or {}, **changes)


def row(one, width=200):
    """What stands beside its name: the value, then each line of what it says."""
    first, *others = listing([one], width).split("\n\n")[1].split("\n")[1:]
    name = f"{title_of(one.metric, one.better)}  "
    assert first.startswith(name)
    value, _, says = first.removeprefix(name).strip().partition("  ")
    return [value, *(text.strip() for text in (says, *others) if text.strip())]


def test_each_score_has_its_name_and_what_it_says():
    lines = listing([score(low=0.5, high=2.0), score("kid"), score("mine", better="higher")]).split(
        "\n"
    )
    assert lines[2:7] == [
        "score    value  what it says",
        "FID ↓   1.0000  distance to the real images; 0 is best",
        "                interval 0.5000 to 2.0000",
        "KID ↓   1.0000  distance, fair for few images; about 0 is best",
        "mine ↑  1.0000",
    ]
    assert "↓ lower is better, ↑ higher is better" in lines[8]
    assert listing([]) == "no scores"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    long = {
        "classes": dict.fromkeys(("a" * 40, "b c " * 20, "d"), 0.123456),
        "worst": ["a" * 40, "b c " * 20],
    }
    scores = [
        score(name, details=long, warnings=("far " * 60,), notes=("near " * 60,), settings={"k": 5})
        for name in NAMES
    ]
    text = listing(scores, width)
    assert max(map(len, text.split("\n"))) <= width
    assert all(name.title in text and name.says[:9] in text for name in NAMES.values())


def test_every_score_has_a_name_and_its_meaning_fits_beside_it():
    """Keys as metrics give them; a name that no metric gives would be dead."""
    source = "".join(inspect.getsource(inspect.getmodule(metric)) for metric in METRICS.values())
    given = {*re.findall(r'"((?:gan|real|memori|dupl|fid|ifid|kid|is$|top|f_)\w*)"', source)}
    assert {"fid", "gan_test_top1", "top5", "duplicates", "f_8"} <= given & NAMES.keys()
    assert all(len(name.says) <= 46 and len(name.title) <= 22 for name in NAMES.values())


def test_what_a_value_is_compared_with():
    settings = {
        "held_out": {"images": 9},
        "training": 50000,
        "percentile": 1.0,
        "chance": 0.0099999,
    }
    assert row(score("top1", 0.4, settings={"classes": 8}))[-1] == "by chance 0.125"
    assert row(score("top5", 0.4, settings={"classes": 8}))[-1] == "by chance 0.625"
    (zero, *said) = row(score("memorised_share", 0.0, settings=settings))
    assert (zero, said[-1]) == ("0", "by chance 0.01")
    for metric, beside in (("top1", "0.8000"), ("top5", "1.0000")):
        settings = {"images": 9, "judge_held_out_top1": 0.8, "judge_held_out_top5": 1.0}
        assert row(score(metric, settings=settings))[-1] == f"real images {beside}"


def test_options_of_metrics_stand_below_and_counts_do_not():
    told = listing([score("precision", settings={"k": 3, "real": 10, "ball": "closed"}), score()])
    assert "  Precision: k 3\n" in f"{told}\n" and "closed" not in told


def test_worst_classes_have_their_values():
    held = {"classes": {"dog": 0.5, "frog": 0.004, "bird": 0.00912}, "worst": ["frog", "bird"]}
    assert row(score("class_recall", details=held))[-1] == "worst: frog (0.004), bird (0.00912)"
    many = {f"c{place}": float(place) for place in range(9)}
    told = row(score(details={"classes": many, "worst": list(many)}))[-1]
    assert told == "worst: c0 (0), c1 (1), c2 (2)"
    assert row(score(details={"worst": [["a", 3], "b"]}))[-1] == "worst: a, b"


def test_digits():
    for value, text in (
        (-0.0000712345, "-7.12e-05"), (0.00098765, "0.000988"), (0.0, "0"), (0.00123, "0.0012"),
        (3.14159, "3.1416"), (1234.567, "1,234.57"), (12345678.0, "1.23e+07"),
    ):  # fmt: skip
        assert row(score(value=value))[0] == text


def test_notes_protocol_and_control_characters():
    told = listing([score(subject="a\x1b[31m", notes=("few",)), score("kid", notes=("few", "x"))])
    assert "\x1b" not in told
    assert told.split("\n")[-5:] == [
        "Measured with:",
        "  5 fakes against the whole reference (an unknown number of images)",
        "",
        "note: few",
        "note: KID: x",
    ]


def test_what_is_kept_is_told_apart_and_found(reacgan, tmp_path, monkeypatch):
    """Features of two classifiers of one name; classifiers and weights where they are written."""
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    (tmp_path / "extractors").mkdir()
    (tmp_path / "extractors" / "one.safetensors").write_bytes(bytes(3_400_000))
    cache = FeatureCache()
    for weights in ("a" * 64, "b" * 64):
        extractor = {"name": "domain", "weights": weights}
        cache.get({"extractor": extractor, "result": "x"}, lambda: {"x": torch.zeros(3)})
    cache.get({"extractor": "none", "result": "y"}, lambda: {"x": torch.zeros(3)})
    code, out, _ = reacgan("cache")
    assert code == 0 and "domain aaaaaaaa" in out and "domain bbbbbbbb" in out
    (line,) = [line for line in out.split("\n") if line.startswith("extractors")]
    assert " 3.4 " in line and str(tmp_path / "extractors") in line and "judges" not in out


def test_evaluation_folders_have_pages_too(reacgan):
    assert "`reacgan evaluate` wrote" in " ".join(reacgan("report", "--help")[1].split())
