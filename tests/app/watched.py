"""The command line, with every address that is asked for outside of this machine in a file."""

import sys
from pathlib import Path

log = Path(sys.argv[1])
log.write_text("")
LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", None, b"localhost", b"127.0.0.1")


def watch(event, values):
    if event == "socket.getaddrinfo":
        host = values[0]
    elif event in ("socket.connect", "socket.sendto"):
        host = values[1][0] if isinstance(values[1], tuple) else None
    else:
        return
    if host not in LOCAL:
        with log.open("a") as file:
            file.write(f"{event} {values}\n")


sys.addaudithook(watch)

from reacgan.cli import main  # noqa: E402

main(sys.argv[2:])
