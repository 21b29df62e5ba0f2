"""Adversarial losses, penalties and consistency terms by name. One line a member."""

from __future__ import annotations

from typing import Any

from reacgan.config import Components, check_options, lookup
from reacgan.kernels.scores import hinge
from reacgan.losses.adversarial import (
    Adversarial,
    hinge_d,
    hinge_g,
    least_squares_d,
    least_squares_g,
    non_saturating_d,
    non_saturating_g,
    nothing_d,
    nothing_g,
    relativistic_d,
    relativistic_g,
    wasserstein_d,
    wasserstein_g,
)
from reacgan.losses.consistency import BalancedConsistency, LatentConsistency, ViewConsistency
from reacgan.losses.feature_matching import FeatureMatching
from reacgan.losses.gradient_penalties import (
    R1,
    R2,
    Dragan,
    MaxGradient,
    WassersteinGradientPenalty,
)
from reacgan.losses.lecam import LeCam
from reacgan.losses.path_length import PathLength
from reacgan.losses.terms import DiscriminatorOutput, Step, Term
from reacgan.losses.weight_clipping import WeightClipping

__all__ = [
    "ADVERSARIAL",
    "CONSISTENCY",
    "PENALTIES",
    "Adversarial",
    "DiscriminatorOutput",
    "Step",
    "Term",
    "adversarial",
    "build_terms",
    "term_options",
]

ADVERSARIAL: dict[str, Adversarial] = {
    "hinge": Adversarial(hinge_d, hinge_g, d_with_means=hinge),
    "non_saturating": Adversarial(non_saturating_d, non_saturating_g),
    "least_squares": Adversarial(least_squares_d, least_squares_g),
    "wasserstein": Adversarial(wasserstein_d, wasserstein_g),
    "relativistic": Adversarial(relativistic_d, relativistic_g, paired=True),
    "none": Adversarial(nothing_d, nothing_g),
}

PENALTIES: dict[str, type[Term]] = {
    "r1": R1,
    "r2": R2,
    "path_length": PathLength,
    "gradient_penalty": WassersteinGradientPenalty,
    "dragan": Dragan,
    "max_gradient": MaxGradient,
    "lecam": LeCam,
    "weight_clipping": WeightClipping,
}

CONSISTENCY: dict[str, type[Term]] = {
    "cr": ViewConsistency,
    "bcr": BalancedConsistency,
    "zcr": LatentConsistency,
    "feature_matching": FeatureMatching,
}

_FAMILIES = {"penalties": PENALTIES, "consistency": CONSISTENCY}


def adversarial(name: str) -> Adversarial:
    """Look up the adversarial loss called ``name``.

    Raises:
        ConfigError: an unknown name; the message lists the known ones.
    """
    return lookup("adversarial loss", ADVERSARIAL, name)


def term_options(family: str, chosen: Components) -> Components:
    """Check the options of penalties or consistency terms and fill in their defaults.

    Args:
        family: ``"penalties"`` or ``"consistency"``.
        chosen: members by name.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    members = _FAMILIES[family]
    return {
        name: check_options(lookup(family, members, name), options, where=f"{family}.{name}")
        for name, options in chosen.items()
    }


def build_terms(penalties: Components, consistency: Components) -> dict[str, Term]:
    """Build the terms that a configuration names, by name.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    built: dict[str, Term] = {}
    for family, chosen in (("penalties", penalties), ("consistency", consistency)):
        for name, options in term_options(family, chosen).items():
            member: Any = _FAMILIES[family][name]
            built[name] = member(**options)
    return built
