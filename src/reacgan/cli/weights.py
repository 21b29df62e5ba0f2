"""``reacgan weights``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cyclopts

from reacgan.cli import convert, streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Named
from reacgan.text import one_line

if TYPE_CHECKING:
    from reacgan.sharing import CheckResult


def app() -> cyclopts.App:
    """The commands below ``weights``."""
    group = cyclopts.App(
        name="weights", help="Trained models: list, check, publish, upload, convert."
    )
    group.command(list_models, name="list")
    group.command(show)
    group.command(check)
    group.command(publish)
    group.command(renew)
    group.command(push)
    group.command(convert.convert)
    return group


def list_models(*, json_: Json = False) -> int:
    """List the models that have a name.

    Every command takes a name instead of a path. Names are folders in weights/ of the package, of a
    checkout, and in the folder that REACGAN_WEIGHTS names.

    Parameters
    ----------
    json_:
        Print JSON instead of text.
    """
    from reacgan.hub import pretrained  # noqa: PLC0415
    from reacgan.reports.cells import Cell, aligned  # noqa: PLC0415

    models = [{"name": name, "what": line} for name, line in pretrained().items()]
    rows = [[Cell(model["name"]), Cell(model["what"])] for model in models]
    text = "\n".join(aligned(["name", "what"], rows)) if rows else "none"
    answer({"models": models}, text, as_json=json_)
    return 0


def show(model: Named, *, json_: Json = False) -> int:
    """Print the card of a model.

    Parameters
    ----------
    model:
        A name, a run's folder, a model folder, or hub:OWNER/NAME.
    json_:
        Print JSON instead of text.
    """
    from reacgan.files import read_text  # noqa: PLC0415
    from reacgan.hub import locate  # noqa: PLC0415
    from reacgan.hub.folder import model_folder  # noqa: PLC0415

    folder = model_folder(locate(model))
    card = read_text(folder / "README.md")
    facts = {"folder": folder, "card": card}
    answer(facts, f"{folder}\n\n{card.removesuffix(chr(10))}", as_json=json_)
    return 0


def check(model: Named, *, json_: Json = False) -> int:
    """Check that a model is complete and reproduces its samples.

    Of a run, or a model that is not published, what is there is checked. Exits with 1 if a check fails.

    Parameters
    ----------
    model:
        A name, a run's folder, a model folder, or hub:OWNER/NAME.
    json_:
        Print JSON instead of text.
    """
    from reacgan.sharing import check  # noqa: PLC0415

    findings = check(model)
    passed = all(finding.passed for finding in findings)
    lines = [
        f"{_state(finding):<6} {finding.name:<14} {one_line(finding.message)}"
        for finding in findings
    ]
    facts = {"model": model, "passed": passed, "checks": findings}
    answer(facts, "\n".join(lines), as_json=json_)
    return 0 if passed else 1


def _state(finding: CheckResult) -> str:
    if not finding.applies:
        return "none"
    return "ok" if finding.passed else "FAILED"


def publish(
    run: Path,
    *,
    out: Path,
    name: str | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    scores_from: Path | None = None,
    licence: str | None = None,
    json_: Json = False,
) -> int:
    """Publish a run as a folder to share: weights, card, scores.

    Example: reacgan weights publish runs/photos --out weights/photos-small

    Parameters
    ----------
    run:
        A run's folder, or its best/.
    out:
        Where to write; an existing model folder is replaced.
    name:
        The model's name; by default that of the folder.
    dtype:
        Of the stored weights; bfloat16 is half as large. Moving averages stay float32.
    scores_from:
        A scores.jsonl; by default that of the run. For scores of the stored weights, evaluate a
        published folder and publish again with its scores.
    licence:
        Of the weights: one that the Hugging Face hub lists, such as mit, or other:NAME; by
        default what the terms of the data allow.
    json_:
        Print JSON instead of text.
    """
    from reacgan.sharing import publish  # noqa: PLC0415

    folder = publish(run, out, name=name, scores=scores_from, dtype=dtype, licence=licence)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    lines = [*(f"{size:>12,}  {name}" for name, size in sizes.items()), str(folder)]
    answer({"folder": folder, "files": sizes}, "\n".join(lines), as_json=json_)
    if not (folder / "curve.png").exists():
        streams.tell(
            "note: no curve of the losses: it needs matplotlib (pip install 'reacgan[plots]')"
        )
    return 0


def renew(model: Named, *, out: Path, scores_from: Path | None = None, json_: Json = False) -> int:
    """Publish a shared folder again with this version.

    Card, samples and digests are made anew. Weights, discriminator, curve, and what the card says of
    training stay as they are.

    Parameters
    ----------
    model:
        A folder that "weights publish" made, or a name.
    out:
        Where to write; may be the same folder.
    scores_from:
        A scores.jsonl; by default that of the folder.
    json_:
        Print JSON instead of text.
    """
    from reacgan.sharing import renew  # noqa: PLC0415

    folder = renew(model, out, scores=scores_from)
    answer({"folder": folder}, str(folder), as_json=json_)
    return 0


def push(
    model: Named,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    json_: Json = False,
) -> int:
    """Upload a model folder to the Hugging Face hub.

    It needs HF_TOKEN, or "hf auth login" before.

    Parameters
    ----------
    model:
        A model folder or a name.
    repository:
        OWNER/NAME; created if needed.
    private:
        Make a new repository private.
    revision:
        A branch, created if needed.
    json_:
        Print JSON instead of text.
    """
    from reacgan.hub import push_to_hub  # noqa: PLC0415

    address = push_to_hub(model, repository, private=private, revision=revision)
    answer({"address": address}, str(address), as_json=json_)
    return 0
