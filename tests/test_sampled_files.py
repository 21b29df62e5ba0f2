"""What `sample` writes is what every reader of the package reads, for any number of channels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from reacgan.config import DataConfig
from reacgan.data import open_dataset, prepare_data
from reacgan.evaluation.reference import open_reference
from reacgan.evaluation.targets import find_targets
from reacgan.sampling import save_image


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 16])
def test_written_and_read(reacgan, channels, tmp_path, monkeypatch):
    """16 x 16 pixels: with 16 channels no shape tells which dimension is which."""
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    generator = torch.Generator().manual_seed(channels)
    shape = (6, channels, 16, 16)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    folder = tmp_path / "samples"
    for seed, image in enumerate(images):
        save_image(image, folder / "ab"[seed % 2], str(seed))
    wanted = images[[0, 2, 4, 1, 3, 5]].numpy()

    given = 4 if channels == 4 else None  # otherwise opacity goes on white
    (target,) = find_targets(folder, channels=given)
    assert np.array_equal(target.images.images, wanted)
    reference = open_reference(folder, channels=given)
    assert np.array_equal(reference.data.images, wanted)
    config = DataConfig(path=str(folder), resolution=16, channels=channels)
    assert np.array_equal(open_dataset(config).images, wanted)
    packed = prepare_data(folder, tmp_path / "p.safetensors", resolution=16, channels=given)
    assert np.array_equal(packed.images, wanted)
    code, out, err = reacgan("train", "--data", folder, "--dry-run", "--out", tmp_path / "run")
    assert code == 0, err
    assert json.loads(out)["data"]["channels"] == (3 if channels == 4 else channels)
