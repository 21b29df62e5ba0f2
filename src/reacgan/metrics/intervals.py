"""Student's quantile: a standard error from few numbers needs a wider interval than 1.96."""

from __future__ import annotations

_Z = 1.959963984540054
_FEW = {1: 12.706205, 2: 4.302653}


def student95(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: that of the normal distribution and four terms in 1 / freedom.

    Fisher and Cornish 1960; 0.12 % off at 3 degrees of freedom, less at more.

    Args:
        freedom: degrees of freedom, 1 or more; for 1 and 2 the quantile is tabulated.
    """
    if freedom in _FEW:
        return _FEW[freedom]
    z, n = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )
