"""Who may import whom, how long things may be, and that importing does nothing."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "reacgan"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}

GROUND = {
    "config", "devices", "distributed", "files", "history", "kernels", "leftovers", "outlook", "plain_yaml",
    "progress", "randomness", "records", "tensors", "text", "unpacking",
}  # fmt: skip
LEAVES = {"data", "heads", "losses", "augment"}
MIDDLE = {"models", "assembly", "hub", "sampling", "extractors", "metrics", "evaluation"}
ALLOWED: dict[str, set[str]] = {
    **{part: set() for part in GROUND},
    "config": {"files", "plain_yaml", "records"},
    "devices": {"config", "distributed"},
    "files": {"leftovers"},
    "history": {"config", "records"},
    "kernels": {"tensors"},
    "plain_yaml": {"records"},
    "records": {"files"},
    "unpacking": {"files"},
    "tensors": {"files", "records"},
    **dict.fromkeys(LEAVES, GROUND),
    "models": GROUND | {"heads"},
    "assembly": {"config", "heads", "losses", "augment", "models"},
    "hub": {
        "config",
        "devices",
        "files",
        "leftovers",
        "models",
        "assembly",
        "records",
        "tensors",
        "text",
        "unpacking",
    },
    "sampling": GROUND | {"data", "models"},
    "api": GROUND | {"models", "hub", "sampling"},
    "generated": GROUND | {"data", "models", "hub", "sampling"},
    "benefit": GROUND
    | {"data", "models", "hub", "sampling", "extractors", "metrics", "generated", "reports"},
    "extractors": GROUND | {"data"},
    "metrics": GROUND | {"data", "extractors"},
    "evaluation": GROUND | {"data", "models", "sampling", "extractors", "metrics"},
    "pictures": GROUND | {"data", "reports"} | MIDDLE,
    "reports": GROUND | {"data", "sampling", "metrics", "evaluation"},
    "sharing": GROUND | {"models", "hub", "sampling", "metrics", "evaluation", "reports"},
    "training": GROUND | LEAVES | MIDDLE | {"api"},
    "planning": GROUND | {"data", "models", "assembly", "hub", "training", "experiments"},
    "app": GROUND
    | {"api", "data", "models", "hub", "sampling", "generated", "pictures", "reports"},
    "exporting": GROUND | {"api", "heads", "models", "hub", "sampling"},
    "suites": GROUND | LEAVES | MIDDLE | {"pictures", "reports", "training", "experiments"},
    "experiments": {"config"},
    "plugins": GROUND | LEAVES | MIDDLE | {"training", "experiments"},
    "cli": GROUND
    | LEAVES
    | MIDDLE
    | {"api", "app", "benefit", "exporting", "generated", "pictures", "planning", "reports"}
    | {"sharing", "training", "experiments", "plugins", "suites"},
    "__main__": {"cli"},
    # The front door names what it opens, for type checkers; at run time it loads nothing.
    "__init__": GROUND
    | LEAVES
    | MIDDLE
    | {"api", "benefit", "exporting", "generated", "pictures", "planning", "sharing", "training"}
    | {"experiments", "plugins"},
}
EXCEPTIONS = {
    "experiments.derive": {"data", "outlook"},
    "experiments.describe": {"assembly", "models"},
}
# With weights_only=True: published weights, and tensors of images.
READERS_OF_PTH = {"extractors.weights", "hub.convert.reading", "evaluation.image_files"}
OWNERS = {"accelerate": {"devices"}, "huggingface_hub": {"hub.places", "hub.upload"}}


def part_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def imports_of(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            if node.module == "reacgan":
                found += [f"reacgan.{alias.name}" for alias in node.names]
            else:
                found.append(str(node.module))
    return found


def wrong_arrows(module: str, tree: ast.AST) -> list[str]:
    allowed = ALLOWED[part_of(module)] | EXCEPTIONS.get(module, set()) | {part_of(module)}
    ours = [name for name in imports_of(tree) if name.split(".")[0] == "reacgan"]
    return [
        name
        for name in ours
        if name not in ("reacgan", "reacgan.__version__") and name.split(".")[1] not in allowed
    ]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def wherever(faults: Callable[[str], Iterator[str] | list[str]]) -> dict[str, list[str]]:
    """Faults of every module that has any."""
    return {module: some for module in MODULES if (some := list(faults(module)))}


def test_arrows() -> None:
    assert wherever(lambda module: wrong_arrows(module, tree_of(module))) == {}


def test_a_wrong_arrow_is_seen() -> None:
    tree = ast.parse("def f():\n    from reacgan.data import loader\n    import reacgan.cli\n")
    assert wrong_arrows("heads.base", tree) == ["reacgan.data", "reacgan.cli"]
    assert wrong_arrows("heads.base", ast.parse("from reacgan import hub")) == ["reacgan.hub"]


def test_outside_packages_with_one_owner() -> None:
    def borrowed(module: str) -> list[str]:
        names = imports_of(tree_of(module))
        return [name for name in names if module not in OWNERS.get(name.split(".")[0], {module})]

    assert wherever(borrowed) == {}


def unpickled_or_swallowed(module: str, tree: ast.AST) -> Iterator[str]:
    forbidden = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
    yield from forbidden & {name.split(".")[0] for name in imports_of(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"line {node.lineno}: bare except"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            tensors_alone = (name, given.get("weights_only")) == ("torch.load", "True")
            reads = tensors_alone and module in READERS_OF_PTH
            if name in ("torch.load", "torch.save", "eval", "exec") and not reads:
                yield f"line {node.lineno}: {name}"
            if given.get("allow_pickle", "False") != "False":
                yield f"line {node.lineno}: allow_pickle"


def test_nothing_is_unpickled_or_swallowed() -> None:
    assert wherever(lambda module: unpickled_or_swallowed(module, tree_of(module))) == {}


def test_what_unpickles_or_swallows_is_seen() -> None:
    code = """import pickle.x
try: torch.load(path, weights_only=True)
except: numpy.load(path, allow_pickle=True)"""
    tree = ast.parse(code)
    seen = ["pickle", "line 2: torch.load", "line 3: bare except", "line 3: allow_pickle"]
    assert sorted(unpickled_or_swallowed("heads.base", tree)) == sorted(seen)
    assert sorted(unpickled_or_swallowed("extractors.weights", tree)) == sorted(
        set(seen) - {"line 2: torch.load"}
    )


def too_long(text: str) -> Iterator[str]:
    if len(text.splitlines()) > 450:
        yield f"{len(text.splitlines())} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)
            if length > 50:
                yield f"{node.name}: {length} lines"
            if "triton.jit" in map(ast.unparse, node.decorator_list):
                continue  # pointers, sizes and strides, all by position
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            if len([a for a in arguments if a not in ("self", "cls", "ctx")]) > 6:
                yield f"{node.name}: {len(arguments)} arguments"


def test_sizes() -> None:
    assert wherever(lambda module: too_long(MODULES[module].read_text("utf-8"))) == {}


def test_what_is_too_long_is_seen() -> None:
    body = "    pass\n" * 50
    text = f"def f(a, b, c, d, e, f, g):\n{body}" + "\n" * 400
    assert list(too_long(text)) == ["451 lines", "f: 51 lines", "f: 7 arguments"]
    assert list(too_long(f'def f(a, b, c, d, e, f):\n    """f"""\n{body[:-9]}' + "\n" * 300)) == []


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or 0) - first.lineno + 1 if text else 0


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_and_its_help_load_no_torch() -> None:
    code = """
import sys
import reacgan
heavy = {"torch", "numpy", "PIL", "pydantic", "yaml"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from reacgan.cli import main
for page in (["--help"], ["train", "--help"], ["sample", "--help"], ["data", "--help"]):
    try:
        main(page)
    except SystemExit as end:
        assert not end.code, end.code
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from reacgan.experiments import EXPERIMENTS
assert "torch" not in sys.modules
"""
    assert "Usage: reacgan train" in run_python(code)


def test_importing_does_nothing() -> None:
    names = [name for name in MODULES if name not in ("__init__", "__main__")]
    if importlib.util.find_spec("triton") is None:  # theirs are imported when a kernel is launched
        names = [name for name in names if not name.startswith("kernels.triton_")]
    code = f"""
import os, random, signal, sys, threading
import numpy, torch
before = torch.random.get_rng_state().clone()
numbers, python = numpy.random.get_state()[1].copy(), random.getstate()
threads, handlers = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
kind, grad = torch.get_default_dtype(), torch.is_grad_enabled()
environment = dict(os.environ)
sys.dont_write_bytecode = True  # which is Python's to write
written = []
sys.addaudithook(lambda event, held: written.append(held) if event == "open"
    and isinstance(held[1], str) and set(held[1]) & set("wax+") and "pycache" not in str(held[0])
    else None)
names = {[f"reacgan.{name}" for name in names]!r}
for name in names:
    __import__(name)
assert torch.equal(before, torch.random.get_rng_state())
assert (numbers == numpy.random.get_state()[1]).all() and python == random.getstate()
assert threads == torch.get_num_threads() and handlers is signal.getsignal(signal.SIGINT)
assert kind == torch.get_default_dtype() and grad == torch.is_grad_enabled()
assert environment == dict(os.environ)
assert threading.active_count() == 1 and not torch.cuda.is_initialized()
assert not torch.distributed.is_initialized()
assert "accelerate" not in sys.modules
assert not written, written
"""
    assert run_python(code) == ""


def test_every_public_name_is_there() -> None:
    import reacgan

    for name in reacgan.__all__:
        assert getattr(reacgan, name) is not None
    assert "train" in dir(reacgan)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        reacgan.trian  # noqa: B018


def test_the_public_names_are_all_there() -> None:
    import reacgan

    assert set(reacgan.__all__) - {"__version__"} == set(reacgan._PUBLIC)
    for name in reacgan.__all__:
        assert getattr(reacgan, name) is not None
