"""What passes between a browser and gradio: only what this page needs, and nothing that leads elsewhere.

Gradio answers more than that. It fetches addresses that a call or a path names, keeps uploads, and
has routes for editing code; none of it is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reacgan.app.fonts import FONTS
from reacgan.records import parse_json

BODY_BYTES = 1 << 20
"""Of a request, at most."""

_POLICY = "; ".join(
    [
        "default-src 'self' data: blob:",
        # Gradio makes its templates into functions, and writes styles in the page.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self' data: blob:",
        "form-action 'self'",
        "base-uri 'self'",
        "frame-ancestors 'self'",
        "object-src 'none'",
    ]
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_READ = (
    "/config",
    "/theme.css",
    "/favicon.ico",
    "/robots.txt",
    "/manifest.json",
    "/gradio_api/info",
    "/gradio_api/queue/data",
    "/gradio_api/startup-events",
)
_READ_BELOW = (
    "/assets/",
    FONTS,
    "/static/",
    "/svelte/",
    "/gradio_api/heartbeat/",
    "/gradio_api/file=",
)
_WRITTEN = ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset")


class Guard:
    """Passes on the requests of the page, and adds headers that keep a browser from asking other hosts."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        elif not passes(scope["method"], scope["path"]):
            await _refuse(send, 404, "this page has no such part")
        elif scope["method"] != "POST":
            await self._app(scope, receive, _with_headers(send))
        else:
            body = await _body(receive)
            if body is None:
                await _refuse(send, 413, f"allowed: {BODY_BYTES:,} bytes")
            elif not is_plain(body):
                await _refuse(send, 400, "allowed: JSON with numbers, texts and lists as data")
            else:
                await self._app(scope, _again(body, receive), _with_headers(send))


def passes(method: str, path: str) -> bool:
    """Whether the page makes such requests."""
    if method == "POST":
        return path in _WRITTEN
    if method not in ("GET", "HEAD") or "://" in path:
        return False
    return path in ("", "/", *_READ) or path.startswith(_READ_BELOW)


def is_plain(body: bytes) -> bool:
    """Whether a call's values are numbers, texts and lists of them.

    In others gradio finds files and addresses, and fetches them before the page sees the values.
    """
    try:
        call = parse_json(body or b"{}")
        data = call.get("data")
    except (ValueError, AttributeError):
        return False
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif not isinstance(value, str | int | float | None):
            return False
    return True


async def _body(receive: Any) -> bytes | None:
    """The whole body; None where it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Any) -> Any:
    """Gives the body that was read, then what else comes."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Any:
        return messages.pop() if messages else await receive()

    return give


def _with_headers(send: Any) -> Any:
    async def give(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_HEADERS]}
        await send(message)

    return give


async def _refuse(send: Any, status: int, words: str) -> None:
    content = words.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
