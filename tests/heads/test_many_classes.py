"""No head makes anything of the size of batch x classes that its loss does not need."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.config import component
from reacgan.heads import HEADS, OverHead, build_head
from reacgan.heads.equalised import EQUALISED_LAYERS, LabelMapping

BATCH, CLASSES, WIDTH = 7, 311, 5
# A logit for each sample and class is what these are.
CLASSIFIERS = {"auxiliary", "infogan", "multihinge", "multilogit"}
EMBEDDING = {"contrastive", "d2dce", "discriminative", "twin"}


class Largest(TorchDispatchMode):
    """Sizes of all tensors that are made."""

    def __init__(self):
        super().__init__()
        self.sizes = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.sizes.add(result.numel())
        return result


def sizes(head):
    torch.manual_seed(0)
    features = torch.randn(BATCH, WIDTH, requires_grad=True)
    labels = torch.randint(0, CLASSES, (BATCH,))
    with Largest() as seen:
        output = head(features, labels)
        (output.score.sum() + head.d_loss(output, output) + head.g_loss(output)).backward()
    return seen.sizes


@pytest.mark.parametrize("name", sorted(set(HEADS) - CLASSIFIERS))
@pytest.mark.parametrize("equalised", [False, True])
def test_nothing_is_as_large_as_batch_times_classes(name, equalised):
    layers = {"layers": EQUALISED_LAYERS} if equalised else {}
    options = {"embedding_dim": 3} if name in EMBEDDING else {}
    if issubclass(HEADS[name], OverHead):
        options = {"over": {"name": "d2dce", **options}}
    head = build_head(component(name, **options), in_features=WIDTH, num_classes=CLASSES, **layers)
    # Classes come times a width, or alone: the table and what is like it.
    assert not {size for size in sizes(head) if size >= BATCH * CLASSES}


@pytest.mark.parametrize("name", ["auxiliary", "multilogit"])
def test_a_classifier_is_as_large(name):
    """Else the test above could not fail."""
    head = HEADS[name](in_features=WIDTH, num_classes=CLASSES)
    assert BATCH * CLASSES in sizes(head)


@pytest.mark.parametrize("strength", [None, 1.0, 0.3])
def test_a_mapped_label_is_a_mapped_one_hot_row(strength):
    torch.manual_seed(0)
    mapping, labels = LabelMapping(6, 4, layers=2).double(), torch.tensor([0, 5, 2])
    rows = torch.eye(6, dtype=torch.float64)[labels]
    given = None
    if strength is not None:
        given = torch.tensor(strength, dtype=torch.float64)
        rows = given * rows + (1 - given) / 6
    results = mapping(labels, given), mapping(rows)
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    wanted = tuple(mapping.parameters())
    for one, other in zip(
        *(torch.autograd.grad(result.tanh().sum(), wanted) for result in results), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
