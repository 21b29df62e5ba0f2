"""Running suites: what is complete stays, what failed or was interrupted is taken up again."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_works import Busy, Counted, suite_of

from reacgan.config import ConfigError, parse_assignments
from reacgan.suites import SUITES, Context, runner, suite
from reacgan.suites.base import SCALES, Trial
from reacgan.suites.launch import as_text, commands, submit
from reacgan.suites.report import write_suite_report
from reacgan.suites.results import FILE, folder_of, read_result, results_of
from reacgan.suites.runner import digest_of_settings, jobs_of, run_suite
from reacgan.suites.work import StoppedError

ONE = "mixture-line/projection"
MIXTURE = ["experiments", "run", "mixtures", "--only", ONE, "--device", "cpu"]
RUN = "toy/glyphs-10/reacgan"
LONG = ["--only", RUN, "--device", "cpu", "--set", "training.images=3200"]
CPU = Context(device="cpu")


def quiet(text):
    pass


def bits(folder):
    """Each file's bytes and when it was written."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# -- what was run


def test_complete_trials_are_not_run_again(tmp_path):
    only = [RUN]
    said = []
    held = SUITES["class-count"]
    assert run_suite(held, tmp_path, "toy", only=only, context=CPU, say=said.append) == []
    before = bits(tmp_path)
    assert len(before) > 5
    run_suite(held, tmp_path, "toy", only=only, context=CPU, say=said.append)
    assert bits(tmp_path) == before
    assert "done" in said[0]
    assert said[1].endswith("complete")


def test_a_failure_is_told_the_others_go_on_and_the_next_call_mends_it(tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    bad, good = Counted(broken=broken), Counted()
    held = suite_of(Trial("bad", "Bad", bad), Trial("good", "Good", good))
    failed = run_suite(held, tmp_path, "toy", say=quiet)
    assert failed == ["bad, seed 0: the disk is full"]
    assert len(bad.calls) == 2, "one retry"
    assert len(good.calls) == 1
    left = read_result(folder_of(tmp_path, "toy", held.trials("toy")[0], 0))
    assert left["status"] == "failed"
    assert left["error"] == "RuntimeError: the disk is full"
    assert "small_works.py" in left["trace"]
    report = write_suite_report(held, tmp_path, "toy").read_text()
    assert "bad, seed 0, failed: RuntimeError: the disk is full" in report
    broken.unlink()
    assert run_suite(held, tmp_path, "toy", say=quiet) == []
    assert (len(bad.calls), len(good.calls)) == (3, 1)
    assert all(one.complete for one in results_of(held, tmp_path, "toy"))
    assert "failed" not in write_suite_report(held, tmp_path, "toy").read_text()


def test_what_is_not_finite_fails_its_trial_alone(tmp_path):
    wild, good = Counted({"fid": math.inf}), Counted()
    held = suite_of(Trial("wild", "Wild", wild), Trial("good", "Good", good))
    failed = run_suite(held, tmp_path, "toy", retries=0, say=quiet)
    assert failed == ["wild, seed 0: fid is inf, not a finite score"]
    assert good.calls


def test_moments_of_a_curve_that_are_not_finite_are_left_out(tmp_path):
    work = Counted(series={"watch/variety": [[10, 1.0], [20, math.nan], [30, 2.0]]})
    held = suite_of(Trial("a", "A", work))
    assert run_suite(held, tmp_path, "toy", say=quiet) == []
    (found,) = results_of(held, tmp_path, "toy")
    assert found.series("watch/variety") == [(10.0, 1.0), (30.0, 2.0)]
    assert json.loads((folder_of(tmp_path, "toy", found.trial, 0) / FILE).read_text())["notes"] == [
        "watch/variety was not finite at 1 of 3 moments"
    ]


def test_each_seed_of_all_rows_comes_before_the_next(tmp_path):
    held = suite_of(Trial("a", "A", Counted()), Trial("b", "B", Counted()))
    jobs = jobs_of(held, tmp_path, "toy", seeds=(3, 4))
    assert [(job.trial.name, job.seed) for job in jobs] == [("a", 3), ("b", 3), ("a", 4), ("b", 4)]


def test_other_settings_are_refused_by_the_key_that_differs(tmp_path):
    run_suite(suite_of(Trial("a", "A", Counted())), tmp_path, "toy", say=quiet)
    other = Counted(told={"model": {"width": 8, "depth": 2}})
    with pytest.raises(ConfigError, match=r"\(model\.width: 4 there, 8 now\).*--out"):
        run_suite(suite_of(Trial("a", "A", other)), tmp_path, "toy", say=quiet)
    with pytest.raises(ConfigError, match=r"changes\.training\.batch: None there, 8 now"):
        run_suite(
            suite_of(Trial("a", "A", Counted())),
            tmp_path,
            "toy",
            context=Context(changes={"training.batch": 8}),
            say=quiet,
        )
    assert other.calls == []


# -- an interrupted process


def weights(out):
    latest = sorted((out / "toy/toy-glyphs-10-reacgan/seed-0/checkpoints").iterdir())[-1]
    return latest.name, {
        f"{path.name}/{name}": tensor
        for path in latest.glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def test_interrupted_and_taken_up_again_gives_the_same_bits(tmp_path, reacgan):
    arguments = ["experiments", "run", "class-count", *LONG, "--out"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert reacgan(*arguments, whole)[0] == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "reacgan", *arguments, str(cut)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    journal = cut / "toy/toy-glyphs-10-reacgan/seed-0/journal.jsonl"
    until = time.monotonic() + 100
    while not (journal.is_file() and journal.read_text().count("\n") >= 2):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command resumes" in said
    seen = int(weights(cut)[0])
    assert 0 < seen < 3200, "it ended before the signal; lengthen it"
    assert not (journal.parent / FILE).exists()
    code, out, _ = reacgan(*arguments, cut)
    assert code == 0
    assert "report: " in out
    (place, one), (same, other) = weights(whole), weights(cut)
    assert place == same == "000000003200"
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    values = [
        read_result(out / "toy/toy-glyphs-10-reacgan/seed-0")["values"] for out in (whole, cut)
    ]
    assert values[0] == values[1]


def test_a_signal_is_no_failure(tmp_path):
    class Stopped(Counted):
        def run(self, folder, seed, context):
            raise StoppedError(folder, 10, type("R", (), {"signal": 15, "stopped_by": None})())

    held = suite_of(Trial("a", "A", Stopped()))
    with pytest.raises(StoppedError, match="stopped at 10 images by signal 15"):
        run_suite(held, tmp_path, "toy", say=quiet)
    assert results_of(held, tmp_path, "toy") == []


# -- the command


def test_names_and_numbers():
    assert suite("1").name == suite("collapse").name == "collapse"
    with pytest.raises(ConfigError, match=r"no experiment has the number 20; there are: 1, 2,"):
        suite("20")
    with pytest.raises(ConfigError, match="collapse"):
        suite("colapse")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--only", "mixture-line/none"],
            "mixtures has no trial or row 'mixture-line/none' at scale",
        ),
        (["--seeds", "0"], "--seeds is 0 and --first-seed 0; allowed: 1 or more"),
        (["--first-seed", "-1"], "--first-seed -1"),
        (["--data", "cifar10"], "--data 'cifar10': needed: NAME=PATH with a name of"),
        (["--data", "nowhere=/x"], "--data 'nowhere=/x': needed: NAME=PATH"),
        (["--set", "training.batch"], "--set 'training.batch': needed: key=value"),
        (["--scale", "large"], "large"),
    ],
)
def test_wrong_options_are_named(arguments, told, tmp_path, reacgan):
    code, out, err = reacgan("experiments", "run", "mixtures", "--out", tmp_path, *arguments)
    assert code == (2 if "--scale" in arguments else 1)
    assert told in " ".join((out + err).split())
    assert list(tmp_path.iterdir()) == []


def test_a_scale_without_trials_says_why(tmp_path, reacgan):
    code, _, err = reacgan("experiments", "run", "main-cub200", "--scale", "cpu", "--out", tmp_path)
    assert code == 1
    assert "has no trial at scale cpu. No size of this data set" in " ".join(err.split())


def test_nothing_to_report(tmp_path, reacgan):
    code, _, err = reacgan("experiments", "report", "collapse", "--out", tmp_path)
    assert code == 1
    assert "`reacgan experiments run collapse --scale toy" in " ".join(err.split())


def test_seeds_dry_run_and_no_resume(tmp_path, reacgan):
    command = [*MIXTURE, "--out", tmp_path, "--seeds", "2", "--first-seed", "3"]
    code, out, _ = reacgan(*command, "--dry-run")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == [
        f"{ONE}, seed 3",
        f"{ONE}, seed 4",
    ]
    assert out.count("to run") == 2
    assert list(tmp_path.iterdir()) == []
    assert reacgan(*command)[0] == 0
    there = sorted(path.name for path in (tmp_path / "toy/mixture-line-projection").iterdir())
    assert there == ["seed-3", "seed-4"]
    assert reacgan(*command, "--dry-run")[1].count("complete") == 2
    code, _, err = reacgan(*command, "--no-resume")
    assert code == 1
    assert "leave --no-resume out to resume" in " ".join(err.split())
    report = (tmp_path / "toy/reports/mixtures/report.md").read_text()
    assert "--seeds=2 --first-seed=3" in report
    assert "trials: 1 of 27 x seeds 3, 4" in report
    assert "seed=3" in report, "the command of the first seed"


def test_rows_are_names_too_and_a_failure_is_the_exit_code(tmp_path, reacgan):
    code, out, _ = reacgan(
        "experiments", "run", "class-count", "--only", "ReACGAN", "--device", "cpu",
        "--set", "g_optimizer.lr=1e20", "--out", tmp_path,
    )  # fmt: skip
    assert code == 1
    assert out.count("\nfailed: toy/glyphs-") == 2
    assert "acgan-" not in "".join(path.name for path in (tmp_path / "toy").iterdir())


def test_data_are_no_setting(tmp_path):
    """A result stays where the images are moved."""
    trial = SUITES["main-cifar10"].trials("cpu")[0]
    here, there, nowhere = (
        trial.work.settings(0, Context(data=data))
        for data in ({"cifar10": "/a"}, {"cifar10": "/b"}, {})
    )
    assert here == there == nowhere
    assert trial.work.resolved(0, Context(data={"cifar10": "/a"})).data.path == "/a"
    held = SUITES["metrics"].trials("cpu")[0]
    assert held.work.settings(0, Context(data={"cifar10": "/a"})) == held.work.settings(
        0, Context()
    )


# -- launchers


def test_printed_commands_run(tmp_path, reacgan):
    code, out, _ = reacgan(*MIXTURE, "--out", tmp_path, "--launcher", "print", "--seeds", "2")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 2
    name, *words = shlex.split(lines[1])
    assert name == "reacgan"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", name, *words], check=True, env=environment)
    held = SUITES["mixtures"]
    assert [one.seed for one in results_of(held, tmp_path, "toy") if one.complete] == [1]
    code, out, _ = reacgan(*MIXTURE, "--out", tmp_path, "--launcher", "print", "--seeds", "2")
    assert len(out.splitlines()) == 1, "what is complete is not printed again"


def test_printed_commands_keep_all_that_was_asked_for(tmp_path, reacgan):
    place = tmp_path / "with space"
    place.mkdir()
    context = Context(
        device="cpu",
        data={"cifar10": str(place)},
        changes={"data.flip": True, "ema.ramp": None, "g_optimizer.lr": 1e-3},
        by_domain=True,
    )  # fmt: skip
    held = SUITES["main-cifar10"]
    asked = commands(held, tmp_path, "full", seeds=(5,), only=("ReACGAN",), context=context)
    (line,) = as_text(asked).splitlines()
    code, out, err = reacgan(*shlex.split(line)[1:], "--launcher", "print")
    assert code == 0, err
    assert out.splitlines() == [line]
    words = shlex.split(line)
    assert f"--data=cifar10={place}" in words
    changes = [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    assert parse_assignments(changes) == context.changes


@pytest.mark.slow
def test_a_job_of_submitit_really_runs(tmp_path, reacgan):
    pytest.importorskip("submitit", reason="jobs of clusters go through submitit")
    held = SUITES["mixtures"]
    asked = commands(held, tmp_path, "toy", seeds=(0,), only=(ONE,), context=CPU)
    (job,) = submit(asked, tmp_path / "jobs", cluster="local", parameters={"timeout_min": 2})
    assert "report: " in job.result()
    code, out, _ = reacgan("experiments", "report", "mixtures", "--out", tmp_path)
    assert code == 0
    assert METHOD_ROW in Path(out.strip()).read_text()


METHOD_ROW = next(one.row for one in SUITES["mixtures"].trials("toy") if one.name == ONE)


def test_a_wrong_setting_of_submitit_is_named(tmp_path):
    pytest.importorskip("submitit", reason="jobs of clusters go through submitit")
    with pytest.raises(ConfigError, match="does not take these settings.*minutes"):
        submit([], tmp_path, cluster="local", parameters={"minutes": 2})


def test_without_submitit_the_other_launcher_is_named(tmp_path, reacgan, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    code, _, err = reacgan(*MIXTURE, "--out", tmp_path, "--launcher", "slurm")
    assert code == 1
    told = " ".join(err.split())
    assert "pip install 'reacgan[cluster]'" in told
    assert "--launcher print" in told


# -- trials that suites share


def test_equal_names_stand_for_equal_settings():
    for scale in SCALES:
        found: dict[str, tuple[str, str]] = {}
        for held in SUITES.values():
            trials = held.trials(scale)
            assert len({trial.name for trial in trials}) == len(trials), held.name
            for trial in trials:
                place = folder_of(Path("out"), scale, trial, 0).as_posix()
                digest = digest_of_settings(trial.work.settings(0, Context()))
                name, before = found.setdefault(place, (held.name, digest))
                assert digest == before, f"{trial.name} of {held.name} and of {name} differ"


def test_seeds_differ_in_settings():
    for held in SUITES.values():
        trial = held.trials("toy")[0]
        first, second = (trial.work.settings(seed, Context()) for seed in (0, 1))
        assert first != second, held.name


def test_suites_share_a_trial(tmp_path):
    trials = {one.name for one in SUITES["collapse"].trials("toy")}
    shared = trials & {one.name for one in SUITES["ablation"].trials("toy")}
    assert "toy/glyphs-100/acgan" in shared
    only = ["toy/glyphs-100/acgan"]
    said = []
    run_suite(SUITES["collapse"], tmp_path, "toy", only=only, context=CPU, say=said.append)
    run_suite(SUITES["ablation"], tmp_path, "toy", only=only, context=CPU, say=said.append)
    assert said[1].endswith("complete")
    (one,) = results_of(SUITES["ablation"], tmp_path, "toy")
    assert one.complete


def test_a_failed_attempt_binds_nobody_to_its_settings(tmp_path):
    broken = tmp_path / "full"
    broken.touch()
    held = suite_of(Trial("a", "a", Counted(broken=broken)))
    wrong = Context(changes={"ema.ramp": 1})
    assert len(run_suite(held, tmp_path, "toy", context=wrong, say=lambda line: None)) == 1
    broken.unlink()
    assert run_suite(held, tmp_path, "toy", say=lambda line: None) == []
    with pytest.raises(ConfigError, match=r"other settings \(changes"):
        run_suite(held, tmp_path, "toy", context=wrong, say=lambda line: None)


def test_a_trial_that_another_process_is_at_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_POLL_SECONDS", 0.01)
    held = suite_of(Trial("a", "a", Busy()))
    told = []
    assert run_suite(held, tmp_path, "toy", say=told.append) == []
    assert [line.split(": ")[1].split(" (")[0] for line in told] == [
        "waiting for another process that runs it",
        "done",
    ]


def test_seeds_of_other_settings_are_no_seeds_of_one_trial(tmp_path):
    held = suite_of(Trial("a", "a", Counted()))
    run_suite(held, tmp_path, "toy", seeds=(0,), say=lambda line: None)
    other = Context(changes={"ema.ramp": 1})
    run_suite(held, tmp_path, "toy", seeds=(1,), context=other, say=lambda line: None)
    with pytest.raises(ConfigError, match=r"seeds 0 and 1 were run with different settings"):
        write_suite_report(held, tmp_path, "toy")
    write_suite_report(held, tmp_path, "toy", seeds=(1,))


def test_a_number_that_is_none_anywhere_costs_its_own_trial_alone(tmp_path):
    odd = Counted(values={"fid": 1.0}, told={"width": float("inf")})
    held = suite_of(Trial("odd", "odd", odd), Trial("even", "even", Counted()))
    failed = run_suite(held, tmp_path, "toy", say=lambda line: None)
    assert len(failed) == 1 and failed[0].startswith("odd, seed 0")
    assert [one.complete for one in results_of(held, tmp_path, "toy")] == [False, True]
