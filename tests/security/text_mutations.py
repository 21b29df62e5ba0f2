"""Texts that are damaged or made to hurt, from whole ones: the same number gives the same text."""

from __future__ import annotations

import random
from collections.abc import Sequence

TOKENS = [
    b"[" * 3_000,
    b'{"a":' * 2_000,
    b"- " * 1_500,
    b"9" * 5_000,
    b"-" + b"9" * 400,
    b"1e999",
    b"-1e400",
    b"NaN",
    b"-Infinity",
    b".nan",
    b".inf",
    b'"\\ud800"',
    b'"\\udc80\\udfff"',
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\0",
    b"\x1b[31m",
    b"\r",
    b"\x85",
    b"\xe2\x80\xae",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"&a [*a]",
    b"<<: *a",
    b"!!python/object/apply:os.system [ls]",
    b"!!binary x",
    b"!!int x",
    b"!!float x",
    b"!!bool x",
    b"!!timestamp x",
    b"!!set {a}",
    b"2024-13-45",
    b"0x_",
    b"1:99:99",
    b"? [a, b]",
    b"? {a: b}",
    b'"',
    b"'",
    b"#",
    b"---\n",
    b"...\n",
    b"%YAML 9.9\n",
    b"../../../etc/passwd",
    b"/dev/zero",
    b"=cmd|'/C calc'!A1",
    b"\t",
    b",",
    b";",
    b"\n" * 300,
    b"x" * 20_000,
    b"-1",
    b"1e30",
    b"18446744073709551616",
    b"0",
    b"~",
    b"~nobody/x",
]
"""What breaks readers, put where a whole text has something else."""


def aliased(levels: int = 9, often: int = 9) -> str:
    """YAML of a few hundred bytes that is ``often ** levels`` values once its aliases are written out."""
    lines = ["a0: &a0 [x]"]
    for level in range(1, levels + 1):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * often)}]")
    return "\n".join(lines) + "\n"


def mutated(whole: Sequence[bytes], number: int) -> bytes:
    """One of the whole texts after one to four changes; ``number`` fixes them."""
    draws = random.Random(number)
    text = bytearray(draws.choice(whole))
    for _ in range(draws.randint(1, 4)):
        at = draws.randrange(len(text) + 1)
        end = min(len(text), at + draws.choice((1, 1, 2, 5, 20, 100)))
        change = draws.randrange(8)
        if change == 0 and text:  # a flipped bit
            text[at - 1] ^= 1 << draws.randrange(8)
        elif change == 1:
            del text[at:]
        elif change == 2:
            del text[at:end]
        elif change == 3:
            text[at:at] = text[at:end] * draws.choice((1, 2, 50))
        elif change == 4:  # a piece of another one
            other = draws.choice(whole)
            start = draws.randrange(len(other) + 1)
            text[at:end] = other[start : start + draws.choice((5, 50, 500))]
        elif change == 5:
            text[at:at] = draws.choice(TOKENS)
        else:  # a value replaced as a whole, which parsers get further with than with torn ones
            text = _with_another_value(text, draws)
    return bytes(text)


def _with_another_value(text: bytearray, draws: random.Random) -> bytearray:
    """The text with what stands between two separators replaced."""
    at = draws.randrange(len(text) + 1)
    ends = [place for place in range(at, len(text)) if text[place : place + 1] in b",:]}\n= "]
    starts = [place for place in range(at) if text[place : place + 1] in b",:[{\n= "]
    start = starts[-1] + 1 if starts else 0
    end = ends[0] if ends else len(text)
    return text[:start] + bytearray(draws.choice(TOKENS)) + text[end:]
