"""What a CPU process does with the memory that it frees.

PyTorch takes every tensor on a CPU from the C library, which gets large pieces from the system and
gives them back when they are freed. A training step frees and takes the same gigabyte again and again,
and the system hands out each page anew, cleared: a third of a step at small widths.
"""

from __future__ import annotations

import ctypes

# <malloc.h> of glibc
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_NEVER = -1  # as the largest size_t


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for as long as it lives; where the C library is glibc.

    Peak memory hardly changes, since what is kept is what the next step takes again.

    Returns:
        Whether it was possible.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library, another system
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
