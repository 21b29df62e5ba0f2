"""Training a small conditional GAN on a mixture, with the package's own heads and losses."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reacgan.config import Component, ConfigError
from reacgan.heads import head_options
from reacgan.losses import Adversarial
from reacgan.losses import adversarial as adversarial_loss
from reacgan.mixtures.players import PLAYERS, Players, PointDiscriminator, PointGenerator
from reacgan.mixtures.targets import Mixture
from reacgan.randomness import Draws, derive_seed

_LINES = 100


@dataclass(frozen=True, eq=False)
class Trained:
    """A generator of points, what it was trained with and what that took."""

    target: Mixture
    settings: dict[str, Any]
    """Everything that the result depends on beside versions, as JSON holds it."""
    generator: PointGenerator
    """The average of G's weights."""
    discriminator: PointDiscriminator
    seconds: float
    """Processor time of the training."""
    history: list[dict[str, float]] = field(default_factory=list)
    """About a hundred lines: ``step``, and the losses ``d``, ``g`` (adversarial) and
    ``d_condition``, ``g_condition`` (the head's, unweighted)."""

    @torch.no_grad()
    def sample_classes(self, count: int, seed: int) -> Tensor:
        """``count`` points of every class: ``[K, count, D]``; the same for the same seed."""
        labels = torch.arange(self.target.num_classes).repeat_interleave(count)
        z = Draws(seed, "mixtures/sample", 0).normal(len(labels), self.generator.latent_dim)
        with _one_thread():
            points: Tensor = self.generator(z, labels)
        return points.reshape(self.target.num_classes, count, self.target.dimensions)


def settings_of(
    target: Mixture,
    head: Component,
    *,
    adversarial: str,
    conditioning_weight: float,
    seed: int,
    steps: int,
    batch: int = 256,
    players: Players = PLAYERS,
) -> dict[str, Any]:
    """What :func:`train_mixture` would be given, checked and in full, as JSON holds it.

    Raises:
        ConfigError: a loss, head or option that is not known, or a value outside its range.
    """
    adversarial_loss(adversarial)
    for name, value, least in (("steps", steps, 1), ("batch", batch, 2)):
        if value < least:
            raise ConfigError(f"{name} is {value}; needed: {least} or more")
    if not conditioning_weight >= 0:
        raise ConfigError(f"conditioning_weight is {conditioning_weight}; needed: 0 or more")
    return {
        "target": {
            "name": target.name,
            "means": [list(mean) for mean in target.means],
            "deviations": list(target.deviations),
        },
        "head": {"name": head.name, **head_options(head)},
        "adversarial": adversarial,
        "conditioning_weight": conditioning_weight,
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "players": {**asdict(players), "betas": list(players.betas)},
    }


def train_mixture(
    target: Mixture,
    head: Component,
    *,
    adversarial: str,
    conditioning_weight: float,
    seed: int,
    steps: int,
    batch: int = 256,
    players: Players = PLAYERS,
) -> Trained:
    """Train G and D on fresh points of the target, on the CPU, one step of each in turn.

    Every draw is a function of the seed, a stream's name and the step; labels are uniform. Each
    player minimises its adversarial loss and ``conditioning_weight`` times the head's own. It runs
    on one thread: more are slower at this size, and would round differently.

    Args:
        target: the mixture.
        head: a member of ``reacgan.heads.HEADS`` and its options.
        adversarial: a member of ``reacgan.losses.ADVERSARIAL``.
        conditioning_weight: of the head's loss, in both players'.
        seed: of weights and draws.
        steps: of each player.
        batch: points of a step: so many real ones, and as many fakes.
        players: sizes and optimisers.

    Raises:
        ConfigError: a setting outside its range, or a loss that is not finite.
    """
    settings = settings_of(
        target,
        head,
        adversarial=adversarial,
        conditioning_weight=conditioning_weight,
        seed=seed,
        steps=steps,
        batch=batch,
        players=players,
    )
    started = time.process_time()
    with _one_thread():
        duel = _Duel(target, head, settings, players)
        history = []
        every = max(1, steps // _LINES)
        for step in range(steps):
            losses = duel.step(step)
            if (step + 1) % every == 0:
                history.append({"step": step + 1.0, **_numbers(losses, step)})
    seconds = time.process_time() - started
    return Trained(target, settings, duel.average, duel.discriminator, seconds, history)


class _Duel:
    """Both players and their optimisers; one step of each at a time."""

    def __init__(
        self, target: Mixture, head: Component, settings: dict[str, Any], players: Players
    ) -> None:
        self.target, self.settings, self.players = target, settings, players
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(settings["seed"], "mixtures/weights", 0))
            self.generator = PointGenerator(target, players)
            self.discriminator = PointDiscriminator(target, head, players)
            self.average = PointGenerator(target, players).requires_grad_(False)
        self.average.load_state_dict(self.generator.state_dict())
        self.loss: Adversarial = adversarial_loss(settings["adversarial"])
        self.g_optimiser = self._optimiser(self.generator)
        self.d_optimiser = self._optimiser(self.discriminator)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of D, one of G and one of the average; the losses without their graphs."""
        rate = self.players.learning_rate * self._heat(step)
        for optimiser in (self.d_optimiser, self.g_optimiser):
            optimiser.param_groups[0]["lr"] = rate
        losses = {**self._d_step(step), **self._g_step(step)}
        decay = min(self.players.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.generator.parameters()), 1 - decay
            )
        return losses

    def _optimiser(self, module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            module.parameters(), self.players.learning_rate, betas=self.players.betas, fused=True
        )

    def _heat(self, step: int) -> float:
        left = (self.settings["steps"] - step) / self.settings["steps"]
        return min(1.0, left / self.players.cooling) if self.players.cooling > 0 else 1.0

    def _d_step(self, step: int) -> dict[str, Tensor]:
        real, labels = self._real(step)
        with torch.no_grad():
            fake, fake_labels = self._fake(step, "d")
        self.discriminator.requires_grad_(True)
        output = self.discriminator(torch.cat([real, fake]), torch.cat([labels, fake_labels]))
        on_real, on_fake = output.split([len(real), len(fake)])
        loss = self.loss.d(on_real.score, on_fake.score)
        condition = self.discriminator.head.d_loss(on_real, on_fake)
        self._minimise(self.d_optimiser, loss, condition)
        return {"d": loss.detach(), "d_condition": condition.detach()}

    def _g_step(self, step: int) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(False)
        fake, labels = self._fake(step, "g")
        on_fake = self.discriminator(fake, labels)
        on_real = self.discriminator(*self._real(step)).score if self.loss.paired else None
        loss = self.loss.g(on_fake.score, on_real)
        condition = self.discriminator.head.g_loss(on_fake)
        self._minimise(self.g_optimiser, loss, condition)
        return {"g": loss.detach(), "g_condition": condition.detach()}

    def _minimise(self, optimiser: torch.optim.Optimizer, loss: Tensor, condition: Tensor) -> None:
        optimiser.zero_grad()
        weight = self.settings["conditioning_weight"]
        (loss + weight * condition if weight else loss).backward()
        optimiser.step()

    def _real(self, step: int) -> tuple[Tensor, Tensor]:
        draws = self._draws(step, "real")
        labels = draws.integers(self.settings["batch"], high=self.target.num_classes)
        return self.target.sample(labels, draws), labels

    def _fake(self, step: int, player: str) -> tuple[Tensor, Tensor]:
        draws = self._draws(step, f"fake/{player}")
        labels = draws.integers(self.settings["batch"], high=self.target.num_classes)
        z = draws.normal(len(labels), self.players.latent_dim)
        return self.generator(z, labels), labels

    def _draws(self, step: int, stream: str) -> Draws:
        return Draws(self.settings["seed"], f"mixtures/{stream}", step * self.settings["batch"])


def _numbers(losses: dict[str, Tensor], step: int) -> dict[str, float]:
    numbers = {name: float(loss) for name, loss in losses.items()}
    broken = [name for name, number in numbers.items() if not math.isfinite(number)]
    if broken:
        raise ConfigError(
            f"the loss {broken[0]} is {numbers[broken[0]]} at step {step + 1}; "
            "lower players.learning_rate or conditioning_weight"
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
