from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from reacgan.data import DataError
from reacgan.data.download import download, extract

CONTENT = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; the server's ``breaks`` says after how many bytes a connection is cut."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        if self.path == "/absent":
            self.send_error(404)
            return
        if self.server.failing:
            self.server.failing -= 1
            self.send_error(503)
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = self.server.breaks.pop(0) if self.server.breaks else len(CONTENT)
        self.wfile.write(CONTENT[start : start + end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("reacgan.data.download._PAUSE_SECONDS", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.breaks, running.ranges, running.failing = [], [], True, 0
        running.url = f"http://127.0.0.1:{running.server_port}/set.bin"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_whole_file_with_progress(server, tmp_path):
    steps = []
    path = download(
        server.url,
        tmp_path / "deep" / "set.bin",
        md5=MD5,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT)) and len(steps) > 1
    assert [one.name for one in path.parent.iterdir()] == ["set.bin"]
    download(server.url, path, md5=MD5)
    assert server.asked == [None]


def test_resumes_where_the_connection_broke(server, tmp_path):
    server.breaks = [1_000_000, 500_000]
    path = download(server.url, tmp_path / "set.bin", md5=MD5)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]


def test_resumes_in_a_later_call(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(CONTENT[:777])
    assert download(server.url, tmp_path / "set.bin", md5=MD5).read_bytes() == CONTENT
    assert server.asked == ["bytes=777-"]


@pytest.mark.parametrize("here", [len(CONTENT), len(CONTENT) + 5])
def test_a_part_that_is_complete_or_too_long(server, tmp_path, here):
    (tmp_path / "set.bin.part").write_bytes((CONTENT + b"extra")[:here])
    assert download(server.url, tmp_path / "set.bin", md5=MD5).read_bytes() == CONTENT


def test_starts_anew_where_the_server_cannot_resume(server, tmp_path):
    server.ranges, server.breaks = False, [1000]
    assert download(server.url, tmp_path / "set.bin", md5=MD5).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.failing = 2
    assert download(server.url, tmp_path / "set.bin", md5=MD5).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_corrupt_content_is_removed(server, tmp_path, name):
    expected = "0" * 32
    with pytest.raises(DataError, match=rf"its {name} is [0-9a-f]+, expected {expected}"):
        download(server.url, tmp_path / "set.bin", **{name: expected})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "set.bin").write_text("another file")
    with pytest.raises(DataError, match="remove it, then it is fetched again"):
        download(server.url, tmp_path / "set.bin", md5=MD5)


def test_offline_and_absent_say_what_to_do(server, tmp_path):
    absent = server.url.replace("set.bin", "absent")
    with pytest.raises(DataError, match="answers 404") as caught:
        download(absent, tmp_path / "set.bin", md5=MD5)
    assert len(server.asked) == 1
    for part in (absent, str(tmp_path / "set.bin"), MD5, "data.path"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match=r"could not download.*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x", md5=MD5)
    with pytest.raises(DataError, match="not a http or https address"):
        download("file:///etc/passwd", tmp_path / "x")


def test_gives_up_when_it_keeps_breaking(server, tmp_path):
    server.breaks = [10] * 20
    with pytest.raises(DataError, match="the connection broke"):
        download(server.url, tmp_path / "set.bin", md5=MD5)
    assert (tmp_path / "set.bin.part").stat().st_size == 50


def tar_of(path, *items):
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, content in items:
            item = tarfile.TarInfo(name)
            item.type, item.size = kind, len(content)
            item.linkname = "/etc/passwd"
            tar.addfile(item, io.BytesIO(content))
    return path


def test_extract(tmp_path):
    tar = tar_of(
        tmp_path / "a.tar.gz",
        ("./d", tarfile.DIRTYPE, b""),
        ("./d/x.bin", tarfile.REGTYPE, b"hello"),
    )
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("d/x.bin", b"hello")
    for archive in (tar, tmp_path / "a.zip"):
        folder = extract(archive, tmp_path / f"{archive.name}.out", max_bytes=5)
        assert (folder / "d" / "x.bin").read_bytes() == b"hello"
        assert extract(archive, folder, max_bytes=0) == folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../x", tarfile.REGTYPE),
        ("a/../../x", tarfile.REGTYPE),
        ("/tmp/x", tarfile.REGTYPE),
        ("a\\..\\x", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ],
)
def test_hostile_tars(tmp_path, name, kind):
    tar = tar_of(tmp_path / "a.tar.gz", ("good", tarfile.REGTYPE, b"x"), (name, kind, b""))
    with pytest.raises(DataError, match=r"outside of the folder|a link or a device"):
        extract(tar, tmp_path / "out", max_bytes=100)
    assert [one.name for one in tmp_path.iterdir()] == ["a.tar.gz"]


def test_hostile_zips(tmp_path):
    path = tmp_path / "a.zip"
    for name, mode in (("../x", 0o100644), ("link", 0o120777)):
        with zipfile.ZipFile(path, "w") as zipped:
            item = zipfile.ZipInfo(name)
            item.external_attr = mode << 16
            zipped.writestr(item, "target")
        with pytest.raises(DataError, match=r"outside of the folder|a link or a device"):
            extract(path, tmp_path / "out", max_bytes=100)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("bomb", b"\0" * 5_000_000)
    with pytest.raises(DataError, match="more than 1000000 bytes"):
        extract(path, tmp_path / "out", max_bytes=1_000_000)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(path, tmp_path / "out", max_bytes=1_000_000)
    assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]
