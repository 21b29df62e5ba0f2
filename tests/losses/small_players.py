"""A smooth discriminator and generator of a few dozen weights, and the steps that terms look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.losses import PENALTIES, Step, Term
from reacgan.randomness import Draws

SHAPE, COUNT, LATENT, CLASSES, WIDTH = (2, 3, 3), 4, 3, 3, 4

# What makes the host wait for a device: reading a value, or a shape that depends on values.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique_dim", "_unique2"}

GRADIENT_PENALTIES = ("r1", "r2", "gradient_penalty", "dragan", "max_gradient")
TERMS = (*GRADIENT_PENALTIES, "lecam", "weight_clipping", "cr", "bcr", "zcr", "feature_matching")


class Operations(TorchDispatchMode):
    """Records the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Word:
    """What the small discriminator says."""

    score: Tensor
    features: Tensor | None = None
    representation: Tensor | None = None


class SmallD(nn.Module):
    """A convolution, tanh, a linear layer, tanh; scored under a vector of the label."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.convolution = nn.Conv2d(SHAPE[0], 2, 2, dtype=dtype)
        self.hidden = nn.Linear(8, WIDTH, dtype=dtype)
        self.labels = nn.Embedding(CLASSES, WIDTH, dtype=dtype)
        self.extra = nn.Linear(WIDTH, 2, dtype=dtype)
        with torch.no_grad():
            for parameter in self.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(0.8 * drawn)

    def forward(self, images: Tensor, labels: Tensor) -> Word:
        features = self.hidden(self.convolution(images).tanh().flatten(1)).tanh()
        score = (features * self.labels(labels)).sum(dim=1) + features.sum(dim=1)
        return Word(score, features, self.extra(features))


class LinearD(nn.Module):
    """w . x: its gradient is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor, labels: Tensor) -> Word:
        return Word((images * self.weight).flatten(1).sum(dim=1))


class SmallG(nn.Module):
    """tanh of a linear layer of z and a vector of the label."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        values = SHAPE[0] * SHAPE[1] * SHAPE[2]
        self.weight = nn.Parameter(
            torch.randn(LATENT + CLASSES, values, generator=generator, dtype=torch.float64).to(
                dtype
            )
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        vectors = torch.eye(CLASSES, dtype=z.dtype)[labels]  # one_hot would read the labels
        inputs = torch.cat([z, vectors], dim=1)
        return (inputs @ self.weight).tanh().view(-1, *SHAPE)


def draws_for(rank: int = 0, world: int = 1) -> Callable[[str], Draws]:
    return lambda stream: Draws(5, stream, 0, rank=rank, world=world)


def scaled(images: Tensor, draws: Draws) -> Tensor:
    """An augmentation: each image times its own number."""
    return images * draws.uniform(len(images), 1, 1, 1, low=0.5, high=1.5).to(images.dtype)


def mirrored(images: Tensor, draws: Draws) -> Tensor:
    """A second view: each image mirrored, times its own number."""
    return scaled(images.flip(-1), draws)


def batch(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {
        "real": torch.randn(COUNT, *SHAPE, generator=generator, dtype=torch.float64).to(dtype),
        "labels": torch.randint(CLASSES, (COUNT,), generator=generator),
        "fake_labels": torch.randint(CLASSES, (COUNT,), generator=generator),
        "z": torch.randn(COUNT, LATENT, generator=generator, dtype=torch.float64).to(dtype),
    }


def step_for(
    judge: nn.Module,
    generator: nn.Module,
    *,
    of_d: bool = True,
    rows: slice = slice(None),
    draws: Callable[[str], Draws] | None = None,
    dtype: torch.dtype = torch.float64,
) -> Step:
    """A step of D, with fakes as constants, or of G."""
    drawn = draws or draws_for()
    held = {name: tensor[rows] for name, tensor in batch(dtype).items()}
    with torch.set_grad_enabled(not of_d):
        fake = generator(held["z"], held["fake_labels"])

    def augment(images: Tensor, role: str) -> Tensor:
        return scaled(images, drawn(f"augment/{role}"))

    step = Step(
        discriminate=judge,
        augment=augment,
        view=lambda images, stream: mirrored(images, drawn(f"view/{stream}")),
        generate=generator,
        generator=generator,
        draws=drawn,
        z=held["z"],
        fake=fake,
        fake_labels=held["fake_labels"],
        on_fake=judge(augment(fake, "fake"), held["fake_labels"]),
        real=held["real"],
        labels=held["labels"],
    )
    with torch.set_grad_enabled(of_d):
        return replace(step, on_real=judge(augment(held["real"], "real"), held["labels"]))


def differences(value: Callable[[], Tensor], tensor: Tensor, size: float = 1e-5) -> Tensor:
    """Central differences of a scalar with respect to each entry of a tensor that it depends on."""
    found = torch.zeros_like(tensor)
    held = tensor.data.view(-1)
    for index in range(held.numel()):
        before = held[index].item()
        held[index] = before + size
        above = value().item()
        held[index] = before - size
        below = value().item()
        held[index] = before
        found.view(-1)[index] = (above - below) / (2 * size)
    return found


def is_penalty(name: str) -> bool:
    return name in PENALTIES


def total(term: Term, judge: nn.Module, generator: nn.Module, **how: Any) -> Tensor:
    """Everything that a term adds, to D's loss and to G's."""
    values = []
    step = step_for(judge, generator, **how)
    assert step.on_real is not None
    term.observe(step.on_real, step.on_fake)
    values.append(term.d_term(step))
    values.append(term.g_term(step_for(judge, generator, of_d=False, **how)))
    return sum((value for value in values if value is not None), step.z.new_zeros(()))
