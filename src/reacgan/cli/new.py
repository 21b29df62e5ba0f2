"""``reacgan new``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reacgan.cli import bars, streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Assignments, DeviceToTrain


def new(
    path: str,
    *,
    out: Path = Path("experiment.yaml"),
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    set_: Assignments = (),
    device: DeviceToTrain = "auto",
    seconds: float = 20,
    force: bool = False,
    json_: Json = False,
) -> int:
    """Look at your images and write a plan to train on them.

    Says what is there, what is proposed and why, how long it takes here, and what to expect of so few or so
    many images. In the plan, a YAML file, every value has its reason.

    Examples: reacgan new photos/ | reacgan new photos/ --from runs/pets --out mine.yaml

    Parameters
    ----------
    path:
        A folder with one sub-folder a class, or with train/ and test/ that hold those; a packed
        file; a table (.csv, .jsonl); or a registered data set as NAME or NAME:PATH.
    out:
        The file to write: a YAML file with comments, for reacgan train. The run is named after it, or after
        the images where the file is experiment.yaml.
    from_:
        Begin with trained weights: a run's folder, a model folder, or a name of "reacgan weights list".
        Networks and resolution are then theirs; of a small set the discriminator's first stages stay
        as they are (FreezeD).
    set_:
        Fix values; the others follow: --set data.resolution=64.
    seconds:
        How long the steps of training are timed here, to say how long it takes; 0 for not at all.
    force:
        Replace the file if it is there.
    json_:
        Print JSON instead of text.
    """
    from reacgan.config import ConfigError, parse_assignments, refuse_unwritable  # noqa: PLC0415
    from reacgan.planning import propose  # noqa: PLC0415

    if (
        refuse_unwritable(out, "file").exists() and not force
    ):  # before minutes of looking and timing
        raise ConfigError(
            f"{out}: exists, and is not replaced; --force replaces it, --out FILE writes another"
        )
    with bars.shown():
        proposal = propose(
            path,
            device=device,
            given=parse_assignments(set_),
            start_from=from_,
            seconds=seconds,
            tell=(lambda text: None) if json_ else streams.show,
        )
    file = proposal.write(out, force=force)
    command = proposal.train_command(file)
    text = f"written: {file}, a file to read and change"
    if "--out" in shlex.split(command):
        text += "\n  runs/ holds another run of that name, hence the --out"
    text += f"\nnext: {command}"
    answer(
        {**proposal.named_after(file).facts(), "file": file, "next": command}, text, as_json=json_
    )
    return 0
