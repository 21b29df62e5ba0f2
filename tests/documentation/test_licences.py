"""docs/licences.md names every direct dependency; none has a licence that an MIT package cannot require."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from fences import ROOT

sys.path.insert(0, str(ROOT / "tools"))
licences = pytest.importorskip("licences")  # reads TOML
dependencies = sys.modules["dependencies"]

FINE, UNSURE, BAD = range(3)


def test_every_direct_dependency_has_its_row():
    rows = {
        name: (groups, licence, why)
        for name, groups, licence, why in re.findall(
            r"^\| ([\w.-]+) \| (.+) \| (.+) \| (.+) \|$", licences.PAGE.read_text("utf-8"), re.M
        )
        if (groups, licence) != ("for", "licence")
    }
    asked = dependencies.direct()
    assert {*rows} == {*asked}, "run make docs"
    assert {*licences.WHY} == {*asked}
    for name, groups in asked.items():
        assert rows[name][0] == licences._groups(groups), name
        assert licences.judged(rows[name][1].partition(";")[0]) == FINE, name
        assert rows[name][2] == licences.WHY[name]
    programs = licences.PAGE.read_text("utf-8").partition("## Programs in wheels")[2]
    assert all(f"| {name} | {licences.WHEELS[name][0]} |" in programs for name in licences.WHEELS)


def test_what_is_installed_is_permitted():
    tool = ROOT / "tools" / "licences.py"
    done = subprocess.run(
        [sys.executable, tool, "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "no licence that an MIT package cannot require" in done.stdout


def test_indirect_dependencies_are_among_what_is_installed():
    groups = dependencies.installed()
    assert "always" in groups["typing-extensions"]  # by pydantic
    assert "always" not in groups["pytest"]


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("MIT", FINE),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", FINE),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception", FINE),
        ("LGPL-3.0-or-later", FINE),
        ("GPL-3.0-only OR MIT", FINE),
        ("GPL-2.0-only", BAD),
        ("MIT AND GPL-3.0-or-later", BAD),
        ("MIT AND (AGPL-3.0-only OR SSPL-1.0)", BAD),
        ("GPL-2.0-only WITH Classpath-exception-2.0", BAD),
        ("CC-BY-NC-4.0", BAD),
        ("unknown", UNSURE),
        ("LicenseRef-NVIDIA-Proprietary AND MIT", UNSURE),
    ],
)
def test_expressions(licence, verdict):
    assert licences.judged(licence) == verdict


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT OR GPL-2.0-only", "MIT OR GPL-2.0-only"),
        ("License: Apache License, Version 2.0", "Apache-2.0"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License: BSD 3-Clause License\n  Copyright (c) 2020", "BSD-3-Clause"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: ISC License (ISCL)", "ISC"),
        (
            "License: BSD-3-Clause\nClassifier: License :: OSI Approved :: "
            "GNU General Public License v2 (GPLv2)",
            "BSD-3-Clause AND GPL",
        ),
        (
            "Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)",
            "LGPL-3.0",
        ),
        ("License: GPLv3", "GPLv3"),
        ("License: GNU GPL 3", "GNU GPL 3"),
        ("License: GNU Affero General Public License v3", "AGPL"),
        ("Summary: says nothing", "unknown"),
        ("License: see the file", "unknown"),
    ],
)
def test_what_metadata_say(metadata, licence, tmp_path, monkeypatch):
    folder = tmp_path / "thing-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: thing\n{metadata}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert licences.licence_of("thing") == licence


def test_problems_say_what_to_do():
    packages = {"a": "MIT", "b": "GPL-3.0-only", "c": "unknown", "d": "unknown"}
    asked = {"a": ["always"], "c": ["plots", "dev"]}
    of_b, of_c = licences.problems(packages, asked)
    assert of_b.startswith("b: GPL-3.0-only; an MIT package cannot require it")
    assert of_c.startswith("c: licence unknown, asked for by `plots`, `dev`; read its licence")
