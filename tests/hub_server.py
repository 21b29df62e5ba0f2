"""A small Hugging Face hub on this machine: what huggingface_hub needs to put and fetch small files."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

TOKEN = "hf_right"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each {"refs": {branch: commit}, "commits": {commit: {path: bytes}}}."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, name, files, branch="main"):
        """Put files on a branch; gives the commit."""
        held = self.repositories.setdefault(name, {"refs": {}, "commits": {}, "private": False})
        text = json.dumps([len(held["commits"]), sorted(files)])
        commit = hashlib.sha1(text.encode()).hexdigest()
        held["commits"][commit] = files
        held["refs"][branch] = commit
        return commit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *given):
        pass

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code):
        self.answer({"error": code}, 404, X_Error_Code=code, X_Error_Message=code)

    def found(self, name, revision):
        """The commit and its files, or None where an error was answered."""
        held = self.server.repositories.get(name)
        if held is None:
            return self.missing("RepoNotFound")
        commit = held["refs"].get(revision, revision)
        if commit not in held["commits"]:
            return self.missing("RevisionNotFound")
        return commit, held["commits"][commit]

    def do_GET(self):
        path = unquote(urlparse(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[4] in ("revision", "tree"):
            found = self.found("/".join(parts[2:4]), "/".join(parts[5:6]))
            if found is not None:
                commit, files = found
                listed = [{"rfilename": one} for one in files]
                info = {"id": "/".join(parts[2:4]), "sha": commit, "siblings": listed}
                tree = [
                    {"type": "file", "path": one, "size": len(held), "oid": oid(held)}
                    for one, held in files.items()
                ]
                self.answer(info if parts[4] == "revision" else tree)
        elif len(parts) > 4 and parts[2] == "resolve":
            found = self.found("/".join(parts[:2]), parts[3])
            file = "/".join(parts[4:])
            if found is not None and file not in found[1]:
                self.missing("EntryNotFound")
            elif found is not None:
                held = found[1][file]
                self.answer(held, ETag=f'"{oid(held)}"', X_Repo_Commit=found[0])
        else:
            self.missing("Unknown")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self):
        path = unquote(urlparse(self.path).path)
        self.server.asked.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = path.strip("/").split("/")
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "no right to write"}, 403)
        hub, name = self.server, "/".join(parts[2:4])
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            if name not in hub.repositories:
                hub.commit(name, {".gitattributes": b""})
                hub.repositories[name]["private"] = "private" in (
                    asked.get("visibility"),
                    asked.get("private") and "private",
                )
            return self.answer({"url": f"{hub.address}/{name}", "name": name})
        held = hub.repositories[name]
        if parts[4] == "branch":
            held["refs"].setdefault(parts[5], held["refs"]["main"])
            return self.answer({})
        if parts[4] == "preupload":
            files = json.loads(body)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in files
            ]
            return self.answer({"files": modes})
        lines = [json.loads(line) for line in body.splitlines() if line]
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        before = held["commits"][held["refs"][parts[5]]]
        commit = hub.commit(name, {**before, **added}, parts[5])
        return self.answer(
            {
                "success": True,
                "commitOid": commit,
                "commitUrl": f"{hub.address}/{name}/commit/{commit}",
            }
        )


def oid(content):
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving():
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
