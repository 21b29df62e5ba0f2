"""Publishing the folder of a run as a model folder to share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from reacgan import hub
from reacgan.config import ConfigError, parse_experiment, path_of
from reacgan.evaluation.scores import Score, read_scores
from reacgan.files import read_text, without_paths
from reacgan.hub.folder import model_folder, read_config
from reacgan.hub.licences import licence_of
from reacgan.hub.models import Stored, stored
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import class_sheet
from reacgan.sampling.grids import png_of
from reacgan.sharing import samples
from reacgan.sharing.card import full_card, section_of, training_section
from reacgan.sharing.record import loss_curve, record_of
from reacgan.sharing.scores import scores_of
from reacgan.tensors import packed

SCORES, CURVE, SHEET = "scores.jsonl", "curve.png", "samples.png"


def publish(
    run: str | Path,
    folder: str | Path,
    *,
    name: str | None = None,
    scores: str | Path | Sequence[Score] | None = None,
    dtype: Stored = "float32",
    licence: str | None = None,
) -> Path:
    """Make a model folder with all that others need to use and evaluate it.

    It holds the generator and, where the run has it at the same state, the discriminator; the card with
    data, licence, scores and protocols, command, cost and limits; a curve of the losses, a sheet of
    samples, the scores themselves, and 16 images to compare with on another machine. Absolute paths are
    shortened to their last part. The same run gives the same folder.

    Args:
        run: the folder of a run, its ``model``, or its ``best``.
        folder: where to; an existing model folder is replaced.
        name: of the model; by default that of ``folder``.
        scores: a file of scores or scores themselves; by default those in the run's folder. Those of
            other states are left out.
        dtype: of the stored weights, see :func:`reacgan.save`. The samples and the sheet are those of
            the stored weights.
        licence: of the weights: an identifier of the Hugging Face hub, or ``other:NAME``; by default
            what the data allow.

    Raises:
        ConfigError: not the folder of a run, nothing saved in it yet, or a licence that is neither.
    """
    name = name or path_of(folder).resolve().name
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConfigError(f"name is {name!r}; allowed: letters, digits, and . _ -")
    if licence is not None:
        licence_of(licence)
    location = hub.locate(run)
    record = record_of(location)
    model = hub.load(location, device="cpu")
    seen = model.images_seen
    curve = loss_curve(record)
    states = hub.list_states(record.path)
    return _write(
        model,
        folder,
        name=name,
        dtype=dtype,
        licence=licence,
        scores=_read(scores, record.path),
        # The run keeps the discriminator of its newest states only.
        discriminator=hub.load_discriminator(record.path, device="cpu", images_seen=seen).float()
        if states and states[-1] == seen
        else None,
        curve=curve,
        training=training_section(record, seen, curve=curve is not None),
    )


def renew(
    shared: str | Path,
    folder: str | Path,
    *,
    scores: str | Path | Sequence[Score] | None = None,
    licence: str | None = None,
) -> Path:
    """Publish a shared folder again with this version, without its run.

    The weights, the discriminator, the curve and what the card says of training stay. Whether the
    statistics of batch norms fit is checked (folders of earlier versions do not say), and sheet, samples,
    card and digests are made anew.

    Args:
        shared: a folder that :func:`publish` made, or a name.
        folder: where to; may be the same.
        scores: as in :func:`publish`; by default those in the folder.
        licence: as in :func:`publish`.

    Raises:
        ConfigError: not a published folder, or its card has no section on training.
    """
    source = model_folder(hub.locate(shared))
    config = read_config(source)
    training = section_of(read_text(source / "README.md"), "Training")
    if not training or "name" not in config:
        raise ConfigError(f"{source}: no published folder (its card does not tell of its training)")
    has_discriminator = config.get("discriminator_sha256") is not None
    return _write(
        hub.load(source, device="cpu"),
        folder,
        name=config["name"],
        dtype=config.get("dtype", "float32"),
        licence=licence,
        scores=_read(scores, source),
        discriminator=hub.load_discriminator(source, device="cpu") if has_discriminator else None,
        curve=(source / CURVE).read_bytes() if (source / CURVE).exists() else None,
        training=training,
    )


def _write(
    model: TrainedGenerator,
    folder: str | Path,
    *,
    name: str,
    dtype: Stored,
    licence: str | None,
    scores: Sequence[Score],
    discriminator: Discriminator | None,
    curve: bytes | None,
    training: str,
) -> Path:
    """Write the folder with card, sheet, samples and digests."""
    model = as_stored(model, dtype)
    scores = scores_of(scores, model.images_seen)
    sheet = class_sheet(model.generator, model.class_names)
    card = full_card(model, training, scores, name=name, dtype=dtype, licence=licence)
    files = {
        SHEET: png_of(sheet),
        samples.FILE: packed(samples.fixed_samples(model)),
    }
    if curve is not None:
        files[CURVE] = curve
    if scores:
        files[SCORES] = "".join(score.to_line() + "\n" for score in scores).encode(errors="replace")
    return hub.save(
        model,
        folder,
        beside={**files, "README.md": card},
        dtype=dtype,
        discriminator=discriminator,
        facts={
            "name": name,
            "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
            "samples": {"file": samples.FILE, "tolerance": samples.TOLERANCE},
        },
    )


def as_stored(model: TrainedGenerator, dtype: Stored) -> TrainedGenerator:
    """The model as loading returns it: weights as stored, in float32, without paths."""
    generator = deepcopy(model.generator).float()
    generator.load_state_dict(stored(generator, dtype))  # copied into float32
    experiment = parse_experiment(without_paths(model.experiment.model_dump()))
    return replace(model, generator=generator, experiment=experiment)


def _read(scores: str | Path | Sequence[Score] | None, folder: Path) -> Sequence[Score]:
    """The given scores, or those of a file, by default of the folder."""
    if scores is not None and not isinstance(scores, str | Path):
        return scores
    file = folder / SCORES if scores is None else path_of(scores)
    if scores is not None and not file.is_file():
        raise ConfigError(f"{file}: no such file; give the scores.jsonl of `reacgan evaluate`")
    return read_scores(file)
