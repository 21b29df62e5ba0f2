from __future__ import annotations

import torch

from reacgan.tensors import copy_together


def test_tensors_of_several_types_are_copied():
    sources = [
        torch.arange(3.0),
        torch.tensor(7),
        torch.ones(2, 2).t(),
        torch.tensor([2.5]).double(),
    ]
    targets = [torch.zeros_like(source) for source in sources]
    copy_together(targets, sources)
    for target, source in zip(targets, sources, strict=True):
        assert torch.equal(target, source)
    copy_together([], [])
    learned = torch.zeros(2, requires_grad=True)
    copy_together([learned], [torch.ones(2)])
    assert learned.tolist() == [1, 1] and learned.is_leaf
