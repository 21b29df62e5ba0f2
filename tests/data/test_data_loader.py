from __future__ import annotations

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError
from reacgan.data.loader import Loader, shift_images


def make(data, **options):
    return Loader(data, **{"batch": 8, "seed": 3, **options})


@pytest.mark.parametrize("batch", [1, 5, 8, 37, 50, 100])
def test_each_image_once_an_epoch(numbered, batch):
    loader = make(numbered, batch=batch)
    seen = np.concatenate([loader.indices(t) for t in range(0, 37 * batch, batch)])
    epochs = seen.reshape(batch, 37)
    assert (np.sort(epochs, axis=1) == np.arange(37)).all()
    if batch > 1:
        assert (epochs[0] != epochs[1]).any()


def test_images_and_labels_belong_together(numbered):
    images, labels = make(numbered).at(16)
    assert images.shape == (8, 3, 8, 8) and images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert (images[:, 0, 0, 0].long() % 5 == labels).all()
    assert images[:, 0, 0, 0].tolist() == make(numbered).indices(16).tolist()


@pytest.mark.parametrize("limit", [None, 0])
def test_pure_function_of_the_clock(numbered, limit):
    options = {"flip": True, "crop": 2, "resident_limit_bytes": limit}
    straight = make(numbered, **options)
    batches = {t: straight.at(t) for t in range(0, 160, 8)}
    jumping = make(numbered, **options)
    for t in (152, 0, 8, 80, 16, 152):
        fresh = make(numbered, **options)
        for other in (jumping.at(t), fresh.at(t)):
            assert torch.equal(other[0], batches[t][0])
            assert torch.equal(other[1], batches[t][1])
        fresh.close()
    straight.close()
    jumping.close()


@pytest.mark.parametrize("batch", [8, 40])
def test_processes_hold_slices_of_the_same_batch(numbered, batch):
    whole = make(numbered, batch=batch, flip=True, crop=1)
    parts = [
        make(numbered, batch=batch, flip=True, crop=1, rank=rank, world=4) for rank in range(4)
    ]
    for t in (0, 32, 72):
        images = torch.cat([part.at(t)[0] for part in parts])
        labels = torch.cat([part.at(t)[1] for part in parts])
        assert torch.equal(images, whole.at(t)[0])
        assert torch.equal(labels, whole.at(t)[1])


def test_mapped_is_resident(numbered, tmp_path):
    np.save(tmp_path / "images.npy", numbered.images)
    mapped = type(numbered)(
        np.load(tmp_path / "images.npy", mmap_mode="r"),
        numbered.labels,
        numbered.class_names,
        "mapped",
    )
    far = make(mapped, flip=True, crop=1, resident_limit_bytes=numbered.images.nbytes - 1)
    near = make(mapped, flip=True, crop=1, resident_limit_bytes=numbered.images.nbytes)
    assert near.resident and not far.resident
    for t in (0, 8, 16, 400, 0):
        assert torch.equal(far.at(t)[0], near.at(t)[0])
        assert torch.equal(far.at(t)[1], near.at(t)[1])
    far.close()


def test_the_next_batch_is_read_ahead(numbered, monkeypatch):
    loader = make(numbered, resident_limit_bytes=0)
    read = []
    original = loader._read
    monkeypatch.setattr(loader, "_read", lambda rows: read.append(rows.tolist()) or original(rows))
    for t in (0, 8, 16):
        loader.at(t)
    loader.close()
    expected = [make(numbered).indices(t).tolist() for t in (0, 8, 16, 24)]
    assert read in (expected, expected[:3])


def test_flips_half_and_only_mirrors(numbered):
    plain = make(numbered, batch=512).at(0)[0]
    flipped = make(numbered, batch=512, flip=True).at(0)[0]
    mirrored = (flipped == plain.flip(-1)).flatten(1).all(1)
    kept = (flipped == plain).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 200 < int(mirrored.sum()) < 312


def test_shift_repeats_the_edge():
    images = torch.arange(2 * 3 * 5 * 5, dtype=torch.uint8).view(2, 3, 5, 5)
    shift = torch.tensor([[2, -1], [-4, 4]])
    shifted = shift_images(images, shift)
    for n in range(2):
        for y in range(5):
            for x in range(5):
                from_y = min(4, max(0, y + int(shift[n, 0])))
                from_x = min(4, max(0, x + int(shift[n, 1])))
                assert torch.equal(shifted[n, :, y, x], images[n, :, from_y, from_x])


def test_crops_reach_every_shift(numbered):
    plain = make(numbered, batch=1024).at(0)[0]
    shifted = make(numbered, batch=1024, crop=2).at(0)[0]
    options = [
        (shift_images(plain, torch.tensor([[y, x]]).expand(1024, 2)) == shifted).flatten(1).all(1)
        for y in range(-2, 3)
        for x in range(-2, 3)
    ]
    assert torch.stack(options).any(0).all()
    assert all(option.any() for option in options)


def test_order_depends_on_the_seed_and_is_the_same_everywhere(numbered):
    assert make(numbered, seed=4).indices(0).tolist() != make(numbered).indices(0).tolist()
    assert make(numbered, seed=0).indices(0).tolist() == [15, 35, 3, 36, 9, 13, 31, 18]


def test_refuses_what_cannot_be_shared(numbered):
    with pytest.raises(ConfigError, match=r"batch is 9, which 4 processes.*such as 8 or 12"):
        make(numbered, batch=9, world=4)
    with pytest.raises(ConfigError, match="crop is 8; allowed: 0 to 7"):
        make(numbered, crop=8)
    with pytest.raises(ConfigError, match="images_seen is -1"):
        make(numbered).at(-1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA DEVICE")
def test_no_host_sync_on_the_device(numbered):
    loader = make(numbered, device="cuda", flip=True, crop=2)
    expected = make(numbered).indices(24)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = [loader.at(t) for t in range(0, 400, 8)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (batches[3][1].cpu().numpy() == numbered.labels[expected]).all()
