"""The sections of an experiment: one frozen, strict class each, with its defaults and meaning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from reacgan.config.home import PathText
from reacgan.config.registry import DEFAULT_MEMBERS, Checked
from reacgan.config.resolution import Resolution, grid_of

if TYPE_CHECKING:
    import torch

PositiveInt = Annotated[int, Field(gt=0)]
Width = Annotated[int, Field(gt=0, le=1_000_000)]
"""How many channels, features or entries of a latent."""
Depth = Annotated[int, Field(gt=0, le=1000)]
"""How many layers or blocks."""
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
UnitFloat = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["auto", "float32", "bfloat16", "float64"]
Device: TypeAlias = "str | torch.device"
"""As :func:`reacgan.devices.find_device` takes it."""
DEVICES = r"auto|(cpu|mps)(:0)?|cuda(:\d+)?"
"""What a device may be called."""


class Schema(Checked):
    """Base of every section: frozen, unknown keys are errors, fields are documented for ``--help``."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Component(Schema):
    """A registered member of a family and the options of its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: str
    """The member's name in its family's table."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        if isinstance(values, str):  # a name alone: the member with the options it has by itself
            return {"name": values}
        # As in Python, so that an experiment equals what is read back from its JSON.
        return _lists_to_tuples(values)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword options beside the name."""
        return dict(self.model_extra or {})


def _lists_to_tuples(value: Any) -> Any:
    """Lists as tuples, also in the options of a member within (``over``)."""
    if isinstance(value, dict):
        return {key: _lists_to_tuples(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value


def named_options(values: Any) -> Any:
    """A name, or several, stand for members with the options they have by themselves."""
    if isinstance(values, str):
        values = [name for name in re.split(r"[\s,+]+", values) if name]
    if values is None:
        return {}
    if isinstance(values, list | tuple) and all(isinstance(name, str) for name in values):
        return {name: {} for name in values}
    if not isinstance(values, dict):
        raise ValueError(
            f"is {values!r}; needed: names, such as [cr, bcr], or a mapping of names to their options, "
            "such as {r1: {weight: 10}}; {} for none"
        )
    return {name: _plain_options(options) for name, options in values.items()}


def _plain_options(values: Any) -> Any:
    """No options where nothing was said; lists as tuples, so that they equal what is read back."""
    if values is None:
        return {}
    return _lists_to_tuples(values) if isinstance(values, dict) else values


Components = Annotated[dict[str, dict[str, Any]], BeforeValidator(named_options)]
"""Members of a family by name, each with the options of its constructor; written as a mapping,
or as names alone: ``cr`` or ``[bcr, zcr]``."""


def component(name: str, **options: Any) -> Component:
    """A component by name and options, for experiments written in Python."""
    return Component.model_validate({"name": name, **options})


def _plain_path(value: Any) -> Any:
    """``--set data.path=500`` reads a number where a word is meant."""
    return str(value) if type(value) is int else value


class DataConfig(Schema):
    """Which labelled images, and how they reach the model."""

    name: str = "folder"
    """Registered data set; ``reacgan data list`` names them."""
    path: Annotated[PathText | None, BeforeValidator(_plain_path)] = None
    """Where the images are, or what else the data set wants (glyphs: how many classes);
    None downloads (where the data set allows it) or uses the embedded copy."""
    resolution: Resolution = 32
    """Side of the square images, or [height, width], pixels; images of any size are cropped and
    resized to it. With a shorter side of 4 x 2^k to 8 x 2^k both are multiples of 2^k."""
    channels: Annotated[int, Field(ge=1, le=64)] = 3
    """1 for grey, 3 for RGB, 4 with opacity; other numbers need arrays (.npy) instead of pictures."""
    flip: bool = True
    """Mirror half of the real images horizontally (turn off for digits, text, anything with a left)."""
    crop: Annotated[int, Field(ge=0, le=64)] = 0
    """Shift real images by up to this many pixels at random (edges repeated)."""
    balanced: bool = False
    """Show every class equally often, however many images it has."""
    options: Annotated[dict[str, Any], BeforeValidator(_plain_options)] = Field(
        default_factory=dict
    )
    """What this data set alone knows, such as ``box`` of cub200; ``reacgan data list`` names them."""

    @model_validator(mode="after")
    def _fits_a_grid(self) -> DataConfig:
        grid_of(self.resolution)
        return self


class CodesConfig(Schema):
    """What an InfoGAN hides in the first entries of z, for its head to find (Chen et al. 2016)."""

    discrete: tuple[Annotated[int, Field(ge=2)], ...] = ()
    """Number of values of each discrete code."""
    continuous: Annotated[int, Field(ge=0)] = 0
    """How many continuous codes, uniform on [-1, 1]."""


_FLAT_HEADS = ("twin", "discriminative", "infogan")
_FLAT_OPTIONS = (
    "embedding_dim",
    "temperature",
    "margin",
    "form",
    "normalize_features",
    "normalize_weights",
)


class ModelConfig(Schema):
    """Generator, discriminator backbone and head."""

    generator: Component = Component(name=DEFAULT_MEMBERS["generator"])
    backbone: Component = Component(name=DEFAULT_MEMBERS["backbone"])
    head: Component = Component(name=DEFAULT_MEMBERS["head"])
    codes: CodesConfig | None = None
    """Codes in z for the head ``infogan``; None for every other head."""

    @field_validator("head", mode="before")
    @classmethod
    def _options_of_the_inner_head(cls, values: Any) -> Any:
        """Options beside ``over`` that are the inner head's, as up to 0.1, move into ``over``."""
        if isinstance(values, Component):
            values = values.model_dump()
        if not isinstance(values, dict) or values.get("name") not in _FLAT_HEADS:
            return values
        over = values.get("over", {})
        if not isinstance(over, str | dict):
            return values
        flat = {key: values[key] for key in _FLAT_OPTIONS if values.get(key) is not None}
        inner = {**({"name": over} if isinstance(over, str) else over), **flat}
        own = {key: value for key, value in values.items() if key not in ("over", *_FLAT_OPTIONS)}
        return {**own, "over": inner} if inner else own


class TransitionConfig(Schema):
    """From unconditional to conditional training (Shahbazi et al., ICLR 2022), for small sets."""

    start: NonNegativeFloat = 0
    """Until this many images labels have no influence, on neither G nor D."""
    end: PositiveFloat
    """From this many images on they have their full influence; it rises linearly in between."""

    @model_validator(mode="after")
    def _ends_after_start(self) -> TransitionConfig:
        if self.end <= self.start:
            raise ValueError(f"end ({self.end:g}) must lie after start ({self.start:g})")
        return self


class TopKConfig(Schema):
    """G learns from the fakes with the highest scores (Sinha et al., NeurIPS 2020)."""

    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """The share that G learns from is multiplied by this ..."""
    every: PositiveFloat = 50_000
    """... whenever this many images have been seen ..."""
    least: Annotated[float, Field(gt=0, le=1)] = 0.5
    """... until it has come down to this."""


class LatentOptimisationConfig(Schema):
    """z moves towards higher scores of D before both losses are computed (LOGAN, Wu et al. 2019)."""

    rate: PositiveFloat = 0.9
    """Length of a step, alpha of the paper."""
    damping: PositiveFloat = 0.1
    """beta of the paper: the step is rate x gradient / (damping + |gradient|^2)."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the entries of z that move."""
    cost: NonNegativeFloat = 0.1
    """Weight of the squared length of the move in both losses; clipping to ``limit`` is no move."""
    steps: PositiveInt = 1
    """How many steps."""
    limit: PositiveFloat | None = None
    """Moved z is clipped to [-limit, limit]; None leaves it, as fits a normal z (reference: 1)."""


class LossConfig(Schema):
    """How the terms are put together: adversarial + conditioning_weight x the head's own loss."""

    adversarial: str = "hinge"
    """hinge, non_saturating, least_squares, wasserstein, relativistic, or none where the head's own
    loss is all there is (multihinge)."""
    conditioning_weight: NonNegativeFloat = 1.0
    """Weight of the head's conditioning loss (lambda of the papers) for both D and G."""
    g_conditioning_weight: NonNegativeFloat | None = None
    """Weight of it in G's loss where that is another; None takes conditioning_weight."""
    transition: TransitionConfig | None = None
    """Labels gain influence while the run goes on; None gives them all of it from the start."""
    top_k: TopKConfig | None = None
    """G learns from the best fakes alone; None for from all."""
    latent_optimisation: LatentOptimisationConfig | None = None
    """LOGAN; None for none."""


class OptimizerConfig(Schema):
    """Adam for one network."""

    lr: PositiveFloat = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: PositiveFloat = 1e-6
    decay_from: NonNegativeFloat | None = None
    """Images seen at which the learning rate starts to fall linearly; None keeps it constant."""
    decay_to: NonNegativeFloat | None = None
    """Images seen at which it reaches zero; needed with decay_from."""

    @model_validator(mode="after")
    def _decay_has_both_ends(self) -> OptimizerConfig:
        if (self.decay_from is None) != (self.decay_to is None):
            raise ValueError("decay_from and decay_to go together: give both or neither")
        if self.decay_from is not None and self.decay_to is not None:
            if self.decay_to <= self.decay_from:
                raise ValueError(
                    f"decay_to ({self.decay_to:g}) must lie after decay_from ({self.decay_from:g})"
                )
        return self


class ApaConfig(Schema):
    """Adaptive pseudo augmentation (Jiang et al., NeurIPS 2021): some fakes pose as real for D."""

    target: UnitFloat = 0.6
    """The share of fakes grows while D's mean sign on real images is above this."""
    speed: PositiveFloat = 500_000
    """Images in which the share goes from 0 to 1 at most."""
    every: PositiveInt = 4
    """Discriminator steps between two adjustments."""


class EmaConfig(Schema):
    """Exponential moving average of the generator, in images so that batch size does not matter."""

    half_life: PositiveFloat = 500_000
    """Images seen after which an old weight counts half."""
    start: NonNegativeFloat = 0
    """Before this many images the average is a plain copy."""
    ramp: UnitFloat | None = 0.05
    """Never longer than this share of the images seen so far (StyleGAN2's ramp-up); None for none."""


class TrainingConfig(Schema):
    """Length, batch and randomness of a run. The only clock is real images seen."""

    images: Annotated[int, Field(gt=0, lt=2**53)] = 1_000_000
    """Real images shown to the discriminator before the run ends."""
    batch: Annotated[int, Field(gt=0, le=1_000_000)] = 64
    """Real images in a discriminator step, over all processes."""
    d_steps: Depth = 1
    """Discriminator steps before each generator step."""
    accumulate: PositiveInt = 1
    """Parts that a batch is worked off in, one after another, to save memory. Losses see the whole."""
    per_process: PositiveInt | None = None
    """Images that a process works on at once, at most: the fewer processes share a batch, the more parts it
    is worked off in, so that no process needs more memory. None: its whole share, in `accumulate` parts."""
    recompute: bool = False
    """Blocks keep only what enters them and are computed again in the backward pass: less memory, about
    a third more time."""
    start_from: PathText | None = None
    """A run, checkpoint or model (a folder, or a name of ``reacgan weights list``) whose weights the run
    begins with, where their shapes fit."""
    freeze_d: Annotated[int, Field(ge=0)] = 0
    """How many of the backbone's stages, from the image on, keep their weights (FreezeD)."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    precision: Precision = "auto"
    """Precision of the convolutions; losses, spectral norm, Adam and EMA never go below float32.

    ``auto`` is bfloat16 on a GPU or a processor that has it, else float32. A run that was begun
    keeps its own."""
    timeout: PositiveFloat | None = 5
    """Minutes without any progress, of this process or another, after which the run ends with the stacks
    of all threads and the exit code 4; processes wait as long for one another. None: never."""
    grace: NonNegativeFloat = 30
    """Seconds between SIGTERM and the kill that follows it (SLURM's KillWait, Kubernetes'
    terminationGracePeriodSeconds): the state is saved first, the last sheet only where there is time."""

    def parts(self, processes: int = 1) -> int:
        """Parts in which each of so many processes works off its share of a batch."""
        if self.per_process is None:
            return self.accumulate
        share = self.batch // processes
        fitting = (
            count
            for count in range(self.accumulate, share + 1)
            if share % count == 0 and share // count <= self.per_process
        )
        return next(fitting, self.accumulate)


Switch = bool | None
"""On, off, or None for what ``speed.mode`` says."""


class SpeedConfig(Schema):
    """How a step is computed. Beyond rounding, only the two of TF32 and bfloat16_gradients change it."""

    mode: Literal["auto", "plain"] = "auto"
    """auto takes what pays on the device at hand, plain nothing; a switch below says otherwise."""
    merged_convolutions: Switch = None
    """Doubling and halving are part of the convolutions beside them, shortcuts run at the lower size."""
    merged_passes: Switch = None
    """D looks at real and fake images in one pass, where its backbone allows it."""
    fused_layers: Switch = None
    """Norm, gain, bias and ReLU as one operation; the same of spectral norm and of attention."""
    kernels: Switch = None
    """Spectral norm of a whole network, norms, biases and the head's loss by Triton kernels (CUDA)."""
    channels_last: Switch = None
    """Channels lie next to one another in memory."""
    fused_optimizer: Switch = None
    """One operation moves all weights, another the average."""
    keep_memory: Switch = None
    """A CPU process keeps what it has freed, instead of asking the system for it again."""
    resident: Switch = None
    """A set of images that fits lies on the device; else batches are read ahead."""
    background: Switch = None
    """Files are written beside the next steps."""
    cuda_graphs: Switch = None
    """A step is recorded once and replayed (CUDA)."""
    compile: Switch = None
    """torch.compile of the networks; its start takes minutes."""
    tf32: Switch = None
    """Convolutions of float32 with 10 bits of mantissa (CUDA), as PyTorch's default is; changes results."""
    tf32_products: Switch = None
    """The same of matrix products, which PyTorch leaves off."""
    overlapped_gradients: Switch = None
    """Several processes: gradients are sent in buckets while the backward pass goes on."""
    bfloat16_gradients: Switch = None
    """Several processes: gradients are sent with 8 bits of mantissa, in half the bytes; changes results."""
