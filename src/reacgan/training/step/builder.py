"""The steps of a run, each made as a value of the moment (images seen)."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from reacgan.config import ConfigError, Experiment, neighbours
from reacgan.data import ImageData
from reacgan.data.loader import Loader
from reacgan.losses import adversarial
from reacgan.randomness import Draws
from reacgan.training.engine import Engine
from reacgan.training.schedules import condition_strength, top_share
from reacgan.training.state import TrainState, trained_parameters
from reacgan.training.step.averaging import GradientAverage
from reacgan.training.step.gradients import discriminator_gradients, generator_gradients
from reacgan.training.step.work import Labelled, Latents, Objective, StepContext, Work


class StepBuilder:
    """Gives each step its images, latents, draws and objective.

    Args:
        experiment: what is trained.
        state: networks and clock.
        data: the training images.
        engine: where it is trained.

    Raises:
        ConfigError: processes and parts cannot share the batch evenly.
    """

    def __init__(
        self, experiment: Experiment, state: TrainState, data: ImageData, engine: Engine
    ) -> None:
        training = experiment.training
        self.parts = training.parts(engine.world)
        shares = engine.world * self.parts
        if training.batch % shares:
            raise ConfigError(
                f"training.batch is {training.batch}, which {engine.world} processes x "
                f"training.accumulate ({self.parts}) parts cannot share evenly; take a multiple of "
                f"{shares}, such as {neighbours(training.batch, shares)}"
            )
        self.experiment = experiment
        self.state = state
        self.engine = engine
        self.num_classes = data.num_classes
        self.part_size = training.batch // shares
        self.loader = Loader(
            data,
            batch=training.batch,
            seed=training.seed,
            device=engine.device,
            rank=engine.rank,
            world=engine.world,
            flip=experiment.data.flip,
            crop=experiment.data.crop,
            balanced=experiment.data.balanced,
            resident_limit_bytes=None if engine.speed.resident else 0,
        )
        self.objective = Objective(
            adversarial(experiment.loss.adversarial),
            experiment.loss.conditioning_weight,
            state.adaptive.augment,
            experiment.loss.g_conditioning_weight,
            dict(state.adaptive.terms),
            state.adaptive.apa,
            experiment.loss.latent_optimisation,
        )
        self.g_parameters = trained_parameters(state.generator)
        self.d_parameters = trained_parameters(state.discriminator)
        self.g_average, self.d_average = (
            GradientAverage(
                parameters,
                overlapped=engine.speed.overlapped_gradients,
                bfloat16=engine.speed.bfloat16_gradients,
            )
            for parameters in (self.g_parameters, self.d_parameters)
        )
        self._batch: tuple[int, Labelled] | None = None

    def discriminator(self) -> Work:
        """The D step of this moment."""
        return Work(
            discriminator_gradients,
            self.contexts(self.experiment.training.batch),
            self.real(),
            self.latents("latents/d"),
            self.d_parameters,
            self.engine.autocast,
            self.d_average.sending,
        )

    def generator(self) -> Work:
        """The G step of this moment, at which the images of the D steps count as seen."""
        return Work(
            generator_gradients,
            self.contexts(self.experiment.cycle_images, shown=True),
            self.real() if self.objective.g_needs_real else None,
            self.latents("latents/g"),
            self.g_parameters,
            self.engine.autocast,
            self.g_average.sending,
        )

    def draws(self, stream: str, part: int = 0) -> Draws:
        """Randomness of one purpose at this moment, for one part of the batch."""
        return Draws(
            self.experiment.training.seed,
            stream,
            self.state.images_seen,
            device=self.engine.device,
            rank=self.engine.rank * self.parts + part,  # a part draws as a process would
            world=self.engine.world * self.parts,
        )

    def latents(self, stream: str) -> list[Latents]:
        """Latents and uniformly drawn labels for one step, for each part of the batch."""
        parts = []
        for part in range(self.parts):
            draws = self.draws(stream, part)
            z = draws.normal(
                self.part_size, self.state.generator.latent_dim, dtype=self.engine.dtype
            )
            parts.append(Latents(z, draws.integers(self.part_size, high=self.num_classes)))
        return parts

    def contexts(self, images_a_step: int, *, shown: bool = False) -> list[StepContext]:
        """Networks and objective at this moment, for each part of the batch.

        ``shown``: the images of this step count as seen already, as they do in G's step.
        """
        loss, seen = self.experiment.loss, self.state.images_seen
        return [
            StepContext(
                self.state.generator,
                self.state.discriminator,
                self.objective,
                partial(self.draws, part=part),
                index=(seen - shown) // images_a_step,
                strength=condition_strength(loss.transition, seen),
                top_share=top_share(loss.top_k, seen),
            )
            for part in range(self.parts)
        ]

    def real(self) -> tuple[Tensor, Tensor]:
        """Real images in [-1, 1] and labels of this moment; a second call gives the same tensors."""
        seen = self.state.images_seen
        if self._batch is None or self._batch[0] != seen:
            engine, batch = self.engine, None
            if engine.speed.kernels:
                batch = self.loader.scaled_at(seen, engine.dtype, engine.memory_format)
            if batch is None:
                images, labels = self.loader.at(seen)
                batch = engine.scale(images), labels
            self._batch = seen, batch
        return self._batch[1]
