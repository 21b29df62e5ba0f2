"""Turns and ratios, counted multiplications, the check against the committed ratios, the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.check import compare
from benchmarks.counting import Count
from benchmarks.harness import ROOT
from benchmarks.scaling import HEAD_BATCHES, HEAD_CLASSES, growth_of

from benchmarks import harness, page

# -- the harness


def test_a_ratio_is_the_median_of_the_turns_ratios():
    ours = [{"seconds": [1.0, 9.0, 1.2], "peak_beyond_imports_mib": 10.0}] * 3
    theirs = [{"seconds": [s], "peak_beyond_imports_mib": 40.0} for s in (2.4, 3.6, 120.0)]
    table = harness.summarise({"ours": ours, "theirs": theirs}, "theirs")
    assert table["ours"]["seconds"] == 1.2  # the median within a turn, then over turns
    assert table["ours"]["times_of_turns"] == [2.0, 3.0, 100.0]
    assert (table["ours"]["times"], table["theirs"]["times"]) == (3.0, 1.0)
    assert table["ours"]["memory"] == 0.25


def test_ways_take_turns():
    called = []

    def way(name):
        return lambda: called.append(name) or {"seconds": [1.0]}

    found = harness.alternate({"a": way("a"), "b": way("b")}, 3)
    assert called == ["a", "b"] * 3
    assert [len(turns) for turns in found.values()] == [3, 3]
    called.clear()
    found = harness.interleave(
        {"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 2
    )
    assert called == ["a", "b", "a", "b", "a", "b"]  # one of each to warm up
    assert [len(turns) for turns in found.values()] == [2, 2]


def test_a_child_is_a_process_whose_memory_is_its_own(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import json, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom benchmarks import harness\n"
        "spec = json.loads(sys.argv[2])\nif 'fail' in spec: sys.exit('it is broken')\n"
        "held = []\nstep = lambda: held.append(bytearray(spec['mib'] * 2**20))\n"
        "harness.answer(harness.measured_alone(lambda: step, 1, warm=1))\n"
    )
    ballast = bytearray(200 * 2**20)  # of the parent, which the child must not count
    found = harness.run_child(script, {"mib": 40})
    assert ballast
    assert 79 < found["peak_beyond_imports_mib"] < 90  # two calls
    assert found["peak_mib"] < 180
    assert len(found["seconds"]) == 1
    with pytest.raises(RuntimeError, match="it is broken"):
        harness.run_child(script, {"fail": 1})


def test_a_record_names_machine_threads_and_date(tmp_path):
    held = json.loads(harness.write("some", {"cases": 1}, tmp_path / "some.json").read_text())
    assert held["cases"] == 1
    assert {"processor", "cpu_threads", "date", "torch", "reacgan"} <= held["environment"].keys()
    assert harness.read("some", tmp_path) == held
    assert harness.read("other", tmp_path) == {}


# -- counting


def test_multiplications_of_convolutions_by_hand():
    """N x places x taps x inputs x outputs; the transposed one has its input's places."""
    n, inputs, outputs, side = 2, 3, 5, 8
    images = torch.randn(n, inputs, side, side, requires_grad=True)
    weight = torch.randn(outputs, inputs, 3, 3, requires_grad=True)
    by_hand = n * side**2 * 9 * inputs * outputs
    with Count() as count:
        out = F.conv2d(images, weight, padding=1)
    assert count.multiplications == by_hand
    with Count() as count:
        out.backward(torch.ones_like(out))  # once for the images, once for the weight
    assert count.multiplications == 2 * by_hand
    taps = torch.randn(inputs, outputs, 4, 4, requires_grad=True)
    by_hand = n * side**2 * 16 * inputs * outputs
    with Count() as count:
        out = F.conv_transpose2d(images, taps, stride=2, padding=1)
    assert out.shape[-1] == 2 * side
    assert count.multiplications == by_hand
    with Count() as count:
        torch.autograd.grad(out.sum(), [images])
    assert count.multiplications == by_hand
    with Count() as count:
        F.conv2d(images, taps.transpose(0, 1), stride=2, padding=1)
    assert count.multiplications == n * (side // 2) ** 2 * 16 * inputs * outputs


def test_bytes_are_inputs_and_outputs_once_and_views_are_free():
    left, right = torch.randn(6, 4), torch.randn(4, 5)
    with Count(multiplications_a_second=10, bytes_a_second=1e9) as count:
        out = left @ right
        out.view(5, 6).t()
        torch.empty(100)
    assert count.multiplications == 6 * 4 * 5
    assert count.bytes == 4 * (6 * 4 + 4 * 5 + 6 * 5)
    assert count.operations == 1
    assert count.least_seconds == pytest.approx(12)  # multiplications take longer than bytes
    with Count(1e9, 8) as count:
        torch.add(torch.ones(1).expand(1000), left[0, 0])  # an expanded one is read once
    assert count.bytes == pytest.approx(4 * (1 + 1 + 1000), abs=4)
    assert count.least_seconds == pytest.approx(count.bytes / 8)


def test_attention_on_a_cpu_is_counted():
    query, key, value = (torch.randn(2, 1, n, 8) for n in (16, 4, 4))
    with Count() as count:
        F.scaled_dot_product_attention(query, key, value)
    assert count.multiplications == 2 * 2 * 16 * 4 * 8


def test_growth_counts_numbers_for_each_sample_and_class():
    (few, many), (small, large) = HEAD_CLASSES, HEAD_BATCHES
    peaks = {
        (k, n): 7 + 50 * (k == many) + (0.5 * n + 3 * (2 * n * k * 4)) / 2**20
        for k in (few, many)
        for n in (small, large)
    }
    assert growth_of(peaks)["of_batch_times_classes"] == pytest.approx(3, rel=0.01)


# -- the check


def test_a_ratio_that_fell_is_told():
    rows = compare({"a": 2.0, "b": 2.0, "c": 2.0}, {"a": 1.72, "b": 1.68}, 0.15)
    assert [row[3] for row in rows] == ["ok", "slower", "not measured"]


@pytest.mark.parametrize(
    ("committed", "code", "said"),
    [
        (2.0, 0, "none of 1 compared ratios fell"),
        (3.0, 1, "1 of 1 fell by more than 15%"),
        (None, 1, "nothing"),
    ],
)
def test_the_check_fails_on_a_doctored_file(committed, code, said, tmp_path):
    for name, value in (("committed", committed), ("fresh", 2.0)):
        (tmp_path / name).mkdir()
        held = {"ratios": {} if value is None else {"width 32": value}}
        (tmp_path / name / "textbook.json").write_text(json.dumps(held))
    folders = ["--committed", tmp_path / "committed", "--fresh", tmp_path / "fresh"]
    command = [sys.executable, ROOT / "benchmarks" / "check.py", "--only", "textbook", *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert ("textbook: width 32" in done.stdout) == (committed is not None)


# -- the page


def test_the_page_is_what_the_results_say():
    text = page.PAGE.read_text("utf-8")
    assert text == page.page(text), "run python benchmarks/page.py"
    names = [found[2] for found in page.MARKED.finditer(text)]
    assert sorted(names) == sorted(page.TABLES)
    for picture in ("ratios", "rooms", "growth"):
        assert f"images/performance/{picture}.png" in text
        assert (page.PAGE.parent / "images" / "performance" / f"{picture}.png").exists()


def test_a_table_follows_its_file_and_says_when_there_is_none(tmp_path):
    text = "before\n<!-- table:textbook -->\nold\n<!-- end -->\nafter\n"
    assert page.page(text, tmp_path) == text.replace("old", "Not measured yet.")
    way = {"seconds": 2.0, "times": 3.14, "peak_beyond_imports_mib": 1000.0, "memory": 0.5}
    way |= {"seconds_of_turns": [2.0] * 5}
    case = {"batch": 64, "target": 2.5, "ways": {"ours": way}}
    record = {"cases": {"width 7, batch 64": case}}
    harness.write("textbook", record, tmp_path / "textbook.json")
    made = page.page(text, tmp_path)
    assert (
        "| width 7, batch 64 | ours | 2.000 | 32.0 | 3.14 x (aim 2.5) | 1,000 MiB (0.50 x) |"
        in made
    )
    assert "quick look" not in made
    way["seconds_of_turns"] = [2.0] * 4
    harness.write("textbook", record, tmp_path / "textbook.json")
    assert "Only 4 turn(s)" in page.page(text, tmp_path)
    assert page.page(made, tmp_path) == page.page(text, tmp_path)
