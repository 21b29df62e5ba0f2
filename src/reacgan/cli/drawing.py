"""Options of how images are made, the same for every command that makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from reacgan.cli import streams
from reacgan.cli.options import load_generator, tell_statistics
from reacgan.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reacgan.models.trained import TrainedGenerator
    from reacgan.sampling import SamplingSettings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How images are made."""

    seed: int = 0
    """The first seed; the others follow it."""
    truncation: float | None = None
    """Largest absolute value of the latent, such as 0.7: less variety, more typical images."""
    psi: float | None = None
    """Truncate styles towards their mean, such as 0.7; 1 is no truncation. Networks with styles only."""
    psi_layers: int | None = None
    """With --psi: only in this many first layers."""
    statistics: Literal["auto", "own", "moving", "batch", "standing"] = "auto"
    """Of batch norms: auto takes the averages of training where they fit the generator, else its own;
    own; moving (the averages of training); batch (a class and a seed then do not fix the image);
    standing (collected anew)."""
    langevin: int = 0
    """Langevin dynamics: move each latent by this many steps to where the run's discriminator scores
    higher."""
    langevin_rate: float = 0.01
    """Length of these steps."""
    langevin_noise: float = 1.0
    """Standard deviation of their noise; below 1 latents also shrink towards 0."""
    toward: str | None = None
    """Move each latent towards that of another seed, such as 7:0.25: a quarter of the way to seed 7;
    several separated by commas."""
    along: str | None = None
    """Then along a direction of SeFa (see walk), such as 1:2,3:-0.5: by 2 standard deviations along
    the strongest, and by half of one back along the third."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the generator: auto is bfloat16 on a GPU that has it, float32 elsewhere."""

    def opened(self, model: Path, device: str) -> tuple[TrainedGenerator, SamplingSettings]:
        """The generator with its statistics, and the other settings."""
        from reacgan.hub import load_discriminator  # noqa: PLC0415
        from reacgan.sampling import Langevin, SamplingSettings, parse_moves  # noqa: PLC0415

        chain = None
        if self.langevin:
            discriminator = load_discriminator(model, device=device)
            chain = Langevin(discriminator, self.langevin, self.langevin_rate, self.langevin_noise)
        settings = SamplingSettings(
            self.truncation,
            self.psi,
            self.psi_layers,
            seed=self.seed,
            precision=self.precision,
            langevin=chain,
            moves=parse_moves(self.toward, self.along),
        )
        return load_generator(model, self.statistics, device), settings

    def tell(self, model: TrainedGenerator, settings: SamplingSettings) -> None:
        """Say what was decided, once the images are made."""
        tell_statistics(model, self.statistics)
        if model.values_in_words:
            streams.tell(f"note: {model.values_in_words}")
        made_in = settings.precision_on(next(model.generator.parameters()).device)
        if made_in != "float32":
            streams.tell(f"note: made in {made_in}; --precision float32 takes the other")


AS_USUAL = Drawing()
_MOST_RENAMED = 10


def renamed(pairs: Iterable[tuple[str, str]], where: str = "") -> str:
    """A line on classes whose folder has another name, or nothing; starts with a line break.

    Args:
        pairs: name and folder of each class.
        where: what has the true names, in words; without it `--json` is named where names are left out.
    """
    others = [one_line(f"{folder} is {name}") for name, folder in pairs if name != folder]
    if not others:
        return ""
    more = len(others) - _MOST_RENAMED
    listed = ", ".join(others[:_MOST_RENAMED])
    if more > 0:
        listed += f" and {more:,} more"
        where = where or "`--json` has the class of each file"
    return (
        f"\nnames that not every system takes as a folder: {listed}{f'; {where}' if where else ''}"
    )
