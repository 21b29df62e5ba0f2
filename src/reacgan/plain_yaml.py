"""YAML that others may have touched: plain values, bounded before memory is taken, plain errors.

A few hundred bytes with aliases of aliases can stand for more values than any memory holds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from reacgan.records import MOST_LEVELS, TOO_DEEP, parse_whole

MOST_NODES = 100_000
"""Of a text, each as often as its aliases repeat it."""
_TAG = "tag:yaml.org,2002:"
_ODD = frozenset(f"{_TAG}{name}" for name in ("timestamp", "binary", "set", "omap", "pairs"))


def parse_yaml(text: str, loader: Any = None) -> Any:
    """What YAML says in plain values: words, numbers, booleans, null, lists, mappings.

    Args:
        text: of one document.
        loader: a class that extends :func:`plain_loader`, which is taken by default.

    Raises:
        ValueError: no YAML, another kind of value, nested too deeply, a number of more than 300 digits, or
            more than 100,000 values once aliases are written out.
    """
    import yaml  # noqa: PLC0415

    try:
        return yaml.load(text, loader or plain_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except (AttributeError, KeyError, TypeError, OverflowError):  # `!!bool maybe`
        raise ValueError("a value does not fit its tag") from None


@cache
def plain_loader() -> Any:
    """The class that reads YAML for :func:`parse_yaml`: the safe one, with limits and without dates."""
    import yaml  # noqa: PLC0415

    class PlainLoader(yaml.SafeLoader):
        def __init__(self, stream: Any) -> None:
            super().__init__(stream)
            self._level = 0
            self._sizes: dict[int, tuple[int, int]] = {}
            """Values and levels of each node, with its aliases written out; by its identity."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            mark = self.peek_event().start_mark
            self._level += 1
            if self._level > MOST_LEVELS:
                raise yaml.composer.ComposerError(None, None, TOO_DEEP, mark)
            is_alias = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            self._level -= 1
            if not is_alias:
                self._sizes[id(node)] = self._size_of(node)
            size, levels = self._sizes.get(id(node), (0, 0))
            if not size:
                raise yaml.composer.ComposerError(None, None, "an alias of what it is in", mark)
            if levels > MOST_LEVELS:
                raise yaml.composer.ComposerError(None, None, TOO_DEEP, mark)
            if size > MOST_NODES:
                problem = f"more than {MOST_NODES:,} values, once aliases are written out"
                raise yaml.composer.ComposerError(None, None, problem, mark)
            return node

        def _size_of(self, node: Any) -> tuple[int, int]:
            parts = [] if isinstance(node, yaml.ScalarNode) else node.value
            if isinstance(node, yaml.MappingNode):
                parts = [part for pair in parts for part in pair]
            sizes = [self._sizes[id(part)] for part in parts]
            return 1 + sum(size for size, _ in sizes), 1 + max(
                (deep for _, deep in sizes), default=0
            )

    _read_plain_values(PlainLoader)
    return PlainLoader


def _read_plain_values(loader_class: Any) -> None:
    """Have a loader's class refuse kinds of values that JSON lacks, and take dates for words."""

    def construct_int(loader: Any, node: Any) -> int:
        parse_whole(str(loader.construct_scalar(node)))
        value: int = loader.construct_yaml_int(node)
        return value

    loader_class.yaml_constructors = {
        name: constructor
        for name, constructor in loader_class.yaml_constructors.items()
        if name not in _ODD
    }
    loader_class.yaml_implicit_resolvers = {
        first: [(name, pattern) for name, pattern in resolvers if name not in _ODD]
        for first, resolvers in loader_class.yaml_implicit_resolvers.items()
    }
    loader_class.add_constructor(f"{_TAG}int", construct_int)
