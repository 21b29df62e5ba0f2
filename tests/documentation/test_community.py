"""The files beside the code: licences in the wheel, citation, container, and what each says of others."""

from __future__ import annotations

import re
import zipfile
from email import message_from_bytes

import pytest
import yaml
from fences import ROOT

import reacgan

tomllib = pytest.importorskip("tomllib")  # Python 3.11
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOTICE = (ROOT / "NOTICE").read_text("utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    wheels = pytest.importorskip("hatchling.builders.wheel")
    (path,) = wheels.WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]
    )
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_its_licences(wheel):
    folder = f"reacgan-{reacgan.__version__}.dist-info"
    metadata = message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert metadata["License-Expression"] == "MIT"
    files = metadata.get_all("License-File")
    assert {"LICENSE", "NOTICE", "src/reacgan/fonts/LICENSE-DejaVu.txt", "licenses/STIX.txt"} <= {
        *files
    }
    for name in files:
        assert wheel.read(f"{folder}/licenses/{name}") == (ROOT / name).read_bytes()


def test_the_notice_names_everything_in_the_wheel_that_is_not_code(wheel):
    code = (".py", ".typed", ".json", ".jsonl", ".md", ".css", ".js")
    for name in wheel.namelist():
        if ".dist-info/" not in name and not name.endswith(code):
            folder = re.escape(name.rpartition("/")[0])  # named as a whole, or file by file
            assert name in NOTICE or re.search(rf"{folder}/?\s", NOTICE), name
    for path in re.findall(r"licenses/\w+\.txt|reacgan/data/\w+\.npz", NOTICE):
        assert (ROOT / path).exists() or (ROOT / "src" / path).exists()


def test_the_wheel_holds_what_the_package_needs_and_no_more(wheel):
    names = wheel.namelist()
    ours = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src" / "reacgan").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == ours
    assert not [name for name in names if not name.startswith(("reacgan/", "reacgan-"))]


def test_the_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= {*citation}
    assert citation["version"] == reacgan.__version__ == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    (paper,) = citation["references"]
    assert paper["type"] == "conference-paper" and paper["year"] == 2021
    assert [author["family-names"] for author in paper["authors"]] == [
        "Kang",
        "Shim",
        "Cho",
        "Park",
    ]


def test_the_dockerfile():
    """What can be checked without Docker: its instructions, what it copies, and what it installs."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    known = {"ARG", "FROM", "ENV", "RUN", "COPY", "USER", "WORKDIR", "VOLUME", "ENTRYPOINT", "CMD"}
    assert {line.split()[0] for line in lines} <= known
    allowed = (ROOT / ".dockerignore").read_text("utf-8").split()
    for line in lines:
        instruction, *words = line.split()
        if instruction == "COPY":
            for source in words[:-1]:
                assert (ROOT / source).exists() and f"!{source.split('/')[0]}" in allowed
    arguments = {line.split()[1].partition("=")[0] for line in lines if line.startswith("ARG ")}
    used = {*re.findall(r"\$\{(\w+)\}", text)}
    assert used == arguments
    torch = next(need for need in PROJECT["project"]["dependencies"] if need.startswith("torch"))
    assert f'"{torch}"' in text
    licences = PROJECT["project"]["license-files"]
    copied = " ".join(line for line in lines if line.startswith("COPY"))
    assert all(pattern.split("/")[0] in copied for pattern in licences)
    assert PROJECT["project"]["readme"] in copied


def test_pythons_of_the_table_are_those_of_the_metadata():
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    readme = (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"Python :: (3\.\d+)", str(PROJECT["project"]["classifiers"])))
    assert lowest in named
    table = next(part for part in readme.split("\n\n") if "Python" in part and part.startswith("|"))
    assert named <= set(re.findall(r"3\.\d+", table))
