"""The rooms of a training cycle, one after another, each as a call of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from reacgan.training.ema import update_average
from reacgan.training.loop import Trainer
from reacgan.training.step.losses import (
    discriminator_loss_of,
    discriminator_outputs,
    generator_loss_of,
    generator_outputs,
    images_for_discriminator,
    images_for_generator,
)

Room = tuple[str, Callable[[], Any]]


def rooms_of(trainer: Trainer) -> Iterator[Room]:
    """(name, call) of each room in the order of a cycle of one D and one G step, without terms.

    Call each before asking for the next: a room works on what the one before it left.
    """
    state, engine = trainer.state, trainer.engine
    held: dict[str, Any] = {}

    def keep(name: str, call: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            with engine.autocast():
                held[name] = call()

        return run

    (players,) = trainer.steps.contexts(trainer.experiment.training.batch)
    yield "data", keep("real", lambda: (*trainer.steps.real(), *trainer.steps.latents("latents/d")))
    real, labels, latents = held["real"]
    yield (
        "D step: G forward",
        keep("images", lambda: images_for_discriminator(players, real, labels, latents)),
    )
    yield (
        "D step: D forward",
        keep("outputs", lambda: discriminator_outputs(players, held["images"])),
    )
    yield "D step: losses", keep("loss", lambda: discriminator_loss_of(players, held["outputs"])[0])
    yield "D step: backward", _backward(held, trainer.steps.d_parameters)
    yield "D step: Adam", state.d_optimizer.step
    (latents,) = trainer.steps.latents("latents/g")
    yield (
        "G step: G forward",
        keep("images", lambda: images_for_generator(players, latents, None, None)),
    )
    yield (
        "G step: D forward",
        keep("outputs", lambda: generator_outputs(players, held["images"])),
    )
    yield "G step: losses", keep("loss", lambda: generator_loss_of(players, held["outputs"])[0])
    yield "G step: backward", _backward(held, trainer.steps.g_parameters)
    yield "G step: Adam", state.g_optimizer.step
    yield (
        "average",
        lambda: update_average(
            state.average, state.generator, 0.999, fused=engine.speed.fused_optimizer
        ),
    )
    state.images_seen += trainer.experiment.training.batch


def _backward(held: dict[str, Any], parameters: list[Any]) -> Callable[[], None]:
    def run() -> None:
        for parameter in parameters:
            parameter.grad = None
        held.pop("loss").backward(inputs=list(parameters))
        held.pop("outputs")

    return run
