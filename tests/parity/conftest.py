"""Other libraries to compare with; `make parity` installs them beside the main environment.

Without them every file here is skipped. With REACGAN_PARITY set, that they are missing is an error.
"""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
from PIL import Image

from random_inception import patterns, random_weights
from reacgan.extractors.inception import PUBLISHED, Inception

REFERENCES = ("torch_fidelity", "pytorch_fid", "cleanfid", "prdc", "torchvision", "scipy")
MISSING = [name for name in REFERENCES if importlib.util.find_spec(name) is None]
if MISSING and os.environ.get("REACGAN_PARITY"):
    raise pytest.UsageError(f"not installed: {', '.join(MISSING)}; run `make parity`")

# torchvision's wheels need CUDA libraries; with these names known, its Python part loads without.
LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
if "torchvision" not in MISSING and not torch.cuda.is_available():
    LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

COUNT = 48
"""Images of each side."""


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """A ``.pth`` as it is published, with random weights, where torch.hub would have put it."""
    home = tmp_path_factory.mktemp("torch")
    path = home / "hub" / "checkpoints" / PUBLISHED.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(random_weights(), path)
    before = os.environ.get("TORCH_HOME")
    os.environ["TORCH_HOME"] = str(home)
    yield str(path)
    if before is None:
        del os.environ["TORCH_HOME"]
    else:
        os.environ["TORCH_HOME"] = before


@pytest.fixture(scope="session")
def pictures():
    """uint8 [N, 3, 32, 32] by side; the fakes have less contrast."""
    return {
        "real": patterns(COUNT, seed=1),
        "fake": patterns(COUNT, seed=2, spread=0.5),
    }


@pytest.fixture(scope="session")
def folders(pictures, tmp_path_factory):
    """The pictures as PNG files, in order, by side."""
    held = {}
    for side, images in pictures.items():
        held[side] = tmp_path_factory.mktemp(side)
        for number, image in enumerate(images):
            pixels = image.permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(held[side] / f"{number:03}.png")
    return held


@pytest.fixture(scope="session")
def ours(weights_file, pictures):
    """What our extractor says, by resizer and side; each measured once."""
    made = {}

    def extracted(resizer, side):
        if (resizer, side) not in made:
            extractor = Inception(weights=weights_file, resizer=resizer)
            parts = [extractor(part) for part in pictures[side].split(16)]
            features = torch.cat([part.features for part in parts])
            made[resizer, side] = features, torch.cat([part.logits for part in parts])
        return made[resizer, side]

    return extracted
