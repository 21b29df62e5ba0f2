"""The textbook that our speed is measured against computes the same step as ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from reacgan.assembly import complete
from reacgan.models.spectral import SpectralNorm
from reacgan.training.engine import Engine
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from reacgan.training.step.gradients import discriminator_gradients, generator_gradients
from reacgan.training.step.work import Latents

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.textbook.step import Textbook
from benchmarks.workloads import cifar_reacgan, pictures

BATCH = 6
DRAWS = 4


def pairs_of(ours: TrainState, book: Textbook) -> list[tuple[str, nn.Module, nn.Module]]:
    """Layers of ours and theirs that mean the same, by name."""
    found = []
    d_names = {
        f"backbone.{name}": held for name, held in ours.discriminator.backbone.named_modules()
    }
    d_names |= {f"head.{name}": held for name, held in ours.discriminator.head.named_modules()}
    mine: dict[str, nn.Module] = dict(ours.generator.named_modules())
    for names, theirs, place in ((mine, book.G, 2), (d_names, book.D, 1)):
        for name, layer in theirs.named_modules():
            if not list(layer.parameters(recurse=False)) and not list(layer.buffers(recurse=False)):
                continue
            where = name.replace("attention", f"attention.{place}")
            if theirs is book.D:
                in_head = name.split(".")[0] in ("score", "embedding", "class_vectors")
                where = f"head.{where}" if in_head else f"backbone.{where}"
            found.append((where, names[where], layer))
    return found


def settle(layer: nn.Module) -> None:
    """u and v are the first singular vectors: further iterations leave them as they are.

    The textbook iterates once a pass, ours once a step; settled, both normalise by the same number.
    """
    u, _, v = torch.linalg.svd(layer.weight.detach().flatten(1).double(), full_matrices=False)
    layer.u.copy_(u[:, 0])
    layer.v.copy_(v[0])


def copied(ours: TrainState, book: Textbook) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
    """Give the textbook our weights and vectors; parameters that mean the same, by name."""
    together = {}
    for name, mine, theirs in pairs_of(ours, book):
        if isinstance(mine, SpectralNorm):
            theirs.weight_orig.data.copy_(mine.weight.data)
            theirs.weight_u.copy_(mine.u)
            theirs.weight_v.copy_(mine.v)
            together[f"{name}.weight"] = mine.weight, theirs.weight_orig
            if getattr(mine, "bias", None) is not None:
                together[f"{name}.bias"] = mine.bias, theirs.bias
            continue
        known = {"gain": "weight"} if isinstance(theirs, nn.BatchNorm2d) else {}
        for key, held in mine.named_parameters(recurse=False):
            together[f"{name}.{key}"] = held, getattr(theirs, known.get(key, key))
    for mine, theirs in together.values():
        theirs.data.copy_(mine.data)
    return together


def both(precision: str, mode: str, seed: int):
    experiment = complete(
        cifar_reacgan(
            8, BATCH, **{"training.precision": precision, "speed.mode": mode, "data.flip": False}
        )
    )
    engine = Engine.of(experiment, "cpu")
    data = pictures(64)
    state = TrainState.build(experiment, 10, engine)
    trainer = Trainer(experiment, state, data, engine)
    torch.manual_seed(seed)
    with torch.no_grad():
        for network in (state.generator, state.discriminator):
            for held in network.parameters():
                held.add_(0.3 * torch.randn_like(held) / held[0].numel() ** 0.5)
            for layer in network.modules():
                if isinstance(layer, SpectralNorm):
                    settle(layer)
    book = Textbook(8)
    for network in (book.G, book.D):
        network.to(engine.dtype)
    return trainer, book, copied(state, book)


@pytest.mark.parametrize("mode", ["auto", "plain"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_losses_and_gradients_are_those_of_the_textbook(precision, tolerance, mode):
    """In float32 a ReLU's or pooling's input within rounding of its kink may fall on either side of it,
    which changes the gradient by 1e-4: seldom, so of a few draws of weights one must be without.
    """
    for seed in range(DRAWS if precision == "float32" else 1):
        try:
            check_both_steps(*both(precision, mode, seed), tolerance)
        except AssertionError:
            if precision == "float64" or seed == DRAWS - 1:
                raise
        else:
            return


def check_both_steps(trainer, book, together, tolerance):
    count = sum(held.numel() for network in (book.G, book.D) for held in network.parameters())
    ours = sum(
        held.numel()
        for network in (trainer.state.generator, trainer.state.discriminator)
        for held in network.parameters()
    )
    assert ours == count == sum(mine.numel() for mine, _ in together.values())
    real, labels = trainer.steps.real()
    (latents,) = trainer.steps.latents("latents/d")
    assert isinstance(latents, Latents)
    steps = {
        "D": (
            lambda: discriminator_gradients(
                trainer.steps.contexts(BATCH),
                (real, labels),
                [latents],
                parameters=trainer.steps.d_parameters,
                autocast=trainer.engine.autocast,
            ),
            lambda: book.d_loss(real.contiguous(), labels, latents.z, latents.labels),
            book.D,
        ),
        "G": (
            lambda: generator_gradients(
                trainer.steps.contexts(BATCH, shown=True),
                None,
                [latents],
                parameters=trainer.steps.g_parameters,
                autocast=trainer.engine.autocast,
            ),
            lambda: book.g_loss(latents.z, latents.labels),
            book.G,
        ),
    }
    for side, (step, book_loss, network) in steps.items():
        parts, _ = step()
        key = side.lower()
        mine = parts[f"{key}/adversarial"] + 0.5 * parts[f"{key}/conditioning"]
        for other in (book.G, book.D):
            other.zero_grad()
            other.requires_grad_(other is network)
        loss = book_loss()
        loss.backward()
        torch.testing.assert_close(mine, loss, rtol=tolerance, atol=tolerance)
        compare_gradients(side, network, together, tolerance)


def compare_gradients(side, network, together, tolerance):
    """All of them as one vector; and each, beside the typical one, since some are zero but for rounding."""
    wanted = {id(held) for held in network.parameters()}
    pairs = {
        name: (mine.grad, theirs.grad)
        for name, (mine, theirs) in together.items()
        if id(theirs) in wanted
    }
    assert len(pairs) == len(wanted)
    whole = [torch.cat([held[i].flatten() for held in pairs.values()]) for i in (0, 1)]
    assert (whole[0] - whole[1]).norm() < tolerance * whole[1].norm(), side
    typical = torch.stack([theirs.norm() for _, theirs in pairs.values()]).median()
    for name, (mine, theirs) in pairs.items():
        assert theirs.abs().max() > 0, name
        apart = (mine - theirs).norm() / theirs.norm().clamp_min(float(typical))
        assert apart < 5 * tolerance, f"{side} step, {name}: {apart:.1e}"


def test_a_cycle_moves_both_networks_and_the_average():
    book = Textbook(8)
    before = [held.detach().clone() for held in (*book.D.parameters(), *book.G.parameters())]
    average = [held.clone() for held in book.average.parameters()]
    images, labels = torch.rand(4, 3, 32, 32) * 2 - 1, torch.arange(4)
    assert all(torch.isfinite(torch.tensor(book.cycle(images, labels))))
    now = (*book.D.parameters(), *book.G.parameters())
    moved = [not torch.equal(old, new) for old, new in zip(before, now, strict=True)]
    # Behind a closed gate attention does not move.
    assert sum(moved) >= len(moved) - 8
    after = book.average.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(average, after, strict=True))
