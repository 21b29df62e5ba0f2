"""Write docs/licences.md, the licence of every dependency, and fail where one cannot be required.

    python tools/licences.py            write the page, then check
    python tools/licences.py --check    only check

Licences are read from the metadata of what is installed. No package may be under a licence that asks more
of an MIT package than it gives (GPL, AGPL, SSPL), and a direct dependency has to state its licence.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution

from dependencies import REQUIRED, ROOT, direct, installed

PAGE = ROOT / "docs" / "licences.md"

WHY: Mapping[str, str] = {
    "accelerate": "finds the device, and the other processes of a run",
    "clean-fid": "scores to compare with",
    "coverage": "lines that no test reaches",
    "cyclopts": "the command line",
    "datasets": "data sets of the Hugging Face hub, read and written",
    "filelock": "two processes that write the same file",
    "fsspec": "shards in S3, Google Cloud and other stores",
    "gradio": "the page of `reacgan app`",
    "hatchling": "builds the package",
    "huggingface-hub": "models fetched from the hub and published there",
    "hypothesis": "tests by random input",
    "imageio": "films of a walk through the latent space",
    "ipykernel": "runs the notebooks of the examples in tests",
    "matplotlib": "figures",
    "mkdocs-material": "the site of the documentation",
    "mkdocstrings": "the Python reference of the site",
    "mypy": "checks types",
    "nbclient": "runs the notebooks of the examples in tests",
    "numpy": "arrays, statistics",
    "onnx": "ONNX files",
    "onnxruntime": "checks an exported model against PyTorch",
    "onnxscript": "PyTorch's exporter to ONNX is built on it",
    "packaging": "compares versions",
    "pillow": "reads and writes images",
    "pi-heif": "reads HEIC, the photos of telephones",
    "pillow-heif": "writes HEIC in tests",
    "pip-audit": "known vulnerabilities of dependencies (`make audit`)",
    "playwright": "opens pages in a browser in tests",
    "prdc": "scores to compare with",
    "pyarrow": "Parquet and Arrow files",
    "pydantic": "checks configurations",
    "pytest": "runs the tests",
    "pytest-timeout": "ends tests that hang",
    "pytest-xdist": "tests in several processes",
    "pytorch-fid": "scores to compare with",
    "pyyaml": "configurations in YAML",
    "rich": "tables and progress in the terminal",
    "ruff": "style",
    "safetensors": "weights and states, files without code",
    "scikit-learn": "digits to try with, t-SNE of features",
    "scipy": "reference values of tests",
    "submitit": "jobs of SLURM",
    "tensorboard": "journals for TensorBoard",
    "torch": "tensors, gradients, devices",
    "torch-fidelity": "scores to compare with",
    "torchvision": "what the libraries to compare with need",
    "transformers": "published networks as feature extractors",
    "triton": "interprets the GPU kernels on a CPU in tests",
    "types-pyyaml": "types of PyYAML",
    "wandb": "journals for Weights & Biases",
    "webdataset": "shards, read and written",
}
"""What each direct dependency is for."""
STATED: Mapping[str, str] = {
    "clean-fid": "MIT",
    "prdc": "MIT",
    "pytorch-fid": "Apache-2.0",
    "torch-fidelity": "Apache-2.0",
    "torchvision": "BSD-3-Clause",
    "transformers": "Apache-2.0",
    "triton": "MIT",
}
"""Licences, from their files, of direct dependencies that environments of development may lack."""
PERMITTED = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "ISC",
        "MIT",
    ),
    *("MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
    # Files under these stay under them; what imports them does not have to.
    *("LGPL-2.1", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0", "LGPL-3.0-only"),
    *("LGPL-3.0-or-later", "MPL-2.0"),
}
REFUSED = re.compile(r"(GNU )?A?GPL|SSPL|BUSL|CC-BY-NC", re.I)
COPYLEFT = {
    "GNU General Public License": "GPL",
    "GNU Affero General Public License": "AGPL",
    "GNU Lesser General Public License": "LGPL-3.0",
    "GNU Library or Lesser General Public License": "LGPL-2.1",
}
"""How classifiers of copyleft licences begin."""
NAMES: Mapping[str, str] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC license": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX identifiers of names in use before metadata had them."""
UNKNOWN = "unknown"
_FINE, _UNSURE, _BAD = range(3)

WHEELS: Mapping[str, tuple[str, str]] = {
    "imageio-ffmpeg": (
        "GPL-3.0",
        "a build of ffmpeg with GPL parts, run as a program of its own",
    ),
    "pi-heif": ("LGPL-3.0", "libheif and libde265"),
    "pillow-heif": (
        "GPL-2.0",
        "libheif and libde265 (LGPL-3.0), and x265 (GPL-2.0), an encoder that reacgan does not use; "
        "its authors put the wheel as a whole under GPL-2.0",
    ),
}
"""Wheels that hold programs of others, which their metadata does not say: the licence and what it is of."""

_HEAD = """# Licences of dependencies

reacgan is under the [MIT licence](https://opensource.org/license/mit); `NOTICE` names the parts of it that
come from others. What it installs beside itself has licences of its own. `make licences` reads them from
the metadata of the packages, and fails on a licence that an MIT package cannot require (GPL, AGPL, SSPL,
non-commercial), and on a direct dependency whose licence is unknown. `make audit` asks for known
vulnerabilities of the same packages. This page is made from the installed packages (`make docs`).

## What reacgan asks for

*always*: `pip install reacgan`. Other words are extras: `pip install 'reacgan[plots]'`. `dev` and `docs`
are for work on reacgan itself, `parity` for comparing its scores.
"""
_WHEELS = """
## Programs in wheels

Metadata is of the sources. These wheels, of optional extras, also hold programs of others under stricter
terms. reacgan neither holds nor passes them on, and works without; whoever passes on an environment that
has them (an image of a container, say) keeps to these terms, too. PyTorch for CUDA brings NVIDIA's
libraries, under NVIDIA's own terms.
"""


def main() -> None:
    """Write the page unless told not to; leave with 1 and the reasons where a licence is not permitted."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(f"only --check is an option, not {' '.join(sys.argv[1:])}")
    if not sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    packages = {name: licence_of(name) for name in installed()}
    if reasons := list(problems(packages, direct())):
        sys.exit("\n".join(reasons))
    unsure = [f"{name} ({said})" for name, said in packages.items() if judged(said) == _UNSURE]
    print(f"{len(packages)} installed dependencies, no licence that an MIT package cannot require")
    if unsure:
        print(f"not judged, and not asked for by reacgan itself: {', '.join(unsure)}")


def page() -> str:
    """The page as text."""
    asked, packages = direct(), installed()
    ours = [
        f"| {name} | {_groups(groups)} | {_said(name)} | {WHY[name]} |"
        for name, groups in sorted(asked.items(), key=lambda item: REQUIRED not in item[1])
    ]
    others = [
        f"| {name} | {_groups(groups)} | {_said(name)} |"
        for name, groups in packages.items()
        if name not in asked
    ]
    wheels = [f"| {name} | {licence} | {text} |" for name, (licence, text) in WHEELS.items()]
    python = ".".join(platform.python_version_tuple()[:2])
    parts = [
        _HEAD,
        "| package | for | licence | why it is needed |\n|---|---|---|---|",
        *ours,
        _WHEELS,
        "| package | licence of the wheel | because it holds |\n|---|---|---|",
        *wheels,
        "\n## What these bring\n",
        f"With Python {python} on {platform.system()}; other platforms and releases differ.\n",
        "| package | for | licence |\n|---|---|---|",
        *others,
    ]
    return "\n".join([*parts, ""])


def problems(packages: Mapping[str, str], asked: Mapping[str, list[str]]) -> Iterator[str]:
    """One sentence for each package that cannot be required.

    Args:
        packages: name of each installed package, with its licence.
        asked: direct dependencies, with what asks for them.
    """
    for name, licence in sorted({**STATED, **packages}.items()):
        if judged(licence) == _BAD:
            yield f"{name}: {licence}; an MIT package cannot require it: take another package"
        elif name in asked and judged(licence) == _UNSURE:
            yield (
                f"{name}: licence {licence}, asked for by {_groups(asked[name])}; read its licence, then "
                "add it to PERMITTED, NAMES or STATED in tools/licences.py, or take another package"
            )


def licence_of(name: str) -> str:
    """The licence of an installed package, as an SPDX expression where its metadata allows.

    Returns:
        Such as ``MIT OR Apache-2.0``; ``unknown`` where the metadata says nothing.
    """
    metadata = distribution(name).metadata
    if expression := metadata.get("License-Expression"):
        return expression
    field = _identifier((metadata.get("License") or "").strip())
    classifiers = [
        _identifier(line.rpartition(" :: ")[2])
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License :: ")
    ]
    known = [name for name in classifiers if judged(name) != _UNSURE]
    if judged(field) == _UNSURE:
        field = " AND ".join(known)
    # A field that says less than the classifiers does not count for more.
    stricter = [name for name in known if judged(name) == _BAD and name not in field]
    return " AND ".join(filter(None, [field, *stricter])) or UNKNOWN


def judged(licence: str) -> int:
    """Whether an SPDX expression is permitted (0), unknown (1) or refused (2)."""
    flat = re.sub(r"\s+WITH\s+[\w.-]+", "", licence)
    while inner := re.search(r"\(([^()]*)\)", flat):
        flat = flat.replace(inner[0], str(judged(inner[1])))
    return min(
        max(_judged_alone(name.strip()) for name in part.split(" AND "))
        for part in flat.split(" OR ")
    )


def _judged_alone(name: str) -> int:
    if name in ("0", "1", "2"):
        return int(name)
    return _FINE if name in PERMITTED else _BAD if REFUSED.match(name) else _UNSURE


def _identifier(text: str) -> str:
    copyleft = (name for start, name in COPYLEFT.items() if text.startswith(start))
    first = text.partition("\n")[0].strip()
    return NAMES.get(text) or NAMES.get(first) or next(copyleft, first)


def _said(name: str) -> str:
    try:
        licence = licence_of(name)
    except PackageNotFoundError:
        licence = STATED.get(name, UNKNOWN)
    return (
        f"{licence}; [wheel](#programs-in-wheels): {WHEELS[name][0]}" if name in WHEELS else licence
    )


def _groups(names: list[str]) -> str:
    return ", ".join(name if name == REQUIRED else f"`{name}`" for name in names)


if __name__ == "__main__":
    main()
