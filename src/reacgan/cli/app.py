"""``reacgan app``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reacgan.cli import streams
from reacgan.cli.answers import Json, answer
from reacgan.cli.options import Device


def app(
    *models: str,
    host: str = "127.0.0.1",
    port: int | None = None,
    out: Path | None = None,
    browser: bool = False,
    device: Device = "auto",
    json_: Annotated[
        Json, Parameter(help="Print address and models as JSON, once the page can be opened.")
    ] = False,
) -> int:
    """Explore models on a page in the browser, until Ctrl-C.

    Sheets by class and seed, walks, directions, nearest training images, more like this, data sets;
    with the command line of each. The page asks no other machine for anything. Requests wait in a
    queue, and each page shows its place in it.

    Example: reacgan app runs/pets runs/digits

    Parameters
    ----------
    models:
        Folders of runs or models, or names of models.
    host:
        Where to listen; another address than 127.0.0.1 lets other machines in, without a password.
        For people elsewhere a tunnel is better: ssh -L 7860:127.0.0.1:7860 MACHINE.
    port:
        0 takes any free one; by default the first free one from 7860 on.
    out:
        A folder in which the page may write data sets; without it they are zips to save.
    browser:
        Also open the page in the browser of this machine.
    """
    import webbrowser  # noqa: PLC0415

    from reacgan.app import serve  # noqa: PLC0415
    from reacgan.app.server import is_loopback  # noqa: PLC0415

    if not is_loopback(host):
        streams.tell(f"warning: whoever reaches {host} can use this page; there is no password")

    def ready(address: str) -> None:
        facts = {"address": address, "models": models}
        answer(facts, f"{address} (Ctrl-C ends it)", as_json=json_)
        streams.flush_output()
        if browser and not webbrowser.open(address):
            streams.tell("note: no browser could be started here; open the address yourself")

    number = serve(models, host=host, port=port, out=out, device=device, ready=ready)
    streams.tell("ended")
    return 128 + number if number == signal.SIGTERM else 0
