"""The training step around the textbook networks: real and fake apart, masks on the host, plain Adam."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from benchmarks.textbook.networks import Discriminator, Generator
from torch import Tensor, nn
from torch.nn import functional as F

MARGIN = 0.98
TEMPERATURE = 0.5
WEIGHT = 0.5
DECAY = 0.9999


def negatives_mask(labels: Tensor) -> Tensor:
    """[N, N]: 1 where two samples have different labels; built on the host, entry by entry."""
    held = labels.detach().cpu().numpy()
    mask = np.zeros((len(held), len(held)), dtype=np.float32)
    for i in range(len(held)):
        for j in range(len(held)):
            if held[i] != held[j]:
                mask[i, j] = 1
    return torch.from_numpy(mask).to(labels.device)


def d2d_ce(embedding: Tensor, class_vector: Tensor, labels: Tensor) -> Tensor:
    """The data-to-data cross-entropy (ReACGAN, equation 6)."""
    positive = torch.clamp((embedding * class_vector).sum(1) - MARGIN, max=0) / TEMPERATURE
    pairs = torch.clamp(embedding @ embedding.t() - (1 - MARGIN), min=0) / TEMPERATURE
    negatives = (torch.exp(pairs) * negatives_mask(labels)).sum(1)
    return -torch.log(torch.exp(positive) / (torch.exp(positive) + negatives)).mean()


class Textbook:
    """Both networks, both optimisers, the average; one cycle is D steps and a G step.

    Args:
        width: base number of channels.
        device: where it computes.
        lr: of both.
        d_steps: D steps a cycle, all on the images of the cycle.
        half: autocast to float16 with scaled losses, the published packages' mixed precision.
    """

    def __init__(
        self,
        width: int,
        *,
        device: str = "cpu",
        lr: float = 2.8284271e-4,
        d_steps: int = 1,
        half: bool = False,
    ) -> None:
        self.G, self.D = Generator(width).to(device), Discriminator(width).to(device)
        for module in (*self.G.modules(), *self.D.modules()):
            weight = getattr(module, "weight_orig", getattr(module, "weight", None))
            if isinstance(weight, nn.Parameter) and weight.dim() > 1:
                nn.init.orthogonal_(weight)
        self.average = copy.deepcopy(self.G).requires_grad_(False)
        settings = {"lr": lr, "betas": (0.5, 0.999), "eps": 1e-6, "foreach": False, "fused": False}
        self.g_optimizer = torch.optim.Adam(self.G.parameters(), **settings)  # type: ignore[arg-type]
        self.d_optimizer = torch.optim.Adam(self.D.parameters(), **settings)  # type: ignore[arg-type]
        self.device = torch.device(device)
        self.d_steps = d_steps
        self.half = half
        self.scalers = [torch.amp.GradScaler(self.device.type, enabled=half) for _ in range(2)]

    def latents(self, count: int) -> tuple[Tensor, Tensor]:
        """z and uniform labels."""
        z = torch.randn(count, self.G.latent_dim, device=self.device)
        return z, torch.randint(10, (count,), device=self.device)

    def d_loss(self, real: Tensor, labels: Tensor, z: Tensor, fake_labels: Tensor) -> Tensor:
        """Hinge loss, and D2D-CE of the real images."""
        fake = self.G(z, fake_labels).detach()
        on_real, embedding, class_vector = self.D(real, labels)
        on_fake, _, _ = self.D(fake, fake_labels)
        hinge = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        return hinge + WEIGHT * d2d_ce(embedding, class_vector, labels)

    def g_loss(self, z: Tensor, fake_labels: Tensor) -> Tensor:
        """Hinge loss, and D2D-CE of the fakes."""
        score, embedding, class_vector = self.D(self.G(z, fake_labels), fake_labels)
        return -score.mean() + WEIGHT * d2d_ce(embedding, class_vector, fake_labels)

    def cycle(self, real: Tensor, labels: Tensor) -> tuple[float, float]:
        """D steps on these images [N, 3, 32, 32] in [-1, 1], one G step, the average."""
        self.G.requires_grad_(False)
        self.D.requires_grad_(True)
        for _ in range(self.d_steps):
            latents = self.latents(len(real))
            d_loss = self._step(
                self.d_optimizer, self.scalers[0], partial(self.d_loss, real, labels, *latents)
            )
        self.G.requires_grad_(True)
        self.D.requires_grad_(False)
        g_loss = self._step(
            self.g_optimizer, self.scalers[1], partial(self.g_loss, *self.latents(len(real)))
        )
        self.update_average()
        return d_loss, g_loss

    def _step(
        self,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        loss_of: Callable[[], Tensor],
    ) -> float:
        optimizer.zero_grad()
        with torch.autocast(self.device.type, dtype=torch.float16, enabled=self.half):
            loss = loss_of()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.item()

    @torch.no_grad()
    def update_average(self) -> None:
        """average <- decay * average + (1 - decay) * G, tensor by tensor."""
        for held, new in zip(self.average.parameters(), self.G.parameters(), strict=True):
            held.copy_(DECAY * held + (1 - DECAY) * new)
        for held, new in zip(self.average.buffers(), self.G.buffers(), strict=True):
            held.copy_(new)
