"""Files of weights that are cut off or rewritten while what was loaded from them is in use."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import os, shutil, sys
from pathlib import Path

import torch
import reacgan
from reacgan import hub, open_dataset
from reacgan.config import DataConfig
from reacgan.extractors import build_extractor
from reacgan.extractors.classifier import train_classifier
from reacgan.extractors.classifier_file import save_classifier

torch.set_num_threads(1)
run, folder = Path(sys.argv[1]), Path(sys.argv[2])
digits = open_dataset(DataConfig(name="digits", resolution=8, channels=1), "test")
images = torch.tensor(digits.images[:16])
classifier = train_classifier(digits, epochs=0.02, width=8)


def cut_off(file):
    os.truncate(file, 0)


def rewritten(file):  # in place, as cp and rsync --inplace do
    with file.open("r+b") as opened:
        opened.write(bytes(file.stat().st_size))


def look(model, state, judge, extractor):
    score = judge(images.float() / 127.5 - 1, torch.zeros(16, dtype=torch.int64)).score
    made = [one.image for network in (model, state) for one in reacgan.sample(network, "all", 2)]
    return [*made, score, extractor(images).features]


for damage in (cut_off, rewritten):
    copied = shutil.copytree(run, folder / damage.__name__)
    kept = copied / "judge.safetensors"
    save_classifier(classifier, kept, {"class_names": [*"0123456789"]})
    networks = (
        hub.load(copied, device="cpu"),
        hub.load_state(copied, hub.list_states(copied)[-1], device="cpu"),
        hub.load_discriminator(copied, device="cpu"),
        build_extractor(str(kept)),
    )
    wanted = look(*networks)
    for file in copied.rglob("*.safetensors"):
        damage(file)
    for one, other in zip(look(*networks), wanted, strict=True):
        assert torch.equal(one, other), damage.__name__
    print(damage.__name__, flush=True)
"""


def test_what_is_loaded_has_no_tie_to_its_file(run_folder, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(run_folder), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = ended.returncode, ended.stderr[-600:]
    assert (ended.returncode, ended.stdout) == (0, "cut_off\nrewritten\n"), told
