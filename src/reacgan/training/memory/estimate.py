"""How much memory a step needs, found without computing it.

The formulas of ``steps.py`` run once on tensors that have shapes and types but no contents
(:mod:`reacgan.training.sized`), and what lives at the same time is counted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from reacgan import distributed
from reacgan.config import Experiment
from reacgan.data import ImageData
from reacgan.data.loader import resident_limit
from reacgan.models import build_discriminator, build_generator, set_switches
from reacgan.randomness import Draws
from reacgan.training.engine import Engine
from reacgan.training.sized import Ledger, sized_copy
from reacgan.training.speed import SWITCHES
from reacgan.training.state import Adaptive, TrainState, trained_parameters
from reacgan.training.step.builder import StepBuilder

GIB = 2**30
# Found on CPUs: what libraries load in the first step, and what convolutions need while they run and
# the allocator does not hand out again, as a multiple of all tensors that live at a time.
_LIBRARIES = 120 * 2**20
_SCRATCH = 1.2


@dataclass(frozen=True)
class Estimate:
    """Bytes of one process, at the largest moment of a step."""

    weights: int
    """Networks and averaged generator."""
    learning: int
    """Gradients and Adam's moments."""
    images: int
    """Real images kept on the device."""
    activations: int
    """What else lives at the largest moment of a step."""
    libraries: int
    """What they load in the first step."""

    @property
    def total(self) -> int:
        """All of it."""
        held = (self.weights, self.learning, self.images, self.activations, self.libraries)
        return sum(held)

    def __str__(self) -> str:
        held = self.weights + self.learning
        return (
            f"about {gib(self.total)} GiB (weights and Adam {gib(held)}, images "
            f"{gib(self.images)}, activations {gib(self.activations)}, libraries {gib(self.libraries)})"
        )


def estimate(
    experiment: Experiment, state: TrainState, engine: Engine, *, image_bytes: int = 0
) -> Estimate | None:
    """What training needs; None where it cannot be told, whatever the reason. Changes nothing.

    Args:
        experiment: what is trained; ``training.accumulate`` and ``recompute`` may differ from the
            state's.
        state: networks of the right shapes, on any device.
        engine: where it is trained.
        image_bytes: size of the set of images.
    """
    try:
        with distributed.apart():
            return _estimate(experiment, state, engine, image_bytes)
    except Exception:
        return None


def estimate_of(
    experiment: Experiment, num_classes: int, engine: Engine, *, image_bytes: int = 0
) -> Estimate | None:
    """The same from the experiment alone, without drawing or storing a weight."""
    try:
        state = _shapes(experiment, num_classes, engine)
    except Exception:
        return None
    return estimate(experiment, state, engine, image_bytes=image_bytes)


def _shapes(experiment: Experiment, num_classes: int, engine: Engine) -> TrainState:
    model, data = experiment.model, experiment.data
    with torch.device("meta"):
        generator = build_generator(model.generator, data, num_classes, model.codes)
        discriminator = build_discriminator(
            model.backbone, model.head, data, num_classes, model.codes
        )
    for network in (generator, discriminator):
        set_switches(network, **{name: getattr(engine.speed, name) for name in SWITCHES})
        network.train().to(dtype=engine.dtype)
        network.to(memory_format=engine.memory_format)  # type: ignore[call-overload]
    return TrainState(
        generator,
        discriminator,
        copy.deepcopy(generator),
        Adaptive(experiment),
        torch.optim.Adam(generator.parameters()),
        torch.optim.Adam(discriminator.parameters()),
    )


def _estimate(
    experiment: Experiment, state: TrainState, engine: Engine, image_bytes: int
) -> Estimate:
    networks = (state.generator, state.discriminator, state.average)
    weights = sum(bytes_of([*network.parameters(), *network.buffers()]) for network in networks)
    trained = {
        "d": bytes_of(trained_parameters(state.discriminator)),
        "g": bytes_of(trained_parameters(state.generator)),
    }
    gradients = sum(trained.values())
    training = experiment.training
    count = training.batch // engine.world
    parts = training.accumulate
    if parts > 2:  # two parts are as good as many, but for what is held of the others
        count = count // parts * 2
    small = experiment.replace(
        **{"training.batch": count, "training.accumulate": min(parts, 2), "training.d_steps": 1}
    )
    peaks = _peaks(small, state, _plainly(engine), recompute=training.recompute)
    # The other network's gradients stay until its own step.
    step = max(peaks["d"] + trained["g"], peaks["g"] + trained["d"]) - gradients
    height, width = _size(experiment)
    pixels = experiment.data.channels * height * width * (8 if engine.precision == "float64" else 4)
    rest = 2 * pixels * (training.batch // engine.world - count)  # real images and fakes
    resident = engine.speed.resident and image_bytes <= resident_limit(engine.device)
    host = engine.device.type == "cpu"
    activations = (max(step, 0) + max(rest, 0)) * (_SCRATCH if host else 1)
    return Estimate(
        weights,
        3 * gradients,
        image_bytes if resident else 0,
        int(activations),
        _LIBRARIES if host else 0,
    )


def _peaks(
    experiment: Experiment, state: TrainState, engine: Engine, *, recompute: bool
) -> dict[str, int]:
    """Bytes that a step of either network adds at most, its gradients included."""
    classes = state.generator.num_classes
    height, width = _size(experiment)
    pixels = np.zeros((1, experiment.data.channels, height, width), dtype=np.uint8)
    names = tuple(map(str, range(classes)))
    peaks = {}
    for which in ("d", "g"):
        ledger = Ledger(engine.device)
        made = replace(
            state,
            generator=sized_copy(state.generator, ledger),
            discriminator=sized_copy(state.discriminator, ledger),
            adaptive=copy.deepcopy(state.adaptive),
            images_seen=0 if which == "d" else 1,  # all terms are due
        )
        for network in (made.generator, made.discriminator):
            set_switches(network, recompute=recompute)
        ledger.start()
        steps = StepBuilder(
            experiment, made, ImageData(pixels, np.zeros(1, np.int64), names, "shapes"), engine
        )
        peaks[which] = _peak(steps, which, ledger)
    return peaks


def _peak(steps: StepBuilder, which: str, ledger: Ledger) -> int:
    training, engine = steps.experiment.training, steps.engine
    images = ledger.empty((training.batch, *steps.loader.data.images.shape[1:]), engine.dtype)
    images = images.contiguous(memory_format=engine.memory_format)
    real = images, torch.zeros(training.batch, dtype=torch.int64, device=engine.device)
    drawn = steps.draws
    steps.draws = lambda stream, part=0: _Drawn(drawn(stream, part), ledger)  # type: ignore[method-assign]
    steps.real = lambda: real  # type: ignore[method-assign]
    work = steps.discriminator() if which == "d" else steps.generator()
    result = work.run()
    del result
    return ledger.peak


class _Drawn(Draws):
    """Draws without contents."""

    def __init__(self, draws: Draws, ledger: Ledger) -> None:
        self.__dict__.update(vars(draws))
        self._ledger = ledger

    def _mine(self, drawn: Tensor, count: int) -> Tensor:
        return self._ledger.like(super()._mine(drawn, count))


def _plainly(engine: Engine) -> Engine:
    """The same engine, but nothing is compiled or recorded, and there is one process."""
    made = copy.copy(engine)
    made.rank, made.world = 0, 1
    made.speed = replace(engine.speed, compile=False, cuda_graphs=False)
    return made


def _size(experiment: Experiment) -> tuple[int, int]:
    side = experiment.data.resolution
    return side if isinstance(side, tuple) else (side, side)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Their size."""
    return sum(held.numel() * held.element_size() for held in tensors)


def gib(size: float) -> str:
    """In GiB."""
    return f"{size / GIB:.2g}" if size < GIB else f"{size / GIB:.1f}"
