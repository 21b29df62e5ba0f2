"""Damage to files, drawn by a seed: flips, cuts, swaps, numbers that were not there."""

from __future__ import annotations

import random
import re

GIANTS = [b"0", b"-1", b"1e400", b"1000000000000", b"1" * 5000, b"NaN", b"true", b"null", b'"x"']


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwritten(content: bytes, draw: random.Random) -> bytes:
    begin = draw.randrange(len(content))
    length = draw.choice((1, 8, 64, 4096))
    value = draw.choice((b"\0", b"\xff", b"9", b"["))
    return content[:begin] + (value * length)[: len(content) - begin] + content[begin + length :]


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.choice((0, 1, 8, draw.randrange(len(content))))]


def cut_out(content: bytes, draw: random.Random) -> bytes:
    begin = draw.randrange(len(content))
    return content[:begin] + content[begin + draw.choice((1, 4, 100)) :]


def doubled(content: bytes, draw: random.Random) -> bytes:
    begin = draw.randrange(len(content))
    end = begin + draw.choice((1, 16, 1000))
    return content[:end] + content[begin:]


def swapped(content: bytes, draw: random.Random) -> bytes:
    length = max(1, min(64, len(content) // 4))
    first, second = sorted(draw.sample(range(0, len(content) - length + 1), 2))
    if second < first + length:
        return content[::-1]
    left, right = content[first : first + length], content[second : second + length]
    between = content[first + length : second]
    return content[:first] + right + between + left + content[second + length :]


def renumbered(content: bytes, draw: random.Random) -> bytes:
    """A number in the text of the file (its header, where it is binary) becomes another."""
    numbers = list(re.finditer(rb"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?(?![\w.])", content[:100_000]))
    if not numbers:
        return flipped(content, draw)
    chosen = draw.choice(numbers)
    return content[: chosen.start()] + draw.choice(GIANTS) + content[chosen.end() :]


def renumbered_in_place(content: bytes, draw: random.Random) -> bytes:
    """Digits become others, and every length stays."""
    digits = [match.start() for match in re.finditer(rb"[0-9]", content[:100_000])]
    if not digits:
        return flipped(content, draw)
    changed = bytearray(content)
    for position in draw.sample(digits, min(len(digits), draw.choice((1, 1, 3)))):
        changed[position] = draw.choice(b"0123456789")
    return bytes(changed)


KINDS = (*(flipped, overwritten, cut, cut_out, doubled, swapped, renumbered, renumbered_in_place),)


def damaged(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Another content, and what was done to it."""
    for _ in range(100):
        kind = draw.choice(KINDS)
        changed = kind(content, draw)
        if changed != content:
            return kind.__name__, changed
    raise AssertionError("nothing changes this content")
