"""Members from outside: registered by a call, or found by the entry point of another package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path

import pytest
from torch import nn

import reacgan
from reacgan.augment import Augment
from reacgan.config import ConfigError, PositiveInt, load_plugins, registry
from reacgan.extractors import Extractor
from reacgan.heads import HEADS, Head, ProjectionHead
from reacgan.losses import ADVERSARIAL, Adversarial, Term
from reacgan.losses.adversarial import hinge_d, hinge_g
from reacgan.metrics import Metric
from reacgan.models import GENERATORS, Backbone, Generator
from reacgan.plugins import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture(autouse=True)
def _tables_as_they_were(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_loaded", set())
    tables = [family.table for family in FAMILIES.values()]
    before = [dict(table) for table in tables]
    yield
    for table, held in zip(tables, before, strict=True):
        table.clear()
        table.update(held)


class Whole(Head):
    """What a head needs."""

    def __init__(self, *, in_features: int, num_classes: int, layers, width: PositiveInt = 3):
        super().__init__()

    def forward(self, features, labels):
        raise NotImplementedError


def lacking(family, member):
    """What is missing from a member, as the error says it."""
    with pytest.raises(ConfigError) as caught:
        reacgan.register(family, "mine", member)
    assert "mine" not in FAMILIES[family].table
    return str(caught.value)


# -- one call


def test_the_page_runs_to_the_letter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)
    assert len(code) == 8
    module = types.ModuleType("members")
    monkeypatch.setitem(sys.modules, "members", module)
    source = "from __future__ import annotations\n" + "\n".join(code)
    exec(compile(source, str(PAGE), "exec"), module.__dict__)
    assert module.result.complete
    assert module.watched.images_seen == module.watched.history[-1]["images_seen"] <= 512
    assert len(module.losses) > 2 and (module.watched.folder / "logs" / "csv").is_dir()
    assert module.sample.class_name == "down"
    assert [score.metric for score in module.result_of_tint.scores] == ["tint", "fid"]
    assert module.result_of_tint["tint"] == 0
    assert module.result_of_tint.scores[0].protocol["metric"] == {"scale": 255}
    assert module.sample.image.shape[-1] == 8
    assert module.failed == []
    told = module.page_of_rates.read_text("utf-8")
    assert re.search(r"\| fast \| 2 \| .* ± ", told) and "the fast one is better" in told
    reacgan.register("experiment", "stripes", module.experiment)
    assert reacgan.experiment("stripes") is module.experiment
    with pytest.raises(ConfigError, match=r"penalties.drift.weight: .* greater than 0"):
        reacgan.train(module.experiment.replace(**{"penalties.drift.weight": 0}), tmp_path / "no")
    told = PAGE.read_text("utf-8")
    assert all(f"`{family}`" in told for family in FAMILIES)


def test_a_member_can_be_named_at_once_and_is_given_back():
    assert reacgan.register("head", "mine", Whole) is Whole
    assert HEADS["mine"] is Whole
    assert reacgan.register("head", "mine", Whole) is Whole  # the same again changes nothing


def test_a_taken_name_is_refused_unless_told_otherwise():
    with pytest.raises(ConfigError, match=r"'projection' is taken by reacgan.heads.projection.Pro"):
        reacgan.register("head", "projection", Whole)
    assert HEADS["projection"] is ProjectionHead
    reacgan.register("head", "projection", Whole, replace=True)
    assert HEADS["projection"] is Whole


def test_an_unknown_family_and_an_unusable_name():
    with pytest.raises(ConfigError, match="unknown family 'heads'; did you mean 'head'"):
        reacgan.register("heads", "mine", Whole)
    for name in ("", "my.head", "my head", "a,b", "Mine", "x=1"):
        with pytest.raises(ConfigError, match="not usable as a name"):
            reacgan.register("head", name, Whole)


@pytest.mark.parametrize(
    "family, base",
    [
        ("head", Head),
        ("generator", Generator),
        ("backbone", Backbone),
        ("penalty", Term),
        ("consistency", Term),
        ("augment", Augment),
        ("extractor", Extractor),
        ("metric", Metric),
    ],
)
def test_a_class_of_another_kind_is_refused(family, base):
    for member in (nn.Linear, "text", base.__init__):
        told = lacking(family, member)
        assert f"needed: a class that extends {base.__module__}.{base.__name__}" in told
    assert f"it defines no {' or '.join(FAMILIES[family].defines)}" in lacking(family, base)


def test_every_lack_of_a_constructor_is_named():
    class Lacking(Head):
        def __init__(self, in_features: int, *, layers, width=3, **more):
            super().__init__()

        def forward(self, features, labels):
            raise NotImplementedError

    told = lacking("head", Lacking).splitlines()
    assert told[1:] == [
        "  the constructor takes no keyword-only parameter 'in_features' (after a bare *)",
        "  the constructor takes no keyword-only parameter 'num_classes' (after a bare *)",
        "  the constructor takes \"in_features: 'int'\", which is not keyword-only (put it after a "
        "bare *)",
        "  the constructor takes '**more', which is not keyword-only (put it after a bare *)",
        "  the constructor's option 'width' has no annotation, so its value cannot be checked",
    ]


def test_annotations_that_cannot_be_read_are_named():
    class Lacking(Term):
        def __init__(self, *, weight: Unknown = 1.0) -> None:  # noqa: F821
            super().__init__(weight=weight)

        def g_term(self, step):
            return None

    assert "name 'Unknown' is not defined" in lacking("penalty", Lacking)


def test_values_and_functions_are_checked_too():
    assert "needed: an object of reacgan.losses.adversarial.Adv" in lacking("adversarial", hinge_d)
    pair = Adversarial(hinge_d, hinge_g)
    reacgan.register("adversarial", "mine", pair)
    assert ADVERSARIAL["mine"] is pair
    assert "calls itself 'digits/reacgan'" in lacking(
        "experiment", reacgan.experiment("digits/reacgan")
    )
    assert "needed: a function" in lacking("dataset", "text")
    told = lacking("dataset", lambda path, split: None)
    assert "takes 2 positional arguments; needed: one" in told
    assert "the function takes no keyword-only parameter 'channels'" in told


def test_every_member_of_the_package_passes_its_own_check():
    for family, held in FAMILIES.items():
        for name, member in dict(held.table).items():
            del held.table[name]
            reacgan.register(family, name, member)


# -- entry points


MEMBERS = """
    import reacgan
    from reacgan.heads import ProjectionHead

    class Sharper(ProjectionHead):
        '''The projection head under another name.'''

    reacgan.register("head", "sharper", Sharper)
    reacgan.register(
        "experiment", "outside/sharper",
        reacgan.experiment("digits/reacgan").replace(**{
            "name": "outside/sharper", "model.head.name": "sharper",
        }),
    )

    def call():
        reacgan.register("head", "called", Sharper)

    def fail():
        raise RuntimeError("no such thing")
"""


def install(folder: Path, points: dict[str, str]) -> None:
    """A package of one module with entry points, as an installer leaves it."""
    (folder / "outside_members.py").write_text(textwrap.dedent(MEMBERS))
    info = folder / "outside-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    lines = [f"{name} = {place}" for name, place in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[reacgan.plugins]", *lines]) + "\n")


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Installs a package with these entry points, for this process."""

    def put(**points):
        install(tmp_path, points)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "outside_members", raising=False)

    yield put
    sys.modules.pop("outside_members", None)


def test_a_module_is_loaded_when_a_name_is_not_known(outside):
    outside(first="outside_members")
    assert reacgan.experiment("digits/reacgan")
    assert "outside_members" not in sys.modules
    assert reacgan.experiment("outside/sharper").model.head.name == "sharper"
    assert "sharper" in HEADS


def test_a_function_is_called_once(outside):
    outside(first="outside_members:call")
    load_plugins()
    assert "called" in HEADS
    del HEADS["called"]
    load_plugins()
    assert "called" not in HEADS


def test_a_broken_plugin_is_named_and_the_others_are_loaded(outside):
    outside(
        a_broken="outside_members:fail", b_missing="no_such_module", c_whole="outside_members:call"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ConfigError, match=r"unknown generator 'nothing'.*Known: biggan"):
            reacgan.models.build_generator(
                reacgan.experiment("digits/reacgan").model.generator.model_copy(
                    update={"name": "nothing"}
                ),
                reacgan.experiment("digits/reacgan").data,
                3,
            )
    told = [str(one.message) for one in caught]
    assert any(
        "the plugin 'a_broken' (outside_members:fail, of outside) could not be loaded: "
        "RuntimeError: no such thing" in one
        for one in told
    )
    assert any("'b_missing'" in one and "ModuleNotFoundError" in one for one in told)
    assert "called" in HEADS
    assert "nothing" not in GENERATORS


def reacgan_command(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(path), *filter(None, sys.path)]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "reacgan", *arguments],
        cwd=path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_line_knows_an_installed_member(tmp_path):
    install(tmp_path, {"good": "outside_members", "bad": "outside_members:fail"})
    small = ["training.batch=16", "model.generator.width=4", "model.backbone.width=4"]
    done = reacgan_command(
        "train", "digits/reacgan", "--images", "32", "--device", "cpu", "--out", "run",
        "--set", "model.head.name=sharper", *small, path=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "the plugin 'bad'" in done.stderr
    assert '"name": "sharper"' in (tmp_path / "run" / "experiment.json").read_text()
    listed = reacgan_command("experiments", "list", path=tmp_path)
    assert "outside/" in listed.stdout
