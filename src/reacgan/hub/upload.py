"""Upload of a model to the Hugging Face hub: tensors, text and pictures alone."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from reacgan.config import ConfigError
from reacgan.files import scratch_folder
from reacgan.hub.folder import check_digests, model_folder, read_config
from reacgan.hub.models import save
from reacgan.hub.places import FILE_PATTERNS, first_line, locate
from reacgan.models.trained import TrainedGenerator


def push_to_hub(
    model: TrainedGenerator | str | Path,
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
) -> str:
    """Upload a model to the Hugging Face hub; the repository is created if needed.

    Args:
        model: a generator, or the folder or name of a model; a folder goes as it is, with its card.
        repository: ``OWNER/NAME``.
        private: of a new repository.
        token: with the right to write; by default HF_TOKEN or that of ``hf auth login``.
        revision: a branch, created if needed; by default the main one.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: a damaged model folder (a digest is not the recorded one), or the hub refuses.
    """
    if isinstance(model, TrainedGenerator):
        with scratch_folder(Path(gettempdir()) / "upload", "reacgan-") as temporary:
            return push_to_hub(
                save(model, temporary / "model"),
                repository,
                private=private,
                token=token,
                revision=revision,
            )
    folder = model_folder(locate(model))
    check_digests(folder, read_config(folder))
    from huggingface_hub import HfApi  # noqa: PLC0415

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="reacgan")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        done: Any = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILE_PATTERNS),
            commit_message=f"Model of reacgan: {folder.name}",
            revision=revision,
        )
    except Exception as error:  # kinds of errors differ between versions
        raise ConfigError(
            f"{repository}: upload to the Hugging Face hub failed ({first_line(error)}); check the "
            "name, the network, and that the token (HF_TOKEN, or `hf auth login`) may write there"
        ) from error
    return str(done.commit_url)
