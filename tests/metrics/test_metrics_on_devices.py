"""Metrics whose work is done on another device than the features lie on."""

from __future__ import annotations

import pytest
import torch

from reacgan.evaluation.features import _TOGETHER, Features, _fetched, _Share, metrics_device
from reacgan.evaluation.plan import build_metrics
from reacgan.metrics import Comparison, FeatureSet

NAMES = ("a", "b", "c")


def side(count, seed, device, width=24):
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=random) * (1 + 0.1 * seed)
    logits = torch.randn(count, 5, generator=random)
    return FeatureSet(features, logits, torch.arange(count) % 3, NAMES, device=device)


def values(device):
    comparison = Comparison(side(900, 1, device), side(1000, 0, device))
    wanted = {"fid": {}, "fid_infinity": {}, "kid": {}, "is": {}, "prdc": {}, "per_class": {}}
    metrics = build_metrics({**wanted, "ifid": {}})
    return {
        value.name: value.value
        for metric in metrics.values()
        for value in metric.measure(comparison)
    }


def test_named_or_not_the_cpu_gives_the_same():
    assert values(None) == values(torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same():
    there, here = values(torch.device("cuda")), values(torch.device("cpu"))
    assert there.keys() == here.keys() and metrics_device(torch.device("cuda")).type == "cuda"
    for name, value in here.items():
        assert there[name] == pytest.approx(value, rel=1e-8, abs=1e-8), name


def test_what_is_kept_lies_on_the_cpu():
    kept = {}

    def keep(name, make):
        kept[name] = make()
        return kept[name]

    real = side(1000, 0, torch.device("cpu"))
    real = FeatureSet(
        real.features, real.logits, real.labels, NAMES, keep_in=keep, device=torch.device("cpu")
    )
    comparison = Comparison(side(900, 1, None), real)
    for metric in build_metrics({"fid": {}, "prdc": {}, "per_class": {}, "ifid": {}}).values():
        metric.measure(comparison)
    assert len(kept) >= 6
    assert {value.device.type for made in kept.values() for value in made.values()} == {"cpu"}


@pytest.mark.parametrize("extractors", [0, 1, 2])
def test_features_that_wait_keep_their_order(extractors):
    share = _Share()
    chunks = [
        [Features(torch.full((4, 2), float(index + at)), None) for at in range(extractors)]
        for index in range(_TOGETHER + 3)
    ]
    for chunk in chunks:
        share.add(chunk, None, None)
    assert len(share.features) == _TOGETHER
    share.fetch()
    share.fetch()
    assert len(share.features) == len(chunks)
    for made, chunk in zip(share.features, chunks, strict=True):
        assert [float(part.features[0, 0]) for part in made] == [
            float(part.features[0, 0]) for part in chunk
        ]


def test_chunks_come_in_one_copy():
    parts = [torch.empty(4, 2, device="meta"), torch.empty(3, 2, device="meta")]
    copies = []

    class Counted(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten._to_copy.default:
                copies.append(args[0].shape)
                return torch.zeros(args[0].shape)
            return func(*args, **(kwargs or {}))

    with Counted():
        fetched = _fetched(parts)
    assert copies == [torch.Size([7, 2])]
    assert [len(part) for part in fetched] == [4, 3] and _fetched([None, None]) == [None, None]
