"""Serves the page: on this machine alone unless asked otherwise, and nothing is fetched from outside."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from reacgan.app.fonts import FONTS
from reacgan.app.guard import Guard
from reacgan.app.page import build_page, look
from reacgan.app.sets import DataSets
from reacgan.app.studio import open_studio
from reacgan.config import ConfigError, Device, path_of
from reacgan.data import refuse_inside
from reacgan.files import scratch_folder
from reacgan.sampling.fonts import FOLDER

PORT = 7860
"""The first port that is tried where none is asked for."""
_PORTS = 100
_GRACE_SECONDS = 1


def serve(
    models: Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    out: str | Path | None = None,
    device: Device = "auto",
    ready: Callable[[str], None] | None = None,
) -> int | None:
    """Serve a page to explore models until Ctrl-C or SIGTERM.

    Generation is serial: requests wait in a queue, and each page shows its place in it.

    Args:
        models: folders of runs or models, or names; each is loaded once, before the page is served.
        host: the address to listen at; another one than a loopback address lets other machines in.
        port: 0 takes a free one; None the first free one from :data:`PORT` on.
        out: a folder in which the page may write data sets; None lets it make zips alone.
        device: as in :func:`reacgan.load`.
        ready: called with the page's address once it can be opened.

    Returns:
        The number of the signal that ended it; None where something else did.

    Raises:
        ConfigError: gradio is missing, a model cannot be loaded, the port is taken, or the host is not
            this machine.
    """
    check_installed()
    target = path_of(out).absolute() if out is not None else None
    with listening(host, port) as listener:
        studio = open_studio(models, device)
        for exhibit in studio.exhibits.values():
            if target is not None:
                refuse_inside(target, exhibit.model.experiment.data.path)
        with (
            scratch_folder(Path(tempfile.gettempdir()) / "app", "reacgan-app-") as scratch,
            _environment(str(scratch)),
            DataSets(studio, scratch, target) as sets,
        ):
            app = build_app(sets, str(device), host)
            said = partial(ready, address_of(listener, host)) if ready else lambda: None
            return _run(app, listener, said)


def check_installed() -> None:
    """Raise ConfigError where gradio is missing."""
    from importlib.util import find_spec  # noqa: PLC0415

    try:
        missing = find_spec("gradio") is None
    except ValueError:  # switched off in sys.modules
        missing = True
    if missing:
        raise ConfigError("the page needs gradio: pip install 'reacgan[app]'")


def build_app(sets: DataSets, device: str, host: str) -> Callable[..., Any]:
    """The page as an ASGI application; :func:`serve` calls it in an environment of its own."""
    import fastapi  # noqa: PLC0415 - optional, and slow to import
    import gradio as gr  # noqa: PLC0415
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415

    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount(FONTS.rstrip("/"), StaticFiles(directory=FOLDER))
    page = build_page(sets, device)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        max_file_size=1,
        show_error=True,
        **look(),
    )
    if is_loopback(host):  # another name for this machine would let a foreign page read the answers
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host]
        )
    app.add_middleware(Guard)
    return app


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens there; see :func:`serve`.

    Raises:
        ConfigError: the port is taken or out of range, or the host is not of this machine.
    """
    if port is not None and not 0 <= port <= 65535:
        raise ConfigError(f"port is {port}; allowed: 0 (any free one) to 65535")
    name = host.strip("[]")
    try:
        family, _, _, _, where = socket.getaddrinfo(
            name, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host is {host!r}: no address of this machine ({error})") from None
    wanted = range(PORT, PORT + _PORTS) if port is None else [port]
    for number in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere this would take a port that another process has
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((where[0], number, *where[2:]))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                continue
            reason = error.strerror or str(error)
            raise ConfigError(f"{host}:{number}: {reason}; give another --host or --port") from None
        with listener:
            yield listener
        return
    taken = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + _PORTS - 1} are"
    raise ConfigError(f"{taken} taken; give another --port, or --port 0 for any free one")


def address_of(listener: socket.socket, host: str) -> str:
    """The page's address, to open in a browser."""
    name, port = host.strip("[]"), listener.getsockname()[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(name, name)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


@contextmanager
def _environment(scratch: str) -> Iterator[None]:
    """Gradio's variables for this process: no telemetry, files in ``scratch``, nothing else of its own."""
    before = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    kept = {name: value for name, value in before.items() if name == "GRADIO_ROOT_PATH"}
    ours = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": scratch, **kept}
    _set_gradio(ours)
    try:
        yield
    finally:
        _set_gradio(before)


def _set_gradio(values: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ.update(values)


def _run(app: Callable[..., Any], listener: socket.socket, ready: Callable[[], None]) -> int | None:
    """Serve; returns the number of the signal that ended it."""
    import uvicorn  # noqa: PLC0415 - optional, and slow to import

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with _signals() as caught:
        Server(config).run(sockets=[listener])
    return caught[0] if caught else None


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM: uvicorn raises them again at its end, with files still to remove."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {
        number: signal.signal(number, lambda number, _: caught.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
