"""Licences: terms of data sets, and identifiers as the Hugging Face hub spells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from reacgan.config import ConfigError, DataConfig, suggest
from reacgan.hub.places import REPOSITORY


@dataclass(frozen=True)
class Terms:
    """What is known of a data set's licence; no legal advice, but where to look."""

    title: str
    """The data set, for people."""
    licence: str
    """One or two sentences: the terms of the images, and of whom."""
    weights: str = "other"
    """Proposed for weights, as the Hugging Face hub spells it; ``other`` where the terms bind them."""
    restriction: str = ""
    """In a few words, where ``weights`` is ``other``."""
    identifiers: tuple[str, ...] = ()
    """On the Hugging Face hub."""

    @property
    def named(self) -> str:
        """The licence of weights as :func:`licence_of` takes it."""
        return f"other:{self.restriction}" if self.weights == "other" else self.weights


_RESEARCH = "non-commercial-research"
_OWNER = Terms(
    "images of whoever trained the model",
    "The images belong to their owners; whoever shares this model is to say under which terms, and "
    "whether people in them have agreed.",
    restriction="that-of-the-images",
)

TERMS: dict[str, Terms] = {
    "digits": Terms(
        "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak; UCI Machine Learning "
        "Repository, 1998, doi 10.24432/C50P49)",
        "CC BY 4.0: anyone may use and change them who names the authors, as is done here.",
        weights="cc-by-4.0",
    ),
    "glyphs": Terms(
        "glyphs, rendered by this package",
        "Synthetic: drawn from the DejaVu fonts (Bitstream Vera licence and public domain) and the STIX "
        "fonts (SIL Open Font Licence), which allow pictures of their letters for any use.",
        weights="mit",
    ),
    "cifar10": Terms(
        "CIFAR-10 (A. Krizhevsky, 2009)",
        "No licence is stated by its authors, who collected the images on the web; it is commonly used "
        "for research. The images are not part of this model.",
        restriction="research-use",
        identifiers=("uoft-cs/cifar10",),
    ),
    "cifar100": Terms(
        "CIFAR-100 (A. Krizhevsky, 2009)",
        "No licence is stated by its authors, who collected the images on the web; it is commonly used "
        "for research. The images are not part of this model.",
        restriction="research-use",
        identifiers=("uoft-cs/cifar100",),
    ),
    "tiny_imagenet": Terms(
        "Tiny ImageNet (Stanford CS231n, a part of ImageNet)",
        "The terms of ImageNet: non-commercial research and education; the images belong to their "
        "photographers and are not part of this model.",
        restriction=_RESEARCH,
    ),
    "imagenet": Terms(
        "ImageNet (ILSVRC 2012)",
        "Non-commercial research and education, by the agreement that everyone signs who downloads it; "
        "the images belong to their photographers and are not part of this model.",
        restriction=_RESEARCH,
        identifiers=("ILSVRC/imagenet-1k",),
    ),
    "cub200": Terms(
        "CUB-200-2011 (C. Wah et al., Caltech)",
        "Non-commercial research and education; the photographs belong to their photographers and are "
        "not part of this model.",
        restriction=_RESEARCH,
    ),
    "afhq": Terms(
        "Animal Faces HQ (Y. Choi et al., 2020)",
        "CC BY-NC 4.0: not for commercial use. The images are not part of this model.",
        weights="cc-by-nc-4.0",
    ),
    "ffhq": Terms(
        "Flickr-Faces-HQ (T. Karras et al., 2019)",
        "The set is CC BY-NC-SA 4.0, each photograph has a licence of its own; not for commercial use, "
        "and not for recognising people. The images are not part of this model.",
        weights="cc-by-nc-sa-4.0",
    ),
}
"""By the name of the data set; other data belong to whoever trained the model."""


def terms_of(data: DataConfig) -> Terms:
    """The terms of a model's data."""
    if data.name == "hub" and data.path:
        name = data.path.removeprefix("hub:")
        if Path(name).is_dir():  # saved to disk
            return _OWNER
        return Terms(
            f"{name}, of the Hugging Face hub",
            "See its own card there; the images are not part of this model.",
            restriction="that-of-the-images",
            identifiers=(name,) if REPOSITORY.fullmatch(name) else (),
        )
    return TERMS.get(data.name, _OWNER)


_LISTED = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0
cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0
cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gemma gfdl
gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 lppl-1.3c mit mpl-2.0 ms-pl ncsa
odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
"""
LICENCES = frozenset(_LISTED.split())
"""Identifiers of the hub; ``other`` needs a name beside it."""

_OWN = re.compile(r"other:([a-z0-9][a-z0-9._-]*)")


def licence_of(named: str) -> tuple[str, str | None]:
    """``license`` and ``license_name`` of the metadata.

    Args:
        named: an identifier of the hub's list, or ``other:NAME`` for terms that it does not list.

    Raises:
        ConfigError: anything else.
    """
    own = _OWN.fullmatch(named)
    if own is not None:
        return "other", own[1]
    if named not in LICENCES or named == "other":
        raise ConfigError(
            f"licence is {named!r}{suggest(named, LICENCES)} Allowed: one that the Hugging Face hub "
            "lists, such as mit or cc-by-nc-4.0, or other:NAME for other terms, NAME of a-z, 0-9, "
            "and . _ -"
        )
    return named, None
