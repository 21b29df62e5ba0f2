"""Base classes of heads: their output, their two conditioning losses, and their layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reacgan.tensors import widened, without_autocast


@dataclass(frozen=True)
class Layers:
    """Factories of a head's layers, which the backbone chooses.

    A discriminator with spectral normalisation passes factories that build normalised layers.
    """

    linear: Callable[[int, int, bool], nn.Module] = nn.Linear
    """``(inputs, outputs, bias)`` to a module ``[N, inputs] -> [N, outputs]``."""
    embedding: Callable[[int, int], nn.Module] = nn.Embedding
    """``(rows, width)`` to a module ``int64 [N] -> [N, width]``."""


PLAIN_LAYERS = Layers()
ZERO_LENGTH = 1e-12


@dataclass(frozen=True, eq=False)
class HeadOutput:
    """A head's output for N samples.

    A head with more outputs returns a frozen dataclass that extends this one, with tensors ``[N, ...]``.
    """

    score: Tensor
    """``[N]``: large for real, small for fake."""
    labels: Tensor
    """``[N]`` int64: the labels that the samples were given."""
    embedding: Tensor | None = None
    """``[N, E]``: the projected features, not yet normalised (2C, D2D-CE)."""
    logits: Tensor | None = None
    """``[N, K]``: class scores (classifiers)."""
    class_vectors: Tensor | None = None
    """``[K, E]``: one learned vector a class, not yet normalised; shared by all samples."""
    features: Tensor | None = None
    """``[N, F]``: the backbone's; set by the discriminator."""
    latents: Tensor | None = None
    """``[N, Z]``: what fakes were made from; set by the step, None for real images."""
    twin: HeadOutput | None = None
    """Output of a second head beside the first (TAC's twin, InfoGAN's Q)."""

    SHARED: ClassVar[tuple[str, ...]] = ("class_vectors",)
    """Fields without an axis of samples."""

    @property
    def representation(self) -> Tensor | None:
        """What consistency compares besides the score: the normalised embedding, logits, or nothing."""
        return unit(self.embedding) if self.embedding is not None else self.logits

    def split(self, sizes: Sequence[int]) -> list[HeadOutput]:
        """Cut the samples into consecutive parts, such as real and fake; class vectors are shared.

        Raises:
            RuntimeError: the sizes do not add up to N.
        """
        parts: list[dict[str, Any]] = [{} for _ in sizes]
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.name in self.SHARED or value is None
            pieces = [value] * len(sizes) if whole else value.split(list(sizes))
            for part, piece in zip(parts, pieces, strict=True):
                part[field.name] = piece
        return [type(self)(**part) for part in parts]

    @staticmethod
    def join(outputs: Sequence[HeadOutput]) -> HeadOutput:
        """The samples of several outputs, one after another; the opposite of :meth:`split`."""
        first = outputs[0]
        joined: dict[str, Any] = {}
        for field in fields(first):
            parts = [getattr(output, field.name) for output in outputs]
            if isinstance(parts[0], HeadOutput):
                joined[field.name] = HeadOutput.join(parts)
            elif parts[0] is not None and field.name not in first.SHARED:
                joined[field.name] = torch.cat(parts)
        return replace(first, **joined)

    def tensors(self) -> dict[str, Tensor]:
        """Every floating-point tensor by name, those of the twin under ``twin.``."""
        named: dict[str, Tensor] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, HeadOutput):
                named |= {f"twin.{name}": tensor for name, tensor in value.tensors().items()}
            elif value is not None and value.is_floating_point():
                named[field.name] = value
        return named

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> HeadOutput:
        """The same output with tensors exchanged by the names that :meth:`tensors` gives."""
        changed: Any = {name: value for name, value in tensors.items() if "." not in name}
        if self.twin is not None:
            changed["twin"] = self.twin.with_tensors(
                {name[5:]: value for name, value in tensors.items() if name.startswith("twin.")}
            )
        return replace(self, **changed)


class Head(nn.Module):
    """The last part of a discriminator: features and labels to a score and what its method needs.

    A member defines :meth:`forward` and, where its method conditions by a loss, :meth:`d_loss` and
    :meth:`g_loss`. Both losses are pure functions of the outputs; the caller applies their weight.

    In a bfloat16 run these three methods of a member get their tensors in float32 and run outside
    autocast, so that products keep full precision. A class that sees to its own precision is written
    ``class Mine(Head, full_precision=False)``; classes that extend it say so themselves.
    """

    couples_samples: bool = False
    """Whether its losses compare samples of the batch with one another."""
    is_adversarial: ClassVar[bool] = False
    """Whether its own loss tells real from fake, so that no adversarial loss is needed."""
    needs_codes: ClassVar[bool] = False
    """Whether it is built with ``codes``, the codes in z (InfoGAN)."""
    condition_strength: Tensor
    """Influence of labels on the score, 0 to 1; below 1 only during an unconditional-to-conditional
    run. The conditioning losses are weighted by the caller."""

    def __init_subclass__(cls, *, full_precision: bool = True, **others: Any) -> None:
        super().__init_subclass__(**others)
        for name in ("forward", "d_loss", "g_loss") if full_precision else ():
            if name in cls.__dict__:
                setattr(cls, name, _in_full_precision(cls.__dict__[name]))

    def __init__(self) -> None:
        super().__init__()
        self.kernels = False
        self.register_buffer("condition_strength", torch.ones(()))

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Output for ``features [N, F]`` under ``labels [N]`` (int64 of 0 .. K - 1)."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """Return the scalar that D minimises beside the adversarial loss; zero by default."""
        return _zero(real)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """Return the scalar that G minimises beside the adversarial loss; zero by default."""
        return _zero(fake)

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """``[N, K]``: their softmax is this head's probability of each class; None if it has none."""
        return output.logits


def _in_full_precision(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a head whose tensors are float32 at least, outside autocast."""

    @wraps(method)
    def outside(self: Head, *given: Any, **named: Any) -> Any:
        inputs = [_wide(value) for value in given]
        by_name = {name: _wide(value) for name, value in named.items()}
        first = next(iter([*given, *named.values()]))
        with without_autocast(first.score if isinstance(first, HeadOutput) else first):
            return method(self, *inputs, **by_name)

    return outside


def _wide(value: Tensor | HeadOutput) -> Tensor | HeadOutput:
    if isinstance(value, HeadOutput):
        return value.with_tensors({name: widened(part) for name, part in value.tensors().items()})
    return widened(value) if value.is_floating_point() else value


def _zero(output: HeadOutput) -> Tensor:
    return widened(output.score.new_zeros(()))


def unit(vectors: Tensor) -> Tensor:
    """Divide each row by its Euclidean length, in float32 at least.

    Rows are first divided by their largest component (a constant for the gradient, since the
    direction does not depend on it), so that no square overflows or vanishes. A row without a
    component above 1e-12 has no direction: it becomes zero and gets no gradient.
    """
    vectors = widened(vectors)
    largest = vectors.detach().abs().amax(dim=-1, keepdim=True)
    vectors = vectors / torch.where(largest < ZERO_LENGTH, torch.inf, largest)
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)  # at least 1, or exactly 0
    return vectors / length.clamp_min(0.5)
