"""Every command, configuration and program on README and the pages is one that works."""

from __future__ import annotations

import re
import shutil

import pytest
from fences import ROOT, blocks, commands, is_shell, texts, words
from PIL import Image
from small_world import add_digits, add_faces, add_tiny_imagenet, build, small

import reacgan as package
from reacgan.assembly import complete
from reacgan.cli import build_app
from reacgan.config import load_experiment

COMMANDS = [(page, command) for page, command in commands() if command.startswith("reacgan ")]
OTHERS = [(page, command) for page, command in commands() if not command.startswith("reacgan ")]
APP = build_app()
FIRST_PAGES = ("README.md",)
NOT_RUN = {
    "reacgan app": "serves until it is stopped; tests/app drives it",
    "--protocol paper": "needs Inception's weights, a download",
    "weights push": "needs an account of the hub",
    "weights convert": "needs a published checkpoint, a download",
    "experiments report": "needs the finished trials of a suite",
    "cosine_projection": "the page's own head; tests/heads/test_adding_a_head.py runs it",
    "cifar10-small-reacgan --reference": "needs CIFAR-10, a download",
}
"""Parts of commands that are parsed and not run, each with its reason."""
LONG = ("--metrics all", "--langevin 100", "--pictures")
"""Parts of commands that take more than a moment, at any size."""
EXTERNAL = {
    "make": "targets are looked up in the Makefile",
    "python": "the file and its options are looked up",
    "pip": "needs an index; extras are looked up in pyproject.toml",
    "pipx": "the same",
    "uv": "the same",
    "git": "needs the repository's address",
    "cd": "of the shell",
    ".": "of the shell",
    "docker": "needs Docker; tests/documentation/test_community.py reads the Dockerfile",
    "tensorboard": "a server that runs until it is stopped",
    "torchrun": "starts processes; tests/training runs it",
    "bash": "a script of examples/cluster; tests/faults/test_cluster_files.py reads it",
    "sbatch": "the same",
}


def reason_not_to_run(command: str) -> str | None:
    return next((why for part, why in NOT_RUN.items() if part in command), None)


def test_every_block_is_of_a_known_kind():
    drawings = {"docs/architecture.md", "docs/watching.md", "docs/extending.md"}
    unknown = [
        f"{block.page}:{block.line}"
        for block in blocks()
        if block.language not in ("python", "yaml", "toml", "text", "json")
        and not is_shell(block)
        and block.page not in drawings
    ]
    assert unknown == []


def test_reasons_are_of_commands_that_there_are():
    for part in (*NOT_RUN, *LONG):
        assert any(part in command for _, command in COMMANDS), part


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_are_understood(page, command):
    bound = APP.parse_args(words(command)[1:], exit_on_error=False, print_error=False)
    assert bound[0].__module__.startswith("reacgan.cli")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build(tmp_path_factory.mktemp("world"))


def run_page(page, world, reacgan, monkeypatch):
    monkeypatch.chdir(world)
    asked_here = [command for name, command in COMMANDS if name == page]
    if any("runs/digits-reacgan" in command for command in asked_here):
        add_digits(world)
    if any("runs/faces" in command for command in asked_here):
        add_faces(world)
    if any("TINY" in command for command in asked_here) and not (world / "tiny").exists():
        add_tiny_imagenet(world)
    for number, command in enumerate(asked_here):
        if reason_not_to_run(command) or any(part in command for part in LONG):
            continue
        asked = small(words(command)[1:], f"{page}-{number}")
        code, _, err = reacgan(*asked)
        assert code == 0, f"{command}\n{' '.join(asked)}\n{err}"


PAGES = sorted({page for page, _ in COMMANDS})


@pytest.mark.parametrize(
    "page", [p if p in FIRST_PAGES else pytest.param(p, marks=pytest.mark.slow) for p in PAGES]
)
def test_commands_run(page, world, reacgan, monkeypatch):
    run_page(page, world, reacgan, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", sorted({c for _, c in COMMANDS if any(part in c for part in LONG)})
)
def test_long_commands_run(command, world, reacgan, monkeypatch):
    monkeypatch.chdir(world)
    code, _, err = reacgan(*small(words(command)[1:], "long"))
    assert code == 0, err


@pytest.mark.parametrize(("page", "command"), OTHERS)
def test_other_programs_know_what_they_are_asked(page, command):
    program, *rest = (word for word in words(command) if not re.fullmatch(r"\w+=\S*", word))
    assert program in EXTERNAL, f"{page}: {program}"
    if program == "make":
        targets = re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), flags=re.M)
        assert {word for word in rest if "=" not in word} <= {*targets}
    if program == "python" and rest[0].endswith(".py"):
        code = (ROOT / rest[0]).read_text("utf-8")
        for option in (word for word in rest if word.startswith("--")):
            assert f'"{option}"' in code or f"{option[2:].replace('-', '_')}:" in code, option
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for extras in re.findall(r"(?:\.|reacgan)\[([\w,]+)\]", command):
        assert all(re.search(rf"^{extra} = \[", project, flags=re.M) for extra in extras.split(","))


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_the_yaml_is_a_configuration(page, tmp_path):
    for number, code in enumerate(texts(page, "yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(code)
        assert complete(load_experiment(file)).data.name in ("folder", "digits")


def python_of(page):
    return [
        code.replace('"training.seed": 1}', '"training.seed": 1, "training.images": 128}').replace(
            "64_000", "128"
        )
        for code in texts(page, "python")
    ]


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = python_of("README.md")
    exec(compile(code, "README", "exec"), {})
    assert "7 3 torch.Size([1, 8, 8])" in capsys.readouterr().out
    assert package.load(tmp_path / "runs" / "digits").images_seen == 128
    for page in ("docs/sampling.md", "docs/quick-start.md", "docs/api.md"):
        names = {}
        for code in python_of(page):
            exec(compile(code, page, "exec"), names)
        if page == "docs/sampling.md":
            printed = capsys.readouterr().out
            assert "8 7 3 torch.Size([1, 8, 8])" in printed
            assert printed.count("torch.Size([1, 8, 8])") == 9
            with Image.open("three.png") as three, Image.open("sheet.png") as sheet:
                assert three.size == (8, 8) and sheet.width > sheet.height
            assert names["way"].shape == (8, 1, 8, 8) and names["rows"].shape == (2, 7, 1, 8, 8)
    shutil.rmtree(tmp_path / "runs")


ELSEWHERE = {
    "docs/adding-a-head.md": "tests/heads/test_adding_a_head.py",
    "docs/extending.md": "tests/test_plugins.py",
    "docs/evaluation.md": "batches and photos/ are the reader's; tests/evaluation measures both",
    "docs/weights.md": "the hub's line needs a network; tests/test_hub.py has both",
    "docs/app.md": "serves until it is stopped; the tests of the page drive it",
    "docs/exporting.md": "opens files of the commands above it; the tests of exports open them",
}
IN_ORDER = ("docs/generating.md",)
"""Pages all of whose programs run one after another, in an empty folder."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in IN_ORDER if texts(page, "python")])
def test_programs_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for code in texts(page, "python"):
        exec(compile(code, page, "exec"), names)


def test_all_python_is_run_here_or_elsewhere():
    here = {"README.md", "docs/sampling.md", "docs/quick-start.md", "docs/api.md", *IN_ORDER}
    assert {block.page for block in blocks() if block.language == "python"} <= here | {*ELSEWHERE}
    for where in ELSEWHERE.values():
        assert not where.endswith(".py") or (ROOT / where).exists()
