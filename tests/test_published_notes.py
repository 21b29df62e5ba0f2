"""Where an experiment is not what was published, it says so; which ones, the networks themselves tell."""

from __future__ import annotations

import json
import re

import pytest
import torch

from reacgan.assembly import complete
from reacgan.config import ConfigError, load_experiment, parse_assignments
from reacgan.experiments import EXPERIMENTS, experiment
from reacgan.experiments.notes import (
    OURS,
    asterisk,
    batch_norm_differs,
    differences_of,
    notes,
    shortcut_differs,
)
from reacgan.experiments.published import PUBLISHED, PublishedScore
from reacgan.models import build_discriminator
from toy import toy

NAMES = [score.experiment for score in PUBLISHED]
KEY = "model.backbone.preactivated_shortcut"


def relu_in_the_shortcut_changes(name: str) -> bool:
    """Whether D, small and with the same weights, says something else where its shortcuts see ReLU(x)."""
    scores = []
    for choice in (False, True):
        try:
            held = complete(toy(experiment(name).replace(**{KEY: choice}), 16))
        except ConfigError:
            return False  # such a D has no such shortcuts
        torch.manual_seed(0)
        judge = build_discriminator(held.model.backbone, held.model.head, held.data, 3).eval()
        images, labels = torch.randn(4, held.data.channels, 16, 16), torch.arange(4) % 3
        scores.append(judge(images, labels).score)
    return not torch.equal(*scores)


def test_who_stands_beside_another_discriminator_follows_from_the_networks():
    affected = [name for name in NAMES if relu_in_the_shortcut_changes(name)]
    by_shortcut = [name for name in NAMES if shortcut_differs(experiment(name))]
    by_norm = [name for name in NAMES if batch_norm_differs(experiment(name))]
    assert sorted(affected) == sorted(by_shortcut + by_norm)
    assert (len(NAMES), len(affected), len(by_shortcut)) == (55, 41, 38)
    assert by_norm == ["cifar10/wgan", "cifar10/wgan-gp", "cifar10/wgan-dragan"]
    for score in PUBLISHED:
        if score.experiment in affected:
            assert asterisk(score) == "*", score.experiment
            assert any("D" in text for text in differences_of(score))


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if notes(EXPERIMENTS[name])])
def test_a_note_ends_with_what_it_names(name):
    """Who sets what a note says is the published value is told no more of it."""
    held = experiment(name)
    for note in notes(held):
        assert not note.text.endswith(".") and "\n" not in note.text
        settings = re.findall(r"(?:model|penalties|loss)\.[\w.]+=[\w.]+", note.text)
        if not settings:
            continue
        as_published = held.replace(**parse_assignments(settings))
        complete(as_published)
        assert note not in notes(as_published), settings


def test_released_is_released_altogether():
    for group in ("cifar10", "cifar100"):
        held = experiment(f"{group}/reacgan-released")
        assert held.model.head.options["form"] == "released"
        assert held.model.backbone.options["preactivated_shortcut"] is True
        assert not any(note.differs for note in notes(held))
        assert asterisk(PublishedScore(held.name, 7.792)) == ""
        assert differences_of(PublishedScore(held.name, 7.792, note="collapsed")) == ("collapsed",)
    assert sum(name.endswith("-released") for name in EXPERIMENTS) == 2


def test_notes_are_of_published_settings_alone():
    ours = ("digits/", "glyphs/", "cifar10-small/")
    assert [name for name in EXPERIMENTS if name.startswith(ours) and notes(experiment(name))] == []
    for method in OURS:
        assert notes(experiment(f"cifar100/{method}"))[-1].text == OURS[method]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar100/wgan-gp", ("batch norm in D", "betas are 0 and 0.9")),
        ("cifar100/lgan", ("batch norm in D",)),
        ("cifar10/lgan", ("batch norm in D",)),
        ("cifar10/dcgan", ("plain ReLUs",)),
        ("cifar10/logan", ("uniformly", "not clipped", "ReLU(x)")),
        ("cifar10/biggan-logan", ("not clipped",)),
        ("cifar10/reacgan-lecam", ("equation (3)", "equation (6)", "ReLU(x)")),
        ("cifar10/reacgan-tac", ("equation (6)",)),
        ("tiny_imagenet/biggan-diffaug", ("200,000 steps, as in the log",)),
        ("tiny_imagenet/contragan-diffaug", ("200,000 steps, as in the log",)),
        ("cifar10/stylegan2", ("0.995", "every k-th step")),
        ("cifar10/stylegan2-d2dce-diffaug-rev", ("0.995", "equation (6)")),
    ],
)
def test_what_is_not_the_published_value_has_its_reason_beside_it(name, words):
    told = [note.text for note in notes(experiment(name))]
    for word in words:
        assert sum(word in text for text in told) == 1, word
    assert ("every k-th" in "".join(told)) == (name == "cifar10/stylegan2")


def test_lgan_has_the_published_betas_and_says_nothing_of_them():
    held = experiment("cifar10/lgan")
    assert (held.d_optimizer.beta1, held.d_optimizer.beta2) == (0.0, 0.9)
    assert not any("betas" in note.text for note in notes(held))


def test_the_list_and_the_sheet_show_the_asterisk(reacgan, tmp_path):
    code, out, err = reacgan("experiments", "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    for score in PUBLISHED:
        expected = f"; published FID {score.fid:g}{asterisk(score)} [{score.protocol}]"
        assert expected in lines[score.experiment]
    assert "published" not in lines["digits/reacgan"]
    assert code == 0 and "experiments show NAME" in err
    assert reacgan("experiments", "list", "digits/")[2] == ""
    code, text, _ = reacgan("experiments", "show", "cifar10/biggan", "--json")
    assert code == 0
    assert [note["differs"] for note in json.loads(text)["notes"]] == [True]
    (tmp_path / "shown.json").write_text(text)
    assert load_experiment(tmp_path / "shown.json") == complete(experiment("cifar10/biggan"))
    code, out, _ = reacgan("experiments", "show", "tiny_imagenet/biggan-diffaug")
    assert code == 0 and "  fid: 16.338*\n" in out
    marks = [line[:4] for line in out.partition("\nnotes:\n")[2].splitlines()]
    assert marks == ["  * ", "  - "]
    code, out, _ = reacgan("experiments", "show", "cifar10/biggan", "--set", f"{KEY}=true")
    assert code == 0 and "notes:" not in out
