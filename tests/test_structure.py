"""How the tree is cut: no circle of imports, low floors, names that say what a thing is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from test_architecture import MODULES, part_of, tree_of, wherever

FILLERS = {"held", "found", "told", "place", "one"}
# The default head, and the options of each, are named where torch is not loaded; the palette is a table.
DEFAULTS = {"config.registry", "config.members", "reports.palette"}
# Packages whose files are members of a family, small by nature.
FAMILIES = {"heads", "losses", "augment", "experiments"}
MACHINERY = set(MODULES) - {
    module for module in MODULES if part_of(module) in ("heads", "experiments", "suites")
}


def names_given(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that are assigned, or are parameters, functions, classes or attributes, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def fillers(tree: ast.AST) -> list[str]:
    return [
        f"line {line}: {name}" for name, line in names_given(tree) if name.strip("_") in FILLERS
    ]


def imported(tree: ast.Module, *, lazily: bool) -> set[str]:
    """Modules of ours that a module imports; ``lazily``: within functions as well."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    modules = set()
    for node in ast.walk(tree) if lazily else tree.body:
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "reacgan":
            base = (node.module or "").removeprefix("reacgan").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                modules.add(full if full in MODULES else base)
        elif isinstance(node, ast.Import):
            modules |= {alias.name.removeprefix("reacgan.") for alias in node.names}
    return {module for module in modules if module in MODULES}


def circle_through(module: str, graph: dict[str, set[str]]) -> list[str]:
    """A way from a module back to itself; empty where there is none."""
    ways = [[module]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for target in sorted(graph[way[-1]]):
            if target == module:
                return [*way, module]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def floor_of(module: str, graph: dict[str, set[str]], package: str) -> int:
    """1 where nothing of the package is imported, else one above the highest that is."""
    below = [
        floor_of(target, graph, package)
        for target in graph[module]
        if target.startswith(f"{package}.")
    ]
    return 1 + max(below, default=0)


@pytest.fixture(scope="module")
def lazy_imports() -> dict[str, set[str]]:
    return {module: imported(tree_of(module), lazily=True) - {module, ""} for module in MODULES}


def test_names_say_what_a_thing_is() -> None:
    assert wherever(lambda module: fillers(tree_of(module))) == {}


def test_a_filler_is_seen() -> None:
    assert sorted(
        fillers(ast.parse("def f(held): self._found = 1\nfor one in (): pass\nholds = 1"))
    ) == [
        "line 1: _found",
        "line 1: held",
        "line 2: one",
    ]


def test_imports_have_no_circle_even_within_functions(lazy_imports: dict[str, set[str]]) -> None:
    # What a package's __init__ names is the package's own inside.
    graph = {
        module: {target for target in targets if not module.startswith(f"{target}.")}
        for module, targets in lazy_imports.items()
    }
    assert [way for module in graph if (way := circle_through(module, graph))] == []


def test_a_circle_is_seen() -> None:
    assert circle_through("a", {"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle_through("a", {"a": {"b"}, "b": {"b"}}) == []


@pytest.mark.parametrize(("package", "most"), [("training", 8), ("evaluation", 8)])
def test_floors(package: str, most: int) -> None:
    graph = {module: imported(tree_of(module), lazily=False) - {module} for module in MODULES}
    floors = {
        module: floor_of(module, graph, package)
        for module in graph
        if module.startswith(f"{package}.")
    }
    assert max(floors.values()) <= most, sorted(floors.items(), key=lambda item: -item[1])[:5]


def test_no_small_file_serves_one_other_alone(lazy_imports: dict[str, set[str]]) -> None:
    def lone_user(module: str) -> set[str]:
        path = MODULES[module]
        users = {user for user, targets in lazy_imports.items() if module in targets}
        users -= {module.rpartition(".")[0]}  # a package's __init__ that passes it on
        small = len(path.read_text("utf-8").splitlines()) < 60
        exempt = path.name in ("__init__.py", "__main__.py") or part_of(module) in FAMILIES
        return users if small and not exempt and len(users) == 1 else set()

    # Put each into the file that alone imports it.
    assert wherever(lambda module: sorted(lone_user(module))) == {}


def test_the_machinery_names_no_method() -> None:
    def names(module: str) -> list[str]:
        if module not in MACHINERY - DEFAULTS:
            return []
        nodes = ast.walk(tree_of(module))
        return [
            f"line {node.lineno}"
            for node in nodes
            if isinstance(node, ast.Constant) and node.value == "d2dce"
        ]

    assert wherever(names) == {}


def test_class_names_stand_once() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for node in tree_of(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
