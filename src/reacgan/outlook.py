"""What to expect of so many images, by images seen, and what to do with a generator: in plain words.

The figures are rough and of this project's own runs (``docs/results.md``): digits of 8 pixels, signs of
16, CIFAR-10 and Tiny-ImageNet at 32; larger pictures by what published runs saw.
"""

from __future__ import annotations

import shlex
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_SHAPES, HALFWAY, USABLE, BEST = "first shapes", "halfway", "usable", "as good as it gets"
HARDLY_BEGUN = "has hardly begun to learn"
"""In the warning of scores that were taken so early."""
_BY_SIDE = {
    8: (10_000, 50_000, 150_000),
    16: (20_000, 200_000, 1_000_000),
    32: (50_000, 1_000_000, 20_000_000),
    64: (150_000, 4_000_000, 40_000_000),
    128: (400_000, 10_000_000, 100_000_000),
}
"""Images seen at each stage, by the shorter side of the pictures."""
_MOST_PASSES, _LEAST = 2_000, 200_000
"""Small sets are learned by heart: more passes, beyond so many images, bring nothing new."""
_LITTLE = "more training adds little"


@dataclass(frozen=True)
class Prospect:
    """What a set can give, by the images of a class; every statement on small sets is taken from here."""

    below: float
    """Images a class."""
    said: str
    """What to expect, after the number of images."""
    middle: tuple[str, str]
    """Name of the stage halfway and what its pictures show."""
    best: str
    """What pictures show at their best."""
    few: bool = False
    """Whether trained weights to start from would help much."""


PROSPECTS = (
    Prospect(
        20,
        "are very few: pictures will be near-copies and blends of yours, nothing new. A few "
        "hundred a class change that more than any setting does",
        (HALFWAY, "the colours and layout of your images"),
        f"near-copies and blends of your images; {_LITTLE}",
        few=True,
    ),
    Prospect(
        200,
        "are few: expect the colours and layout of your images, little variety, and copies of "
        "single ones (reacgan report RUN --pictures shows the nearest). More images help most",
        (HALFWAY, "the colours and layout of your images"),
        f"little variety, copies of single images; {_LITTLE}",
        few=True,
    ),
    Prospect(
        2_000,
        "can become recognisable, with less variety than the real images, and faults in detail",
        (USABLE, "recognisable, with faults"),
        f"less variety than the real images, faults in detail; {_LITTLE}",
    ),
    Prospect(
        float("inf"),
        "are enough for what the literature shows; time is what limits it",
        (USABLE, "recognisable, with faults"),
        _LITTLE,
    ),
)


@dataclass(frozen=True)
class Milestone:
    """A stage of a training."""

    name: str
    images_seen: int
    pictures: str
    """What its pictures show."""


def prospect(images: int | None, classes: int) -> Prospect:
    """What so many images of so many classes can give; many, where their number is not known."""
    if images is None:
        return PROSPECTS[-1]
    return next(known for known in PROSPECTS if images / max(classes, 1) < known.below)


def stages(side: int, images: int | None, classes: int) -> tuple[Milestone, ...]:
    """The stages of a training, in their order; rough.

    Args:
        side: shorter side of the pictures, pixels.
        images: how many there are to learn from; None where that is not known.
        classes: how many classes those have.
    """
    known = [known for known in _BY_SIDE if known <= side]
    first, middle, best = _BY_SIDE[max(known, default=min(_BY_SIDE))]
    if images is not None:
        best = min(best, max(_MOST_PASSES * images, _LEAST))
    middle = min(middle, best // 2)
    expected = prospect(images, classes)
    name, pictures = expected.middle
    return (
        Milestone(FIRST_SHAPES, min(first, middle // 2), "colours and rough shapes"),
        Milestone(name, middle, pictures),
        Milestone(BEST, best, expected.best),
    )


def seen_in(text: str, channels: int) -> str:
    """What pictures show, of images with so many channels: grey ones have shades, no colours."""
    return text.replace("colours", "shades") if channels == 1 else text


def meaning_of(
    images_seen: int, side: int, images: int | None, classes: int, *, planned: int | None = None
) -> str:
    """What pictures mean after so many images seen, for a person.

    Args:
        images_seen: by D.
        side: as of :func:`stages`, like the next two.
        images: there are to learn from.
        classes: those have.
        planned: images to see, all in all: a plan that ends before there are shapes is said to.
    """
    ahead = stages(side, images, classes)
    index = bisect_right([stage.images_seen for stage in ahead], images_seen)
    if index == 0:
        first = ahead[0].images_seen
        said = f"too early to judge: pictures are noise or blots until about {first:,} images"
        short = planned is not None and planned < first
        return (
            f"{said}, and this plan ends at {planned:,}: it is too short for more"
            if short
            else said
        )
    now = ahead[index - 1]
    if index == len(ahead):
        return f"about {now.name}: {now.pictures}; more or other images do more"
    after = ahead[index]
    return f"expect {now.pictures}; {after.name} at about {after.images_seen:,} images"


def hardly_begun(images_seen: int, side: int, images: int | None, classes: int) -> bool:
    """Whether pictures after so many images seen have no shapes yet; arguments as of :func:`stages`."""
    return images_seen < stages(side, images, classes)[0].images_seen


def share_of(images_seen: int, planned: int) -> str:
    """``3.1% of the plan``, with a decimal where whole numbers say too little."""
    share = images_seen / planned
    if 0 < share < 0.0005:
        return "less than 0.1% of the plan"
    return f"{share:.0%} of the plan" if share >= 0.1 else f"{share:.1%} of the plan"


def next_commands(
    folder: Path,
    class_names: Sequence[str],
    *,
    planned: int,
    complete: bool = True,
    outside: Sequence[tuple[str, str]] = (),
) -> Iterator[str]:
    """What a person may do with a run now: lines to paste into a shell.

    Args:
        folder: the run's.
        class_names: its classes.
        planned: images to see, all in all.
        complete: whether they are seen.
        outside: families and names of members that a script has registered, which the command line does
            not know.
    """
    plain = [
        name
        for name in class_names
        if "," not in name and name == name.strip() and name.isprintable() and name[:1] != "-"
    ]
    classes = ["--classes", ",".join(plain[:2])] if 0 < len(plain[:2]) < len(class_names) else []
    run = str(folder)
    yield _line("sample", run, *classes, "--num", "16", "--grid", "--out", f"{run}-pictures")
    yield _line("evaluate", run)
    yield _line("report", run, "--pictures")
    goes_on = f"trains on, {'for twice' if complete else 'to the end of'} the plan"
    if outside:
        members = " and ".join(f"the {family} {name}" for family, name in outside)
        more = f", with training.images={2 * planned}" if complete else ""
        yield f"run your script again{more}   # {goes_on}; it registers {members}"
        return
    further = ["--images", str(2 * planned)] if complete else []
    yield f"{go_on(folder, *further)}   # {goes_on}"


def go_on(folder: Path, *options: str) -> str:
    """The command that trains a run on."""
    return _line("train", str(folder / "experiment.json"), "--out", str(folder), *options)


def _line(*words: str) -> str:
    return shlex.join(["reacgan", *words])


def white_in_words(white: float | None) -> str:
    """How pixels map back to the values of training images of more than 8 bits; empty for others."""
    if white is None:
        return ""
    return (
        f"the training images had more than 8 bits, of which 0 to {white:,g} became 0 to 255: "
        f"value = pixel / 255 * {white:g}, in steps of {white / 255:.3g}"
    )
