"""Our resizers against those of clean-fid and torch-fidelity, within 1e-4 of the range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("cleanfid", reason="other libraries are not here: run `make parity`")

from random_inception import patterns
from reacgan.extractors.resize import clean, friendly, legacy, legacy_tensorflow

SHAPES = [(32, 32), (64, 48), (299, 299), (300, 299), (512, 400), (640, 21)]
TOLERANCE = 1e-4 * 255


def images_of(height, width):
    smooth = patterns(2, size=max(height, width), seed=4)[..., :height, :width]
    hard = torch.where(smooth < 128, 0, 255).to(torch.uint8)
    return torch.cat((smooth, hard)).contiguous()


def each(resize, images):
    """clean-fid's resizers take one [H, W, C] image."""
    held = [resize(image.permute(1, 2, 0).contiguous().numpy()) for image in images]
    return torch.tensor(np.stack(held)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_clean_fid(height, width):
    from cleanfid.resize import build_resizer, make_resizer

    images = images_of(height, width)
    close = {"rtol": 0, "atol": TOLERANCE}
    torch.testing.assert_close(clean(images, 299), each(build_resizer("clean"), images), **close)
    expected = each(build_resizer("legacy_pytorch"), images)
    torch.testing.assert_close(legacy(images, 299), expected, **close)
    pillow = make_resizer("PIL", False, "bilinear", (299, 299))
    torch.testing.assert_close(friendly(images, 299), each(pillow, images), **close)
    pillow = make_resizer("PIL", False, "bicubic", (224, 224))
    found = friendly(images, 224, by="bicubic")
    torch.testing.assert_close(found, each(pillow, images), **close)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_torch_fidelity(height, width):
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    images = images_of(height, width)
    expected = interpolate_bilinear_2d_like_tensorflow1x(
        images.float(), size=(299, 299), align_corners=False
    )
    found = legacy_tensorflow(images, 299)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_pytorch_fid(height, width):
    """It resizes what is scaled already."""
    images = images_of(height, width)
    expected = 2 * F.interpolate(images / 255, (299, 299), mode="bilinear") - 1
    torch.testing.assert_close(legacy(images, 299) / 127.5 - 1, expected, rtol=0, atol=2e-4)
