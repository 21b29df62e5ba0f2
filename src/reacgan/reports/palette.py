"""One palette for all figures: a method has one colour, wherever it is drawn.

The colours follow Okabe & Ito and Tol: neighbours differ for people who see red and green alike too. All
stand out from white by 3 : 1 or more, and from the dark page, which inverts figures and keeps the hue. What
shares a colour differs in dashes and marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

METHODS: Mapping[str, str] = {
    "d2dce": "#0072b2",  # ReACGAN: blue
    "auxiliary": "#d55e00",  # ACGAN: vermilion
    "contrastive": "#009073",  # ContraGAN: green
    "projection": "#cc61a8",  # BigGAN: pink
    "unconditional": "#545d6b",  # SNGAN: grey
    "twin": "#a67c00",  # TAC-GAN: ochre
    "discriminative": "#882255",  # ADC-GAN: wine
    "multihinge": "#117733",  # MHGAN: dark green
    "multilogit": "#7f7f1a",  # MD-GAN: olive
    "mapped_projection": "#c4586d",  # StyleGAN: rose
    "infogan": "#332288",  # indigo
}
"""Colours by the name of the head."""

NAMES: Mapping[str, str] = {
    "d2dce": "ReACGAN",
    "auxiliary": "ACGAN",
    "contrastive": "ContraGAN",
    "projection": "projection (BigGAN)",
    "unconditional": "a discriminator without classes",
    "twin": "TAC-GAN",
    "discriminative": "ADC-GAN",
    "multihinge": "MHGAN",
    "multilogit": "MD-GAN",
    "mapped_projection": "mapped projection (StyleGAN)",
    "infogan": "InfoGAN",
}
"""What people call the heads."""

_ALIASES: Mapping[str, str] = {
    **{"reacgan": "d2dce", "d2d-ce": "d2dce", "acgan": "auxiliary", "ac": "auxiliary"},
    **{"contragan": "contrastive", "2c": "contrastive", "biggan": "projection"},
    **{"sngan": "unconditional", "tacgan": "twin", "tac-gan": "twin", "tac": "twin"},
    **{"adcgan": "discriminative", "adc-gan": "discriminative", "adc": "discriminative"},
    **{"mhgan": "multihinge", "md-gan": "multilogit", "mdgan": "multilogit"},
}
_MARKS = "osD^vPX*"
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))

CYCLE = tuple(METHODS.values())
"""Colours of what is no method: classes, parts of a loss."""
INK, SOFT, ACCENT, SECOND = "#1a202c", "#8b95a5", METHODS["d2dce"], METHODS["auxiliary"]
"""Real images and errors; marks beside; a single line or bar; what is compared with it."""


@dataclass(frozen=True)
class Style:
    """How a line, its points or a bar is drawn."""

    colour: str
    dash: Any
    mark: str

    def line(self) -> dict[str, Any]:
        """Options of matplotlib's plot, without the mark."""
        return {"color": self.colour, "linestyle": self.dash}


def head_of(name: str) -> str | None:
    """The head that a head, a method or a row of a table names; None for others."""
    plain = name.partition(" (")[0].strip().casefold()  # "ReACGAN (both, D2D-CE)"
    return plain if plain in METHODS else _ALIASES.get(plain)


def styles(names: Sequence[str], heads: Sequence[str | None] | None = None) -> list[Style]:
    """Styles that tell names apart; methods have their own colour, others what is left.

    Args:
        names: of rows, runs or lines, in their order.
        heads: of each the head; None for those that the names say (:func:`head_of`).
    """
    known = [head_of(name) for name in names] if heads is None else list(heads)
    taken = {METHODS[head] for head in known if head is not None and head in METHODS}
    spare = [colour for colour in CYCLE if colour not in taken] or list(CYCLE)
    often: Counter[str] = Counter()
    made = []
    others = 0
    for index, head in enumerate(known):
        if head is not None and head in METHODS:
            colour = METHODS[head]
        else:
            colour = spare[others % len(spare)]
            others += 1
        mark = _MARKS[index % len(_MARKS)]
        made.append(Style(colour, _DASHES[often[colour] % len(_DASHES)], mark))
        often[colour] += 1
    return made


def class_style(rank: int) -> Style:
    """The style of the ``rank``-th class in a figure: 88 pairs of a colour and a mark differ."""
    return Style(CYCLE[rank % len(CYCLE)], "-", _MARKS[rank % len(_MARKS)])
