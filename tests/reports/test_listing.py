from __future__ import annotations

import torch

from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.scores import Score
from reacgan.reports.listing import listing


def score(metric="fid", value=1.0, better="lower", settings=None, details=None, **changes):
    protocol = {"fake": {"images": 5}, "metric": settings or {}}
    return Score(metric, value, better, protocol, details=details or {}, **changes)


def row(one):
    """Its line, without the metric, in parts that two or more spaces keep apart."""
    line = listing([one]).split("\n")[3]
    return [part for part in line.split("  ") if part.strip()][1:]


def test_each_column_has_its_header():
    lines = listing([score(low=0.5, high=2.0, settings={"k": 5}), score("kid")]).split("\n")
    head, first, second = lines[2:5]
    assert head.split("  ")[-1] == "what with" and "interval" in head
    assert first.index("k 5") == head.index("what with")
    assert "0.5000 to 2.0000" in first and second.split() == ["kid", "↓", "1.0000"]
    assert listing([]) == "no scores"


def test_what_a_share_of_copies_means_without_reading_further():
    settings = {
        "held_out": {"images": 9}, "training": 50000, "fake": 10000, "calibration": "held-out",
        "percentile": 1.0, "chance": 0.009999000099990002,
    }  # fmt: skip
    told = row(score("memorised_share", 0.0, settings=settings))
    assert [part.strip() for part in told] == ["0", "chance 0.01, percentile 1, training 50000"]
    for metric, words in (
        ("top1", "classifier held out top1 0.8"),
        ("top5", "classifier held out top5 1"),
    ):
        settings = {"images": 9, "judge_held_out_top1": 0.8, "judge_held_out_top5": 1.0}
        assert row(score(metric, settings=settings))[-1].strip().startswith(f"{words}, images 9")


def test_worst_classes_have_their_values():
    held = {"classes": {"dog": 0.5, "frog": 0.004, "bird": 0.00912}, "worst": ["frog", "bird"]}
    assert row(score("class_recall", details=held))[-1].strip() == "worst: frog 0.004, bird 0.00912"
    many = {f"c{place}": float(place) for place in range(9)}
    told = row(score(details={"classes": many, "worst": list(many)}))[-1]
    assert told.strip() == "worst: c0 0, c1 1, c2 2, c3 3"
    without = row(score(details={"worst": [["a", 3], "b"]}))[-1]
    assert without.strip() == "worst: a, b"


def test_digits():
    for value, text in (
        (-0.0000712345, "-7.12e-05"), (0.00098765, "0.000988"), (0.0, "0"), (0.00123, "0.0012"),
        (3.14159, "3.1416"), (1234.567, "1,234.57"), (12345678.0, "1.23e+07"),
    ):  # fmt: skip
        assert row(score(value=value))[0].strip() == text


def test_notes_protocol_and_control_characters():
    told = listing([score(subject="a\x1b[31m", notes=("few",)), score("kid", notes=("few", "x"))])
    assert "\x1b" not in told
    assert told.split("\n")[-3:] == [
        "  5 fakes against the whole reference (an unknown number of images)",
        "note: few",
        "note: kid: x",
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
