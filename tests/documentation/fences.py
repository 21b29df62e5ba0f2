"""The fenced blocks of README and the pages, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
PROGRAMS = (
    ".",
    "bash",
    "cd",
    "docker",
    "git",
    "make",
    "pip",
    "sbatch",
    "pipx",
    "python",
    "reacgan",
    "tensorboard",
    "torchrun",
    "uv",
)
"""What a line of a shell begins with; a block without a language of which no line does is a drawing."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, language and text."""

    page: str
    language: str
    text: str
    line: int


@cache
def blocks() -> list[Block]:
    """Every fenced block, in order."""
    return [
        Block(str(path.relative_to(ROOT)), token.info.strip(), token.content, token.map[0] + 1)
        for path in PAGES
        for token in MarkdownIt().parse(path.read_text("utf-8"))
        if token.type == "fence" and token.map
    ]


def texts(page: str, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return [block.text for block in blocks() if (block.page, block.language) == (page, language)]


def is_shell(block: Block) -> bool:
    """Whether a block is commands to type."""
    first = [words.split()[0] for words in block.text.splitlines() if words.strip()]
    known = [word for word in first if word in PROGRAMS or "=" in word]
    return block.language in ("sh", "bash", "console") or (not block.language and known == first)


def commands() -> list[tuple[str, str]]:
    """(page, command) of every line to type, without comments and redirections; continued lines are one."""
    return list(
        dict.fromkeys(
            (block.page, re.sub(r"\s+(#|> ).*$", "", line).strip())
            for block in blocks()
            if is_shell(block)
            for line in block.text.replace("\\\n", " ").splitlines()
            if line.strip() and not line.startswith("#")
        )
    )


def words(command: str) -> list[str]:
    """A command as the shell splits it."""
    return shlex.split(command)
