"""StyleGAN2 and R3GAN by fused operations: the same training, in a bounded number of operations."""

from __future__ import annotations

from collections import Counter

import pytest
from members import STYLES, network_changes
from test_same_mathematics import PLAIN, course, distance, trainer
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.training.journal import Journal

KERNELS = {"speed.kernels": True}
NETWORKS = network_changes()
STYLEGAN2 = {**NETWORKS["generator-stylegan2"], **NETWORKS["backbone-stylegan2"]}
R3GAN = {**NETWORKS["generator-r3gan"], **NETWORKS["backbone-r3gan"]}
BOTH = {"penalties": {"r1": {}, "r2": {"weight": 3}}}
PATHS = {**STYLES, "penalties": {"path_length": {"every": 1, "constant_mean": False}}}
CASES = {
    "stylegan2": STYLEGAN2,
    "stylegan2-resnet": {**STYLEGAN2, "model.generator.architecture": "resnet"},
    "stylegan2-skip": {**STYLEGAN2, "model.backbone.architecture": "skip"},
    "stylegan2-r1": {**STYLEGAN2, "penalties": {"r1": {}}},
    "stylegan2-r1-r2": {**STYLEGAN2, **BOTH},
    "stylegan2-ungrouped": {**STYLEGAN2, **BOTH, "model.backbone.group": 1},
    "stylegan2-paths": PATHS,
    "stylegan2-mixed-head": {**STYLEGAN2, "model.head": {"name": "d2dce", "embedding_dim": 8}},
    "r3gan": R3GAN,
    "r3gan-r1-r2": {**R3GAN, **BOTH},
    "r3gan-nearest": {**R3GAN, **BOTH, "model.generator.resampling": "nearest"},
    "r1-r2-accumulated": {**R3GAN, **BOTH, "training.accumulate": 2},
}


@pytest.mark.parametrize("switches", [{}, KERNELS], ids=["auto", "kernels"])
@pytest.mark.parametrize("case", CASES)
def test_three_cycles(case, switches):
    changes = CASES[case]
    losses, weights = distance(course(3, **changes, **switches), course(3, **changes, **PLAIN))
    assert losses < 1e-9 and weights < 1e-8, (losses, weights)


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


def counted(steps):
    with Operations() as operations:
        steps()
    return operations.counts


@pytest.mark.parametrize("case", ["stylegan2-r1", "r3gan-r1-r2", "stylegan2-paths"])
def test_penalties_take_no_convolution_for_each_group(case):
    """One convolution for each of some hundred channels would be hundreds."""
    wide = {
        "stylegan2-r1": {"model.backbone.channel_base": 4096, "model.backbone.channel_max": 256},
        "stylegan2-paths": {
            "model.generator.channel_base": 4096,
            "model.generator.channel_max": 256,
        },
        "r3gan-r1-r2": {"model.backbone.width": 32, "model.backbone.group_size": 1},
    }[case]
    counts = {}
    for name, switches in {"plain": PLAIN, "auto": {}, "kernels": KERNELS}.items():
        made = trainer(**{**CASES[case], **wide, **switches})
        steps = made.generator_step if "paths" in case else made.discriminator_step
        counts[name] = counted(lambda steps=steps: steps(Journal(None, 0)))["aten.convolution"]
        made.steps.loader.close()
    assert counts["plain"] > 200
    assert counts["auto"] < 90 and counts["kernels"] < 90, counts


def test_real_and_fake_images_pass_once_where_whole_groups_divide_the_batch():
    passes = {}
    for group in (1, 4, 32):
        made = trainer(**{**STYLEGAN2, "training.batch": 16, "model.backbone.group": group})
        sizes = []
        made.state.discriminator.backbone.register_forward_hook(
            lambda layer, given, result, sizes=sizes: sizes.append(len(result))
        )
        made.discriminator_step(Journal(None, 0))
        made.steps.loader.close()
        passes[group] = sizes
    assert passes == {1: [32], 4: [32], 32: [16, 16]}


def test_r1_and_r2_pass_together():
    changes = {**R3GAN, **BOTH, "training.batch": 16}
    for due, expected in ((1, [32, 32]), (2, [32, 16])):
        made = trainer(**{**changes, "penalties.r2.every": due})
        made.state.images_seen = 16  # where a term of every second step is not due
        sizes = []
        made.state.discriminator.backbone.register_forward_hook(
            lambda layer, given, result, sizes=sizes: sizes.append(len(result))
        )
        made.discriminator_step(Journal(None, 0))
        made.steps.loader.close()
        assert sizes == expected
