"""A small conditional GAN on a mixture, with the package's own heads, losses and training step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.augment import build_augment
from reacgan.config import Component, ConfigError, component
from reacgan.heads import build_head
from reacgan.losses import adversarial as adversarial_loss
from reacgan.models import Backbone, Discriminator, Generator
from reacgan.randomness import Draws, derive_seed
from reacgan.suites.mixtures.targets import Mixture
from reacgan.training.ema import update_average
from reacgan.training.step.losses import discriminator_loss, generator_loss
from reacgan.training.step.work import Latents, Objective, StepContext

_LINES = 100


@dataclass(frozen=True)
class Networks:
    """Sizes and optimisers of G and D, the same for all methods."""

    latent_dim: int = 4
    """Numbers of z ~ N(0, I)."""
    width: int = 64
    """Units of each hidden layer of G and of D's backbone, and feature dimension."""
    hidden: int = 3
    """Hidden layers of each."""
    learning_rate: float = 1e-3
    """Initial learning rate of Adam, of both networks."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Adam's, of both."""
    cooling: float = 0.5
    """Final share of the steps over which both learning rates fall linearly to zero."""
    ema: float = 0.998
    """Decay per step of the average of G's weights, which is measured."""


NETWORKS = Networks()


@dataclass(frozen=True)
class MixtureMethod:
    """A conditioning method: a head and the weight of its loss."""

    caption: str
    head: Component
    conditioning_weight: float = 1.0


class _PointGenerator(Generator):
    """An MLP of z ``[N, Z]`` and one-hot labels to points ``[N, D]`` in the target's units."""

    centre: Tensor
    scale: Tensor

    def __init__(self, target: Mixture, networks: Networks) -> None:
        super().__init__(target.num_classes)
        self.latent_dim = networks.latent_dim
        self.body = _layers(networks.latent_dim + target.num_classes, networks)
        self.out = nn.Linear(networks.width, target.dimensions)
        _register_moments(self, target)

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        inputs = torch.cat([z, F.one_hot(labels, self.num_classes).to(z.dtype)], dim=1)
        points: Tensor = self.out(self.body(inputs)) * self.scale + self.centre
        return points


class _PointBackbone(Backbone):
    """An MLP of points ``[N, D]`` to features ``[N, width]``."""

    centre: Tensor
    scale: Tensor

    def __init__(self, target: Mixture, networks: Networks) -> None:
        super().__init__()
        self.out_features = networks.width
        self.body = _layers(target.dimensions, networks)
        _register_moments(self, target)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body((images - self.centre) / self.scale)
        return features


def _register_moments(module: nn.Module, target: Mixture) -> None:
    centre, scale = target.moments()
    module.register_buffer("centre", centre)
    module.register_buffer("scale", torch.tensor(scale))


def _layers(inputs: int, networks: Networks) -> nn.Sequential:
    widths = [inputs, *[networks.width] * networks.hidden]
    layers: list[nn.Module] = []
    for before, after in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class PointTrainer:
    """G, D and their optimisers; alternating steps on fresh points of the target, on the CPU.

    Every draw is a function of the seed, a stream's name and the step; labels are uniform. It runs on
    one thread: more are slower at this size and change rounding.

    Args:
        target: the mixture.
        method: the head, and the weight of its loss in D's and in G's.
        adversarial: a member of ``reacgan.losses.ADVERSARIAL``.
        seed: of weights and draws.
        steps: of each network.
        batch: number of real points in a step, and of fakes.
        networks: sizes and optimisers.
    """

    def __init__(
        self,
        target: Mixture,
        method: MixtureMethod,
        *,
        adversarial: str,
        seed: int,
        steps: int,
        batch: int,
        networks: Networks = NETWORKS,
    ) -> None:
        self.target, self.networks = target, networks
        self.seed, self.steps, self.batch = seed, steps, batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "mixtures/weights", 0))
            self.generator = _PointGenerator(target, networks)
            backbone = _PointBackbone(target, networks)
            head = build_head(
                method.head, in_features=networks.width, num_classes=target.num_classes
            )
            self.discriminator = Discriminator(backbone, head)
            self.average = _PointGenerator(target, networks).requires_grad_(False)
        self.average.load_state_dict(self.generator.state_dict())
        self.objective = Objective(
            adversarial_loss(adversarial),
            method.conditioning_weight,
            build_augment(component("identity")),
        )
        self._g_optimiser, self._d_optimiser = (
            torch.optim.Adam(
                network.parameters(), networks.learning_rate, betas=networks.betas, fused=True
            )
            for network in (self.generator, self.discriminator)
        )

    def train(self) -> list[dict[str, float]]:
        """Train; about a hundred lines of ``step`` and the losses of :meth:`step`.

        Raises:
            ConfigError: a loss that is not finite.
        """
        history = []
        with _one_thread():
            for step in range(self.steps):
                losses = self.step(step)
                if (step + 1) % max(1, self.steps // _LINES) == 0:
                    history.append({"step": step + 1.0, **_numbers(losses, step)})
        return history

    @torch.no_grad()
    def sample_classes(self, count: int, seed: int) -> Tensor:
        """``[K, count, D]``: points of every class by the averaged G; the same for the same seed."""
        labels = torch.arange(self.target.num_classes).repeat_interleave(count)
        z = Draws(seed, "mixtures/sample", 0).normal(len(labels), self.networks.latent_dim)
        with _one_thread():
            points: Tensor = self.average(z, labels)
        return points.reshape(self.target.num_classes, count, self.target.dimensions)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of D, one of G and one of the average.

        Returns the losses ``d`` and ``g`` (adversarial), ``d_condition`` and ``g_condition`` (the
        head's, unweighted), without their graphs.
        """
        for optimiser in (self._d_optimiser, self._g_optimiser):
            optimiser.param_groups[0]["lr"] = self.networks.learning_rate * self.rate(step)
        moment = StepContext(
            self.generator, self.discriminator, self.objective, lambda name: self._draws(step, name)
        )
        self.discriminator.requires_grad_(True)
        loss, of_d, _ = discriminator_loss(moment, *self._real(step), self._latents(step, "d"))
        _minimise(self._d_optimiser, loss)
        self.discriminator.requires_grad_(False)
        real = self._real(step) if self.objective.g_needs_real else ()
        loss, of_g, _ = generator_loss(moment, self._latents(step, "g"), *real)
        _minimise(self._g_optimiser, loss)
        decay = min(self.networks.ema, (step + 1) / (step + 10))
        update_average(self.average, self.generator, decay)
        names = {"d": "d/adversarial", "d_condition": "d/conditioning"}
        names |= {"g": "g/adversarial", "g_condition": "g/conditioning"}
        return {name: {**of_d, **of_g}[part].detach() for name, part in names.items()}

    def rate(self, step: int) -> float:
        """Factor of the learning rates."""
        left = (self.steps - step) / self.steps
        return min(1.0, left / self.networks.cooling) if self.networks.cooling > 0 else 1.0

    def _real(self, step: int) -> tuple[Tensor, Tensor]:
        draws = self._draws(step, "real")
        labels = draws.integers(self.batch, high=self.target.num_classes)
        return self.target.sample(labels, draws), labels

    def _latents(self, step: int, network: str) -> Latents:
        draws = self._draws(step, f"fake/{network}")
        labels = draws.integers(self.batch, high=self.target.num_classes)
        return Latents(draws.normal(len(labels), self.networks.latent_dim), labels)

    def _draws(self, step: int, stream: str) -> Draws:
        return Draws(self.seed, f"mixtures/{stream}", step * self.batch)


def _minimise(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _numbers(losses: dict[str, Tensor], step: int) -> dict[str, float]:
    numbers = {name: float(loss) for name, loss in losses.items()}
    broken = [name for name, number in numbers.items() if not math.isfinite(number)]
    if broken:
        raise ConfigError(
            f"the loss {broken[0]} is {numbers[broken[0]]} at step {step + 1}; "
            "lower the learning rate or conditioning_weight"
        )
    return numbers


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
