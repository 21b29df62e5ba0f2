"""Licences as the Hugging Face hub spells them in a card's metadata."""

from __future__ import annotations

import re

from reacgan.config import ConfigError, suggest

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
"""What the hub knows; ``other`` goes with a name of one's own."""

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
