"""Shards of an address: fetched once, checked, kept within a limit; over http served here, and fsspec."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from shards import contents, make_shards, opened
from test_data_shards import loader

from reacgan.config import ConfigError
from reacgan.data import DataError, MissingSplitError, download, offline
from reacgan.data.shards.cache import limit_bytes, shards_folder
from reacgan.data.shards.places import fetch
from reacgan.experiments.derive import derive_experiment
from reacgan.progress import PULSE
from reacgan.records import sealed


class Files(BaseHTTPRequestHandler):
    """Serves ``server.files``; counts what was asked for."""

    def log_message(self, *given):
        pass

    def do_HEAD(self):
        content = self.server.files.get(unquote(self.path).partition("?")[0].lstrip("/"))
        if "HEAD" not in self.server.says:
            self.send_error(501)
            return
        self.send_response(404 if content is None else 200)
        if content is not None and not callable(content):
            if "ETag" in self.server.says:
                self.send_header("ETag", hashlib.sha256(content).hexdigest())
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()

    def do_GET(self):
        name = unquote(self.path).partition("?")[0].lstrip("/")
        self.server.asked.append(name)
        content = self.server.files.get(name)
        if callable(content):
            content = content(self.server.asked.count(name))
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        with suppress(OSError):  # nobody waits any more
            if name in self.server.slow:
                for start in range(0, len(content), 100):
                    self.wfile.write(content[start : start + 100])
                    self.server.dripping.set()
                    time.sleep(0.05)
                self.server.dripped.append(name)
            else:
                self.wfile.write(content or b"")


@contextmanager
def serving(folder, below="set"):
    """A server of a folder's files; ``files`` by their paths, ``asked`` in their order.

    Those in ``slow`` drip; ``dripping`` is set once one does, ``dripped`` are those that came whole.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        server.asked, server.slow, server.dripped = [], (), []
        server.dripping = threading.Event()
        server.says = {"HEAD", "ETag"}
        server.files = {
            f"{below}/{file.relative_to(folder).as_posix()}": file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file()
        }
        server.address = f"http://127.0.0.1:{server.server_port}/{below}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def shards(tmp_path):
    return make_shards(tmp_path)


@pytest.fixture
def server(shards):
    with serving(shards) as running:
        yield running


def tars_here():
    return sorted([*shards_folder().glob("*/*.tar"), *shards_folder().glob("*/*.incoming*")])


def test_each_shard_is_fetched_once(server, shards):
    data = opened(f"{server.address}/index.json")
    assert contents(data) == contents(opened(shards))
    assert contents(opened(server.address)) == contents(data)
    assert sorted(n for n in server.asked if n.endswith(".tar")) == [
        f"set/train-{number:06d}.tar" for number in range(5)
    ]
    assert opened(server.address).digest == opened(shards).digest


def test_a_run_is_called_after_the_set(server):
    name = derive_experiment(f"{server.address}/index.json").experiment.name
    assert name == "set"
    assert ":" not in derive_experiment(server.address.rpartition("/")[0] + "/set").experiment.name


def test_training_is_the_same_from_anywhere(server, shards):
    here, there = loader(opened(shards)), loader(opened(server.address))
    for t in range(0, 64, 8):
        assert all(map(torch.equal, here.at(t), there.at(t)))
    here.close()
    there.close()


def test_only_what_is_needed_is_fetched(server):
    data = opened(server.address, window=1)
    made = loader(data, batch=2)
    made.at(0)
    made.close()
    assert len({name for name in server.asked if name.endswith(".tar")}) <= 3


def test_the_limit_is_kept(server, shards, monkeypatch):
    size = (shards / "train-000000.tar").stat().st_size
    monkeypatch.setenv("REACGAN_SHARDS_GB", str(3.5 * size / 1e9))
    most = 0
    straight, made = loader(opened(shards, window=1)), loader(opened(server.address, window=1))
    for t in range(0, 96, 8):
        assert all(map(torch.equal, straight.at(t), made.at(t)))
        with suppress(FileNotFoundError):  # deleted while we look
            most = max(most, sum(file.stat().st_size for file in tars_here()))
    made.close()
    straight.close()
    assert most <= limit_bytes() and len(tars_here()) <= 3


def test_the_least_recently_used_goes_first(server, shards, monkeypatch):
    size = (shards / "train-000000.tar").stat().st_size
    monkeypatch.setenv("REACGAN_SHARDS_GB", str(2.5 * size / 1e9))
    data = opened(server.address, window=1)
    for image in (0, 5, 0, 10, 0, 15):  # shards 0, 1, 0, 2, 0, 3
        data.stored.close()
        data.images[image]
    assert server.asked.count("set/train-000000.tar") == 1


def test_a_window_that_does_not_fit_is_refused(server, shards, monkeypatch):
    size = (shards / "train-000000.tar").stat().st_size
    monkeypatch.setenv("REACGAN_SHARDS_GB", str(2.5 * size / 1e9))
    with pytest.raises(
        DataError, match=r"REACGAN_SHARDS_GB .* or data.options.window to less than 3"
    ):
        opened(server.address, window=3)


@pytest.mark.parametrize("value", ["none", "-1", "0", "nan", "inf"])
def test_a_limit_that_cannot_be(value, monkeypatch):
    monkeypatch.setenv("REACGAN_SHARDS_GB", value)
    with pytest.raises(DataError, match="REACGAN_SHARDS_GB is"):
        limit_bytes()


def test_a_damaged_shard_is_fetched_again_once(server, shards):
    name, whole = "set/train-000001.tar", (shards / "train-000001.tar").read_bytes()
    damaged = bytes([*whole[:1600], whole[1600] ^ 1, *whole[1601:]])
    server.files[name] = lambda count: damaged if count == 1 else whole
    assert contents(opened(server.address)) == contents(opened(shards))
    assert server.asked.count(name) == 2


def test_a_shard_that_stays_damaged_is_named(server):
    name = "set/train-000001.tar"
    server.files[name] = server.files[name][:-1] + b"x"
    with pytest.raises(
        DataError, match=r"train-000001.tar: damaged: fetched twice, its SHA-256 is"
    ):
        opened(server.address).images[:]
    assert server.asked.count(name) == 2
    assert len(tars_here()) == 1


def test_a_copy_that_is_damaged_here_is_fetched_again(server, shards):
    data = opened(server.address)
    data.images[:]
    data.stored.close()
    for file in tars_here():
        content = bytearray(file.read_bytes())
        content[1600] ^= 1
        file.write_bytes(content)
    assert contents(opened(server.address)) == contents(opened(shards))
    tars_here()[0].write_bytes(b"short")
    assert contents(opened(server.address)) == contents(opened(shards))


def test_no_more_than_the_index_says_is_taken(server):
    name = "set/train-000000.tar"
    server.files[name] += b"\0" * 10**6
    with pytest.raises(DataError, match=r"bytes or more, where [\d,]+ were expected"):
        opened(server.address).images[0]
    assert tars_here() == []


def test_what_is_missing_is_named(server):
    del server.files["set/train-000003.tar"]
    data = opened(server.address)
    with pytest.raises(DataError, match=r"train-000003.tar: not reachable: the server answers 404"):
        data.images[:]
    with pytest.raises(MissingSplitError):
        opened(server.address, "test")
    del server.files["set/index.json"]
    with pytest.raises(DataError, match=r"http does not list a folder.*shard-\{000000\.\.000099\}"):
        opened(server.address)


def test_a_table_that_is_missing_is_named(server):
    del server.files["set/train.members"]
    with pytest.raises(DataError, match=r"train.members: not reachable"):
        opened(server.address)


def test_a_table_that_is_damaged_here_is_fetched_again(server, shards):
    opened(server.address)
    (table,) = shards_folder().glob("tables/*.members")
    for damage in (b"", table.read_bytes()[:-1] + b"x"):
        table.write_bytes(damage)
        assert contents(opened(server.address)) == contents(opened(shards))


def test_nothing_is_fetched_where_nothing_may_be(server):
    with offline(), pytest.raises(DataError, match="nothing is downloaded now"):
        opened(server.address)
    assert server.asked == []


def test_a_changed_set_has_another_digest(server, shards):
    before = opened(server.address).digest
    index = json.loads(server.files["set/index.json"])
    index["class_names"][0] = "dog"
    server.files["set/index.json"] = json.dumps(sealed(index)).encode()
    assert opened(server.address).digest != before


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/passwd", "http://other/x.tar", "a/../../b", "c:\\x", "", "x\0"]
)
@pytest.mark.parametrize("where", ["shard", "members"])
def test_names_in_an_index_stay_below_it(server, name, where):
    index = json.loads(server.files["set/index.json"])
    train = index["splits"]["train"]
    (train["shards"][0] if where == "shard" else train["members"])["file"] = name
    server.files["set/index.json"] = json.dumps(sealed(index)).encode()
    with pytest.raises(DataError, match="no name of a file beside the index"):
        opened(server.address)


def test_rows_stay_within_their_shards(server, shards):
    table = np.frombuffer(server.files["set/train.members"], np.uint8).copy()
    from reacgan.data.shards.index import ROW

    for key, value in (
        ("offset", 2**40),
        ("offset", -1),
        ("bytes", 2**30),
        ("label", 3),
        ("width", 0),
    ):
        rows = table.copy().view(ROW)
        rows[key][3] = value
        content = rows.tobytes()
        index = json.loads((shards / "index.json").read_bytes())
        index["splits"]["train"]["members"]["sha256"] = hashlib.sha256(content).hexdigest()
        server.files["set/train.members"] = content
        server.files["set/index.json"] = json.dumps(sealed(index)).encode()
        with pytest.raises(DataError, match="outside of their shards"):
            opened(server.address)


def test_several_readers_fetch_a_shard_once(server, shards):
    sets = [opened(server.address) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(contents, sets))
    assert all(each == contents(opened(shards)) for each in read)
    assert all(server.asked.count(f"set/train-{n:06d}.tar") == 1 for n in range(5))


def test_each_part_of_a_slow_file_is_a_heartbeat(server):
    name = "set/train-000000.tar"
    server.files[name], server.slow = b"x" * 1000, (name,)
    before = PULSE.beats
    fetch(f"{server.address}/train-000000.tar", shards_folder() / "x", sha256=None, most=1000)
    assert PULSE.beats >= before + 5


def test_a_server_that_drips_is_given_up(server, monkeypatch):
    monkeypatch.setattr(download, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(download, "_SLOWEST", 10**6)
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0)
    server.slow = {"set/train-000000.tar"}
    with pytest.raises(DataError, match=r"train-000000.tar: not reachable: .* too slow to wait"):
        opened(server.address).images[0]


def test_through_fsspec(shards):
    """``memory://`` is storage of fsspec's own, reached as s3:// and gs:// are."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for file in shards.iterdir():
        system.pipe_file(f"/bucket/set/{file.name}", file.read_bytes())
    try:
        assert contents(opened("memory://bucket/set/index.json")) == contents(opened(shards))
        whole = system.cat_file("/bucket/set/train-000002.tar")
        system.pipe_file("/bucket/set/train-000002.tar", whole[:-1] + b"x")
        tars_here()[0].unlink()
        for file in tars_here():
            file.unlink()
        with pytest.raises(DataError, match="train-000002.tar: damaged: fetched twice"):
            opened("memory://bucket/set").images[:]
        system.rm_file("/bucket/set/index.json")
        system.pipe_file("/bucket/set/train-000002.tar", whole)
        assert contents(opened("memory://bucket/set")) != []
    finally:
        system.rm("/bucket", recursive=True)


def test_a_package_that_is_missing_is_named():
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"s3://bucket/set.*pip install s3fs"):
            opened("s3://bucket/set")
