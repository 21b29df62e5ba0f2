"""Sheets come early, and change nothing of the training."""

from __future__ import annotations

import pytest
from test_resume import assert_same_bits, state_of
from tiny import experiment, images

import reacgan
from reacgan.outlook import meaning_of, next_commands, share_of, stages
from reacgan.training import hooks
from reacgan.training.schedules import sheet_due


def moments(every, batch, total):
    clock = range(0, total + 1, batch)
    return [
        now for before, now in zip(clock, clock[1:], strict=False) if sheet_due(every, before, now)
    ]


def test_sheets_come_at_1_2_and_5_of_each_power_of_ten_until_the_usual_ones():
    assert moments(10_000, 500, 30_000) == [1_000, 2_000, 5_000, 10_000, 20_000, 30_000]
    assert moments(100_000, 1_000, 200_000) == [
        *(1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
    ]
    assert moments(64, 16, 200) == [64, 128, 192]
    assert moments(4_000, 3_000, 12_000) == [3_000, 6_000, 9_000, 12_000]  # the first after each
    assert moments(1_500, 100, 4_000) == [1_000, 1_500, 3_000]


def test_early_sheets_are_there_told_and_change_no_bit_also_of_a_resumed_run(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr("reacgan.training.schedules.FIRST_SHEET", 32)
    data = images()

    def train(name, total=160):
        settings = experiment("projection", **{"training.images": total})
        return reacgan.train(settings, tmp_path / name, device="cpu", data=data)

    def sheets(name):
        return sorted(path.name for path in (tmp_path / name / "samples").glob("0*.png"))

    train("whole")
    assert sheets("whole") == [f"{seen:012d}.png" for seen in (32, 64, 160)]
    err = capfd.readouterr().err
    for seen in (32, 64, 160):
        assert f"images sheet: {tmp_path / 'whole' / 'samples' / f'{seen:012d}.png'}" in err
    train("cut", 48)
    train("cut")
    assert sheets("cut") == [f"{seen:012d}.png" for seen in (32, 48, 64, 160)]
    monkeypatch.setattr(hooks, "sheet_due", lambda every, before, now: False)
    train("none")
    assert sheets("none") == [f"{160:012d}.png"]
    for name in ("cut", "none"):
        assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / name))


def test_a_run_that_ends_says_what_it_is_and_what_to_do(tmp_path, capfd):
    out = tmp_path / "my run"
    reacgan.train(experiment(), out, device="cpu", data=images())
    lines = capfd.readouterr().err.splitlines()
    assert "done: 160 images seen, all of the plan" in lines
    assert any(line.startswith("pictures    too early to judge") for line in lines)
    commands = [line.strip() for line in lines[lines.index("next:") + 1 :]]
    assert commands == list(next_commands(out, ("class 0", "class 1", "class 2"), planned=160))
    assert f"reacgan evaluate '{out}'" in commands
    assert (
        f"reacgan sample '{out}' --classes 'class 0,class 1' --num 16 --grid --out '{out}-pictures'"
        in (commands)
    )
    assert not any(line.startswith(("memory", "speed", "statistics")) for line in lines)
    assert any(line.startswith("precision: float32") for line in lines)  # it changes results


def test_names_with_a_comma_are_not_suggested(tmp_path):
    (sample, *_) = next_commands(tmp_path, ("a, b", " c", "d"), planned=10)
    assert "--classes d " in sample
    (sample, *_) = next_commands(tmp_path, ("a, b",), planned=10)
    assert "--classes" not in sample


@pytest.mark.parametrize("side", [8, 16, 31, 32, 64, 1024])
@pytest.mark.parametrize("count", [1, 30, 3_000, 10**6])
def test_stages_come_one_after_another(side, count):
    seen = [stage.images_seen for stage in stages(side, count, 10)]
    assert 0 < seen[0] < seen[1] < seen[2]
    said = [meaning_of(images_seen, side, count, 10) for images_seen in (0, *seen)]
    assert len(set(said)) == 4 and "too early" in said[0] and "as good as it gets" in said[3]


def test_a_plan_that_is_too_short_to_show_anything_is_said_to_be():
    said = meaning_of(1_280, 32, None, 10, planned=1_280)
    assert said == (
        "too early to judge: pictures are noise or blots until about 50,000 images, and this plan ends at "
        "1,280: it is too short for more"
    )
    assert "plan" not in meaning_of(1_280, 32, None, 10, planned=50_000)


def test_a_share_is_never_said_to_be_nothing():
    shares = [share_of(seen, 1_000_000) for seen in (0, 1, 499, 500, 99_999, 10**6)]
    assert shares == [
        f"{share} of the plan"
        for share in ("0.0%", "less than 0.1%", "less than 0.1%", "0.1%", "10.0%", "100%")
    ]


def test_a_run_that_is_not_at_its_end_goes_on_to_it(tmp_path, capfd):
    out = tmp_path / "run"
    settings = experiment("projection", **{"training.images": 10**6})
    assert reacgan.train(settings, out, device="cpu", data=images(), minutes=1e-3).signal is None
    lines = capfd.readouterr().err.splitlines()
    seen = int(next(out.glob("checkpoints/*")).name)
    said = f"the minutes are over: {seen:,} images seen, {share_of(seen, 10**6)}; the same command goes on"
    assert said in lines and "% of the plan" in said and "0% of" not in said
    assert lines[-1].endswith("# trains on, to the end of the plan") and "--images" not in lines[-1]
