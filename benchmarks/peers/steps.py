"""One training step of each peer in its own words, and ours on the networks that come nearest.

Their ``train_step`` and ``train_ops`` are called as their own trainers do, on a batch that lies ready,
without their logging and files. What differs from ours is said in :data:`CASES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]

CASES: dict[str, dict[str, Any]] = {
    "cgan-pd": {
        "package": "torch-mimicry 0.1.16",
        "what": "cGAN-PD, residual networks with a projection head, 32 px",
        "widths": "its own: 256 channels in G, 128 in D",
        "differs": "theirs doubles bilinearly, ours (as the paper) by the nearest pixel; ours also keeps "
        "an average of the generator and draws its batch from a set",
        "batches": [16, 64],
    },
    "torchgan-cgan": {
        "package": "torchgan 0.1.0",
        "what": "conditional DCGAN, 32 px, labels beside z and beside the image's channels",
        "widths": "its own: 64 channels at 16 pixels, 256 at 4",
        "differs": "the same layers made of ours; the label enters D as a projection on its last features "
        "instead of ten channels beside the image; ours also keeps an average of the generator and "
        "draws its batch from a set",
        "batches": [16, 64],
    },
}


def peer_step(case: str, batch: int) -> tuple[Step, dict[str, Any]]:
    """Theirs, and its facts; needs an environment that has the peer."""
    from benchmarks.peers.stand_ins import install

    install()
    step, networks = {"cgan-pd": _mimicry, "torchgan-cgan": _torchgan}[case](batch)
    names = ("generator", "discriminator")
    sizes = (sum(p.numel() for p in network.parameters()) for network in networks)
    return step, dict(zip(names, sizes, strict=True))


def _batch(count: int) -> tuple[Any, Any]:
    import torch

    return torch.rand(count, 3, 32, 32) * 2 - 1, torch.arange(count) % 10


def _mimicry(batch: int) -> tuple[Step, tuple[Any, Any]]:
    import torch
    from torch_mimicry.nets import cgan_pd
    from torch_mimicry.training.metric_log import MetricLog

    G = cgan_pd.CGANPDGenerator32(num_classes=10)
    D = cgan_pd.CGANPDDiscriminator32(num_classes=10)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), 2e-4, betas=(0.0, 0.9)) for network in (G, D)
    )
    real = _batch(batch)

    def step() -> None:
        told = MetricLog()
        shared = {"real_batch": real, "device": "cpu", "log_data": told, "global_step": 0}
        D.train_step(netG=G, optD=d_optimizer, scaler=None, **shared)
        G.train_step(netD=D, optG=g_optimizer, scaler=None, **shared)

    return step, (G, D)


def _torchgan(batch: int) -> tuple[Step, tuple[Any, Any]]:
    import torch
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import ConditionalGANDiscriminator, ConditionalGANGenerator

    G = ConditionalGANGenerator(num_classes=10, encoding_dims=128, out_size=32)
    D = ConditionalGANDiscriminator(num_classes=10, in_size=32)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999)) for network in (G, D)
    )
    g_loss, d_loss = MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()
    images, labels = _batch(batch)
    device = torch.device("cpu")

    def step() -> None:
        g_loss.train_ops(G, D, g_optimizer, device, batch, labels)
        d_loss.train_ops(G, D, d_optimizer, images, device, labels)

    return step, (G, D)


def our_step(case: str, batch: int, mode: str = "auto") -> tuple[Step, dict[str, Any]]:
    """Ours: a cycle of one D and one G step, with what belongs to it."""
    from benchmarks.peers import same_networks
    from benchmarks.workloads import cycle_of, trainer_of

    import reacgan
    from reacgan.models import count_parameters

    common: dict[str, Any] = {
        "training.batch": batch,
        "training.d_steps": 1,
        "speed.mode": mode,
        "training.precision": "float32",
        "model.head": "projection",
    }
    changes: dict[str, dict[str, Any]] = {
        "cgan-pd": {},  # cifar10/sngan has 64 x 4 channels in G and 64 x 2 in D
        "torchgan-cgan": {
            "model.generator": {"name": "torchgan"},
            "model.backbone": {"name": "torchgan"},
            "loss.adversarial": "non_saturating",
        },
    }
    same_networks.register()
    trainer = trainer_of(
        reacgan.experiment("cifar10/sngan").replace(**{**common, **changes[case]}), device="cpu"
    )
    state = trainer.state
    sizes = {
        "generator": count_parameters(state.generator),
        "discriminator": count_parameters(state.discriminator),
    }
    return cycle_of(trainer), sizes
