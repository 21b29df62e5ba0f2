"""``reacgan evaluate`` as a person uses it: runs, folders, statistics, and what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan import hub, sample
from reacgan.config import DataConfig
from reacgan.data import open_dataset
from reacgan.evaluation import read_scores
from reacgan.evaluation.reference import open_reference
from reacgan.evaluation.sources import GeneratorSource
from reacgan.evaluation.targets import find_targets
from reacgan.sampling import Langevin, SamplingSettings

QUICK = ["--set", "extractor.epochs=1", "extractor.width=8", "--device", "cpu"]


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REACGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def digits():
    config = DataConfig(name="digits", resolution=8, channels=1)
    return open_dataset(config, "train"), open_dataset(config, "test")


def write(data, folder, count, *, size=None, classes=True):
    for place in range(count):
        name = data.class_names[data.labels[place]] if classes else "."
        image = Image.fromarray(data.images[place, 0])
        (folder / name).mkdir(parents=True, exist_ok=True)
        image.resize(size or image.size).save(folder / name / f"{place:04}.png")
    return folder


@pytest.fixture(scope="module")
def folders(digits, tmp_path_factory):
    """Real digits as train/ and test/ folders, and a folder to score."""
    root = tmp_path_factory.mktemp("folders")
    train, held_out = digits
    write(train, root / "real" / "train", 400)
    write(held_out, root / "real" / "test", 200)
    write(held_out.subset(slice(200, 400)), root / "made", 200)
    return root


def test_a_run(reacgan, run_folder, tmp_path):
    code, out, err = reacgan(
        "evaluate", run_folder, "--extractor", "domain", "--out", tmp_path, *QUICK
    )
    assert code == 0, err
    scores = {score.metric: score for score in read_scores(tmp_path / "scores.jsonl")}
    assert {"fid", "kid", "is", "recall", "ifid", "top1", "memorised_share"} <= set(scores)
    assert scores["fid"].images_seen == 256
    protocol = scores["fid"].protocol
    rule = {"batch_norm": "auto", "auto": {"bound": 0.35, "images": 1024}}
    assert protocol["generator"] == {"weights": "average", **rule}
    assert any(
        "made with its own statistics of batch norm (the averages" in note
        for note in scores["fid"].notes
    )
    assert protocol["fake"] == {"images": 596, "labels": "reference", "seed": 0}
    assert protocol["reference"]["split"] == "test"
    assert protocol["selection"] == {"checkpoint": "as it is"}
    assert "FID ↓" in out and "596 fakes against the whole test split" in out
    assert "features of the reference: 596 images" in err
    assert (tmp_path / "scores").is_dir() and list((tmp_path / "scores").glob("pairs-*.png"))


def test_a_folder_against_a_folder(reacgan, folders, digits, tmp_path):
    """What is measured from files is what is measured from arrays."""
    import reacgan as package
    from reacgan.extractors import build_extractor

    code, _, err = reacgan(
        "evaluate", folders / "made", "--reference", folders / "real", "--extractor", "domain",
        "--metrics", "fid,prdc,accuracy", "--out", tmp_path, "--device", "cpu",
        "--set", "extractor.epochs=12", "extractor.width=8",
    )  # fmt: skip
    assert code == 0, err
    config = DataConfig(path=str(folders / "real"), resolution=8, channels=1)
    train, held_out = open_dataset(config, "train"), open_dataset(config, "test")
    network = build_extractor("domain", {"epochs": 12, "width": 8}, train=train, held_out=held_out)
    result = package.evaluate(
        digits[1].subset(slice(200, 400)), held_out, metrics="fid,prdc", extractor=network
    )
    found = {score.metric: score.value for score in read_scores(tmp_path / "scores.jsonl")}
    assert found["fid"] == pytest.approx(result["fid"], rel=1e-9)
    assert found["recall"] == result["recall"]
    assert found["top1"] > 0.6


def test_every_state_and_its_table(reacgan, run_folder, tmp_path):
    code, _, err = reacgan(
        "evaluate", run_folder, "--checkpoint", "all", "--metrics", "prdc", "--num", "50",
        "--extractor", "domain", "--set", "prdc.k=3", "extractor.epochs=1", "extractor.width=8",
        "--out", tmp_path, "--quiet",
    )  # fmt: skip
    assert (code, err) == (0, "")
    scores = read_scores(tmp_path / "scores.jsonl")
    assert [score.protocol["metric"]["k"] for score in scores] == [3] * 4
    assert scores[0].protocol["selection"] == {"checkpoint": "as it is"}


def test_some_images_of_a_folder_are_of_all_classes(reacgan, folders, tmp_path):
    code, _, err = reacgan(
        "evaluate", folders / "made", "--reference", folders / "real", "--extractor", "domain",
        "--metrics", "fid", "--num", "60", "--out", tmp_path, *QUICK,
    )  # fmt: skip
    assert code == 0, err
    (score,) = read_scores(tmp_path / "scores.jsonl")
    assert score.protocol["fake"]["images"] == 60
    assert not any("no image of" in note for note in score.notes)


def test_a_named_protocol_with_named_metrics(reacgan, run_folder, tmp_path):
    """Its name is refused or taken for its facts; here weights are missing, but not the metric."""
    code, _, err = reacgan("evaluate", run_folder, "--protocol", "paper", "--metrics", "fid,kid",
                           "--extractor", "domain", "--out", tmp_path)  # fmt: skip
    assert code == 1 and "'paper' has inception" in err
    from reacgan.evaluation.scoring import Request

    request = Request(protocol="paper", metrics="fid,prdc")
    assert request.all_metrics() == {"fid": {}, "prdc": {"k": 5}}


def test_two_folders_of_one_name(reacgan, folders, digits, tmp_path, monkeypatch):
    for parent in ("x", "y"):
        write(digits[1], tmp_path / parent / "samples", 40)
    monkeypatch.chdir(tmp_path)
    for parent in ("x", "y"):
        code, _, err = reacgan(
            "evaluate", f"{parent}/samples", "--reference", folders / "real", "--extractor", "domain",
            "--metrics", "fid", *QUICK,
        )  # fmt: skip
        assert code == 0, err
    subjects = [
        score.subject
        for folder in sorted((tmp_path / "evaluations").iterdir())
        for score in read_scores(folder / "scores.jsonl")
    ]
    assert subjects == ["x/samples", "y/samples"]


def test_what_cannot_be_written_is_said_first(reacgan, run_folder, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = reacgan("evaluate", run_folder, "--out", tmp_path / "file" / "below")
    assert code == 1 and "cannot be written to; choose another --out" in err


def test_images_of_many_sizes(reacgan, digits, folders, tmp_path):
    mixed = write(digits[1], tmp_path / "mixed", 30)
    write(digits[0], mixed, 5, size=(12, 10))
    common = ["--reference", folders / "real", "--extractor", "domain", "--metrics", "fid"]
    code, _, err = reacgan("evaluate", mixed, *common, *QUICK, "--out", tmp_path / "out")
    assert code == 1
    assert "images of 2 sizes (8 x 8, 12 x 10); give --resolution" in err
    code, _, err = reacgan(
        "evaluate", mixed, *common, *QUICK, "--out", tmp_path / "out", "--resolution", "8"
    )
    assert code == 0, err


def test_a_run_learned_from_its_own_images(reacgan, run_folder, folders, tmp_path):
    """Another reference does not change what the generator may have copied."""
    code, _, err = reacgan(
        "evaluate", run_folder, "--reference", folders / "real", "--extractor", "domain",
        "--metrics", "memorisation,accuracy", "--out", tmp_path, *QUICK,
    )  # fmt: skip
    assert code == 0, err
    metric = {one.metric: one.protocol["metric"] for one in read_scores(tmp_path / "scores.jsonl")}
    assert metric["memorised_share"]["training"] == 1201  # not the 400 beside the reference
    assert (
        metric["top1"]["judge"]["held_out"]["images"] == 200
    )  # which knows the reference's classes


def test_real_images_for_scale(reacgan, run_folder, tmp_path):
    code, out, err = reacgan(
        "evaluate", run_folder, "--extractor", "domain", "--metrics", "fid,prdc", "--real",
        "--out", tmp_path, *QUICK,
    )  # fmt: skip
    assert code == 0, err
    fid = {
        one.subject: one.value
        for one in read_scores(tmp_path / "scores.jsonl")
        if one.metric == "fid"
    }
    assert fid["real images (training)"] < 0.1 * fid["run"]
    assert "real images (training)" in out


def test_seeds_share_no_image(reacgan, run_folder, tmp_path):
    for seed in ("0", "1"):
        code, _, err = reacgan(
            "evaluate", run_folder, "--extractor", "domain", "--metrics", "fid", "--seed", seed,
            "--num", "50", "--out", tmp_path, *QUICK,
        )  # fmt: skip
        assert code == 0, err
    model = hub.load(run_folder, device="cpu")
    labels = torch.arange(40) % 10
    made = [
        GeneratorSource(model, labels, SamplingSettings(seed=seed)).part(0, 40)[0]
        for seed in (0, 1)
    ]
    shared = {image.tobytes() for image in made[0].numpy()} & {
        image.tobytes() for image in made[1].numpy()
    }
    assert not shared
    (again,) = sample(model, "4", num=1, seed=10_000_004)  # image 4 of seed 1 is of class 4
    assert torch.equal(again.image, made[1][4])
    one, other = read_scores(tmp_path / "scores.jsonl")
    assert (one.protocol["fake"]["seed"], other.protocol["fake"]["seed"]) == (0, 1)
    assert one.value != other.value


def test_langevin_images_are_scored_as_sample_makes_them(reacgan, run_folder, tmp_path):
    quick = ["--extractor", "domain", "--metrics", "fid", "--num", "20", "--out", tmp_path, *QUICK]
    chain = ["--langevin", 2, "--langevin-rate", 0.5, "--langevin-noise", 0.1]
    for options in ([], chain):
        code, out, err = reacgan("evaluate", run_folder, *options, *quick)
        assert code == 0, err
    assert "2 steps of Langevin dynamics (rate 0.5, noise 0.1, decay 1)" in out
    plain, moved = read_scores(tmp_path / "scores.jsonl")
    assert "langevin" not in plain.protocol["generator"]
    facts = {"steps": 2, "rate": 0.5, "noise": 0.1, "decay": 1.0}
    assert moved.protocol["generator"]["langevin"] == facts
    assert plain.value != moved.value
    (target,) = find_targets(run_folder, device="cpu", find_states=hub.find_states)
    settings = SamplingSettings(
        labels="balanced", statistics="moving", langevin=Langevin(steps=2, rate=0.5, noise=0.1)
    )
    source, _ = target.resolved(settings, 20, open_reference(target.config))
    code, _, err = reacgan(
        "sample", run_folder, "--classes", "4", "--seed", "14", "--num", "1", *chain,
        "--statistics", "moving", "--device", "cpu", "--out", tmp_path / "images",
    )  # fmt: skip
    assert code == 0, err
    image = np.asarray(Image.open(tmp_path / "images" / "4" / "14.png"))
    assert np.array_equal(source.part(14, 15)[0][0, 0].numpy(), image)
    code, _, err = reacgan("evaluate", run_folder, "--checkpoint", "256", *chain, *quick)
    assert code == 1 and "no discriminator is known" in err


def test_a_reference_that_was_learned_by_heart_is_noted(reacgan, folders, tmp_path):
    code, _, err = reacgan(
        "evaluate", folders / "made", "--reference", folders / "real", "--split", "train",
        "--extractor", "domain", "--metrics", "fid", "--out", tmp_path, *QUICK,
    )  # fmt: skip
    assert code == 0, err
    (score,) = read_scores(tmp_path / "scores.jsonl")
    assert any("was trained on 100% of the reference" in note for note in score.notes)


def test_a_tenth_that_the_classifier_kept_apart_is_not_counted(reacgan, folders, digits, tmp_path):
    write(digits[0], tmp_path / "all", 300)
    code, _, err = reacgan(
        "evaluate", folders / "made", "--reference", tmp_path / "all",
        "--extractor", "domain", "--metrics", "fid", "--out", tmp_path, *QUICK,
    )  # fmt: skip
    assert code == 0, err
    (score,) = read_scores(tmp_path / "scores.jsonl")
    assert any(re.search("was trained on 9[01]% of the reference", note) for note in score.notes)


def test_what_is_refused(reacgan, run_folder, folders, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    made = folders / "made"
    cases = [
        ([tmp_path / "nowhere", "--reference", made], "no such folder"),
        ([empty, "--reference", made], "no class folders; found nothing"),
        ([made], "images need a reference: --reference"),
        ([made, "--reference", made, "--checkpoint", "best"], "which only a run has"),
        ([run_folder, "--checkpoint", "best"], "has no best/ state; train with --set scores.every"),
        ([run_folder, "--checkpoint", "newest"], "allowed: last, best, all, or the images seen"),
        ([run_folder, "--checkpoint", "77"], "keeps no state at 77 images; it keeps: 256"),
        ([run_folder, "--num", "0"], "num is 0; allowed: 1 "),
        ([made, "--reference", made, "--num", "900"], "made holds 200 images"),
        ([run_folder, "--metrics", "fdi"], "did you mean 'fid'?"),
        ([run_folder, "--set", "fid.k=3"], "metrics.fid.k: unknown option"),
        ([run_folder, "--set", "cas.k=3"], "cas is not among the metrics"),
        ([run_folder, "--extractor", "incepton"], "did you mean 'inception'?"),
        ([run_folder, "--resolution", "8x"], "needed: a side or height and width, 64 or 64x96"),
        ([run_folder, "--protocol", "paper", "--split", "train"], "'paper' has test"),
        (
            [made, "--reference", made, "--extractor", "domain", "--metrics", "cas", *QUICK[:3]],
            "no held-out",
        ),
    ]
    for arguments, words in cases:
        code, _, err = reacgan("evaluate", *arguments, "--device", "cpu", "--out", tmp_path / "out")
        assert code == 1, arguments
        assert words in err, (arguments, err)
    assert not (tmp_path / "out").exists()


def test_weights_that_cannot_be_had(reacgan, run_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    words = ["--metrics", "fid", "--out", tmp_path / "out", "--extractor", "inception"]
    code, out, err = reacgan("evaluate", run_folder, *words)
    assert (code, out) == (1, "")
    command, reason = err.splitlines()[-2:]
    wanted = tmp_path / "downloads" / "pt_inception-2015-12-05-6726825d.pth"
    assert command.startswith(f"reacgan: curl -fL --create-dirs -o {wanted} https://github.com/")
    assert "96 MB" in reason and "--extractor domain" in reason


def test_statistics_as_reference(reacgan, folders, digits, tmp_path):
    np.savez(tmp_path / "real.npz", mu=np.zeros(3), sigma=np.eye(3))
    code, _, err = reacgan(
        "evaluate", folders / "made", "--reference", tmp_path / "real.npz", "--extractor", "domain",
        "--training", folders / "real", *QUICK, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 1
    assert "statistics are of 3 features" in err
