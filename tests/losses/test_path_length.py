"""Path length against explicit Jacobians, finite differences, and two processes."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from reacgan.config import ConfigError
from reacgan.distributed import average_gradients
from reacgan.losses import PENALTIES, Step, build_terms
from reacgan.losses.path_length import PathLength
from reacgan.models.stylegan2 import StyleGAN2Generator
from reacgan.models.stylegan2_layers import StyledConv
from reacgan.randomness import Draws

COUNT, CLASSES, WORLD = 8, 3, 2


def network(**options):
    torch.manual_seed(0)
    chosen = {"latent_dim": 4, "style_dim": 3, "mapping_layers": 1, "channel_max": 2, "mixing": 0.0}
    chosen.update(options)
    built = StyleGAN2Generator(resolution=8, channels=1, num_classes=CLASSES, **chosen)
    with torch.no_grad():
        for layer in built.modules():
            if isinstance(layer, StyledConv):
                layer.noise_strength.fill_(0.5)
    return built.double()


def step_of(generator, *, rank=0, world=1):
    """All of the batch, or a process's slice of it."""
    drawn = torch.Generator().manual_seed(1)
    z = torch.randn(COUNT, 4, generator=drawn, dtype=torch.float64)
    mine = slice(rank * COUNT // world, (rank + 1) * COUNT // world)
    labels = torch.arange(COUNT) % CLASSES
    nothing = types.SimpleNamespace(score=None, features=None, representation=None)
    return Step(
        discriminate=lambda images, labels: nothing,
        augment=lambda images, role: images,
        view=lambda images, stream: images,
        generate=generator,
        generator=generator,
        draws=lambda stream: Draws(7, stream, 100, rank=rank, world=world),
        z=z[mine],
        fake=z[mine],
        fake_labels=labels[mine],
        on_fake=nothing,
    )


def lengths_by_jacobian(generator, step, shrink):
    """|J_w^T y| for each sample: every entry of the Jacobian, by one backward pass each."""
    draws = step.draws("path_length")
    z, labels = step.z[::shrink], step.fake_labels[::shrink]
    w = generator.mapping(z, labels, draws).detach()
    generator.synthesis(w, draws)
    y = draws.normal(len(z), 1, 8, 8, dtype=torch.float64) / 8

    def images(w):
        return generator.synthesis(w, step.draws("path_length"))

    jacobian = torch.autograd.functional.jacobian(images, w)  # [N, 1, 8, 8, N, layers, D]
    found = []
    for n in range(len(z)):
        pulled = torch.einsum("chw,chwld->ld", y[n], jacobian[n, :, :, :, n])
        squares = [sum(entry**2 for entry in layer) for layer in pulled]
        found.append((sum(squares) / len(squares)) ** 0.5)
    return torch.stack(found)


@pytest.mark.parametrize("shrink", [1, 2])
def test_lengths_are_those_of_the_jacobian(shrink):
    generator, term = network(), PathLength(shrink=shrink).double()
    step = step_of(generator)
    lengths = lengths_by_jacobian(generator, step, shrink)
    assert len(lengths) == COUNT // shrink
    mean = torch.zeros((), dtype=torch.float64)
    for _ in range(3):
        mean = 0.99 * mean + 0.01 * lengths.mean()
        expected = ((lengths - mean) ** 2).mean()
        torch.testing.assert_close(term.g_term(step), expected)
        torch.testing.assert_close(term.mean, mean)


class Linear(nn.Module):
    """Images A w, for which J_w = A."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.matrix = nn.Parameter(torch.randn(2 * 3 * 4, 4, dtype=torch.float64))

    def mapping(self, z, labels, draws):
        return z.clone().requires_grad_()

    def synthesis(self, w, draws):
        return (w @ self.matrix.T).view(-1, 2, 3, 4)


def test_a_linear_synthesis_in_closed_form():
    linear, term = Linear(), PathLength(shrink=1, decay=1.0).double()
    step = step_of(linear)
    y = step.draws("path_length").normal(COUNT, 2, 3, 4, dtype=torch.float64) / 12**0.5
    lengths = (y.flatten(1) @ linear.matrix).norm(dim=1)
    loss = term.g_term(step)
    torch.testing.assert_close(loss, lengths.var(unbiased=False))
    # d/dA of (|A^T y| - a)^2 is 2 (|A^T y| - a) y (A^T y)^T / |A^T y|
    (gradient,) = torch.autograd.grad(loss, linear.matrix)
    pulled = y.flatten(1) @ linear.matrix
    factors = 2 * (lengths - lengths.mean()) / lengths / COUNT
    torch.testing.assert_close(gradient, torch.einsum("n,ni,nj->ij", factors, y.flatten(1), pulled))


@pytest.mark.parametrize("constant_mean", [True, False])
def test_gradients_are_those_of_finite_differences(constant_mean):
    generator, size = network(mixing=0.5), 1e-5
    step = step_of(generator)

    def term():
        built = PathLength(decay=0.5, constant_mean=constant_mean).double()
        built.mean.fill_(0.2)
        return built

    reference = term()
    parameters = dict(generator.named_parameters())
    gradients = torch.autograd.grad(reference.g_term(step), parameters.values(), allow_unused=True)

    def value():
        fresh = term()
        if constant_mean:  # held at what it is where the gradient is taken
            fresh.decay = 0.0
            fresh.mean.copy_(reference.mean)
        return fresh.g_term(step).item()

    checked = 0
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        if gradient is None:
            continue
        place = gradient.abs().argmax().item()
        flat = parameter.data.view(-1)
        start = flat[place].item()
        flat[place] = start + size
        above = value()
        flat[place] = start - size
        below = value()
        flat[place] = start
        expected = (above - below) / (2 * size)
        assert gradient.flatten()[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-9), name
        checked += 1
    assert checked > 15


def test_a_path_of_length_zero_has_a_finite_gradient():
    linear, term = Linear(), PathLength().double()
    with torch.no_grad():
        linear.matrix.zero_()
    term.g_term(step_of(linear)).backward()
    assert torch.isfinite(linear.matrix.grad).all()


def test_the_term_is_lazy_and_known_by_name():
    assert PENALTIES["path_length"] is PathLength
    term = build_terms({"path_length": {}}, {})["path_length"]
    assert (term.weight, term.every, term.decay, term.shrink) == (2.0, 4, 0.01, 2)
    assert "mean" in term.state_dict()
    assert term.d_term(step_of(network())) is None


def test_it_leaves_the_mean_style_and_moves_with_autocast():
    generator = network().float()
    held = generator.mean_w.clone()
    step = step_of(generator)
    with torch.autocast("cpu", torch.bfloat16):
        loss = PathLength().g_term(step)
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)
    torch.testing.assert_close(loss, PathLength().g_term(step), rtol=0.05, atol=0.01)
    assert torch.equal(generator.mean_w, held)


def test_a_generator_without_styles_is_refused():
    with pytest.raises(ConfigError, match=r"penalties.path_length needs a generator with styles"):
        PathLength().g_term(step_of(nn.Identity()))


def results(*, rank=0, world=1):
    """Gradients of the penalty and all that is remembered, after one step."""
    generator, term = network(mixing=0.5), PathLength().double()
    step = step_of(generator, rank=rank, world=world)
    generator(step.z, step.fake_labels, step.draws("noise"))
    term.g_term(step).backward()
    average_gradients(generator.parameters())
    found = {name: p.grad for name, p in generator.named_parameters() if p.grad is not None}
    return {**found, "mean": term.mean, "mean_w": generator.mean_w}


def _on_half(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    torch.save(results(rank=rank, world=WORLD), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    mp.start_processes(_on_half, (str(tmp_path),), nprocs=WORLD, start_method="spawn")
    whole = results()
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in whole.items():
            assert (found[name] - value).abs().max() < 1e-10, name
