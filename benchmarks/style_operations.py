"""Operations of a step of StyleGAN2 and R3GAN beside the published code's reference operations.

    python benchmarks/style_operations.py

CIFAR-10's published sizes, batch 64, counted without computing anything: a GPU launches about as many
kernels, each of our own as many as it declares. The reference (benchmarks/textbook/style.py) takes real
and fake images apart, R1 and path length in the same step as ours do; without optimiser, average and data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from benchmarks.textbook.style import R3Network, StyleDiscriminator, StyleGenerator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import harness

BATCH = 64
_FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "view",
    "_unsafe_view", "lift_fresh", "alias", "promote_types", "_record_function_enter_new",
    "_record_function_exit", "device"}  # fmt: skip


class Launches(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from reacgan.kernels import LAUNCHES

        result = func(*args, **(kwargs or {}))
        package, _, name = str(func.overloadpacket).partition(".")
        if not func.is_view and name not in _FREE:
            self.count += LAUNCHES.get(f"{package}::{name}", 1)
        return result


def counted(step: Callable[[], Any]) -> int:
    """Operations of a call."""
    with Launches() as launches:
        step()
    return launches.count


# -- the reference


def _squares(score: Tensor, points: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(score.sum(), points, create_graph=True)
    return slope.square().sum([1, 2, 3]).mean()


def reference(network: str) -> dict[str, Callable[[], Any]]:
    """Steps by name, on tensors without content."""
    with torch.device("meta"):
        if network == "r3gan":
            return _r3gan()
        generator, discriminator = StyleGenerator(), StyleDiscriminator()
        z, labels = torch.randn(BATCH, 512), torch.zeros(BATCH, dtype=torch.int64)
        real = torch.randn(BATCH, 3, 32, 32)

    def d_step(*, r1: bool = False) -> None:
        with torch.no_grad():
            fake = generator(z, labels)
        generator.requires_grad_(False)
        discriminator.requires_grad_(True)
        loss = F.softplus(discriminator(fake, labels)).mean()
        loss = loss + F.softplus(-discriminator(real, labels)).mean()
        if r1:
            points = real.detach().requires_grad_()
            loss = loss + _squares(discriminator(points, labels), points) * (0.01 / 2 * 16)
        loss.backward()

    def g_step(*, paths: bool = False) -> None:
        generator.requires_grad_(True)
        discriminator.requires_grad_(False)
        loss = F.softplus(-discriminator(generator(z, labels), labels)).mean()
        if paths:
            w = generator.styles(z[::2], labels[::2])
            images = generator.synthesis(w)
            noise = torch.randn_like(images) / 32
            (slope,) = torch.autograd.grad((images * noise).sum(), w, create_graph=True)
            lengths = slope.square().sum(2).mean(1).sqrt()
            mean = lengths.mean() * 0.01
            loss = loss + (lengths - mean).square().mean() * 8
        loss.backward()

    return {
        "D": d_step,
        "D with R1": lambda: d_step(r1=True),
        "G": g_step,
        "G with path length": lambda: g_step(paths=True),
    }


def _r3gan() -> dict[str, Callable[[], Any]]:
    generator, discriminator = R3Network(up=True), R3Network(up=False)
    basis = nn.Parameter(torch.randn(BATCH, 768, 4, 4))
    real = torch.randn(BATCH, 3, 32, 32)

    def score(images: Tensor) -> Tensor:
        return discriminator(images).sum([1, 2, 3])

    def d_step() -> None:
        with torch.no_grad():
            fake = generator(basis)
        generator.requires_grad_(False)
        discriminator.requires_grad_(True)
        points = [images.detach().requires_grad_() for images in (real, fake)]
        scores = [score(images) for images in points]
        loss = F.softplus(scores[1] - scores[0]).mean()
        for output, images in zip(scores, points, strict=True):
            loss = loss + 0.05 * _squares(output, images)
        loss.backward()

    def g_step() -> None:
        generator.requires_grad_(True)
        discriminator.requires_grad_(False)
        F.softplus(score(real) - score(generator(basis))).mean().backward()

    return {"D with R1 and R2": d_step, "G": g_step}


# -- ours


def ours(experiment: str, *, kernels: bool, precision: str) -> dict[str, int]:
    """Operations of our steps by name."""
    import reacgan
    from reacgan.assembly import complete
    from reacgan.training.loop import Trainer
    from reacgan.training.memory.fakes import FakeEngine, Watch, fake_run
    from reacgan.training.speed import choose

    class Blind(Watch):
        def saw(self, *_: Any) -> None:
            pass

    changes = {"training.precision": precision, "penalties.path_length": {"constant_mean": False}}
    if "r3gan" in experiment:
        del changes["penalties.path_length"]
    settings = complete(reacgan.experiment(experiment).replace(**changes))
    speed = choose(settings.speed, torch.device("cuda"), experiment=settings)
    engine = FakeEngine(torch.device("cpu"), precision, replace(speed, kernels=kernels))  # type: ignore[arg-type]
    names = {0: ("D with R1", "G with path length"), 1: ("D", "G")}
    if "r3gan" in experiment:
        names = {1: ("D with R1 and R2", "G")}
    counts = {}
    with fake_run(settings, 10, engine, Blind(), images=4 * BATCH) as (state, data):
        trainer = Trainer(settings, state, data, engine)
        for step, pair in names.items():
            trainer.state.images_seen = step * BATCH
            d_work = trainer.steps.discriminator()
            counts[pair[0]] = counted(d_work.run)
            trainer.state.images_seen += BATCH
            g_work = trainer.steps.generator()
            counts[pair[1]] = counted(g_work.run)
    return counts


def main() -> None:
    """Print a table and write JSON."""
    given = harness.options(__doc__).parse_args()
    cases = {}
    for network in ("stylegan2", "r3gan"):
        rows = {"reference": {name: counted(step) for name, step in reference(network).items()}}
        for kernels in (False, True):
            for precision in ("float32", "bfloat16"):
                name = f"ours, {precision}" + (", kernels" if kernels else "")
                rows[name] = ours(f"cifar10/{network}", kernels=kernels, precision=precision)
        cases[network] = rows
        print(f"\n{network}")
        for name, row in rows.items():
            print(f"  {name:28}" + "".join(f"{step}: {count:6,}   " for step, count in row.items()))
    harness.write("style_operations", {"batch": BATCH, "cases": cases}, given.out)


if __name__ == "__main__":
    main()
