from __future__ import annotations

import hashlib
import multiprocessing
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from reacgan.config import ConfigError
from reacgan.data import DataError
from reacgan.extractors.weights import PublishedWeights, load_weights, read_weights

LAYOUT = {"stem.conv.weight": (4, 3, 3, 3), "stem.bn.weight": (4,), "fc.bias": (7,)}


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(shape, generator=generator) for name, shape in LAYOUT.items()}
    return {**made, "stem.bn.num_batches_tracked": torch.tensor(5)}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        if self.server.content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Publishes a state dict; the cache is an empty folder."""
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("reacgan.data.download._PAUSE_SECONDS", 0)
    source = tmp_path / "published.pth"
    torch.save(tensors(), source)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.content, running.asked = source.read_bytes(), 0
        running.published = PublishedWeights(
            extractor="inception",
            url=f"http://127.0.0.1:{running.server_port}/net-1.pth",
            sha256=hashlib.sha256(running.content).hexdigest(),
            size=len(running.content),
        )
        running.kept = tmp_path / "cache" / "extractors" / "net-1.pth.safetensors"
        running.fetched = tmp_path / "cache" / "downloads" / "net-1.pth"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def same(found, expected):
    return set(found) == set(LAYOUT) and all(torch.equal(found[n], expected[n]) for n in LAYOUT)


def test_fetched_and_converted_once(server):
    first = load_weights(None, server.published, LAYOUT)
    assert same(first.tensors, tensors()) and server.asked == 1
    assert same(load_file(server.kept), tensors())
    server.fetched.unlink()
    again = load_weights(None, server.published, LAYOUT)
    assert server.asked == 1 and again.digest == first.digest
    assert same(again.tensors, tensors())
    assert sorted(one.name for one in server.kept.parent.iterdir() if one.suffix != ".lock") == [
        server.kept.name
    ]


def test_a_file_put_into_the_cache_by_hand_needs_no_server(server):
    server.fetched.parent.mkdir(parents=True)
    server.fetched.write_bytes(server.content)
    assert same(load_weights(None, server.published, LAYOUT).tensors, tensors())
    assert server.asked == 0


@pytest.mark.parametrize("damage", ["torn", "one bit", "empty", "another network"])
def test_a_damaged_cache_is_made_anew(server, damage):
    load_weights(None, server.published, LAYOUT)
    whole = server.kept.read_bytes()
    if damage == "torn":
        server.kept.write_bytes(whole[:-20])
        server.fetched.write_bytes(server.content[:-20])
    elif damage == "one bit":
        server.kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        server.fetched.write_bytes(b"x" + server.content[1:])
    elif damage == "empty":
        server.kept.write_bytes(b"")
        server.fetched.write_bytes(b"")
    else:
        save_file({"other": torch.zeros(2)}, server.kept)
    assert same(load_weights(None, server.published, LAYOUT).tensors, tensors())
    assert server.kept.read_bytes() == whole and server.fetched.read_bytes() == server.content
    assert server.asked == (1 if damage == "another network" else 2)


def test_a_failing_download_says_what_to_put_where(server):
    server.content = None
    with pytest.raises(DataError, match="answers 404") as caught:
        load_weights(None, server.published, LAYOUT)
    said = str(caught.value)
    held = server.published
    for part in (held.url, held.sha256, str(server.fetched), "inception", "--weights FILE"):
        assert part in said
    first, _ = said.splitlines()
    assert first.startswith("curl ") and "data.path" not in said


def test_another_file_than_the_published_one_is_refused(server):
    server.content = server.content[:-1] + b"x"
    with pytest.raises(DataError, match=r"'inception' needs .*its sha256 is [0-9a-f]+, expected"):
        load_weights(None, server.published, LAYOUT)
    assert not server.kept.exists() and not server.fetched.exists()


def test_a_cache_that_cannot_be_written_keeps_them_in_memory(server, tmp_path, monkeypatch, caplog):
    expected = load_weights(None, server.published, LAYOUT).digest
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert load_weights(None, server.published, LAYOUT).digest == expected
    assert load_weights(None, server.published, LAYOUT).digest == expected
    assert caplog.text.count("kept in memory and fetched again next time") == 1
    assert not any((tmp_path / "temporary").iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"cannot be written.*Set REACGAN_CACHE to a folder"):
        load_weights(None, server.published, LAYOUT)


def _load_in_child(published, start, answers):
    start.wait()
    answers.put(load_weights(None, published, LAYOUT).digest)


def test_processes_beside_each_other_fetch_once(server):
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(4), context.Queue()
    arguments = (server.published, start, answers)
    children = [context.Process(target=_load_in_child, args=arguments) for _ in range(4)]
    for child in children:
        child.start()
    digests = {answers.get(timeout=30) for _ in children}
    for child in children:
        child.join()
    assert server.asked == 1
    assert digests == {load_weights(None, server.published, LAYOUT).digest}


def test_who_waited_for_another_takes_what_it_made(server):
    digest = load_weights(None, server.published, LAYOUT).digest
    aside = server.kept.rename(server.kept.with_suffix(".aside"))
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(load_weights(None, server.published, LAYOUT).digest)
    )
    with FileLock(f"{server.kept}.lock"):
        waiting.start()
        time.sleep(0.2)
        server.content = None
        server.fetched.unlink()
        aside.rename(server.kept)
    waiting.join()
    assert answers == [digest]


def test_the_digest_knows_the_tensors_and_not_the_kind_of_file(tmp_path):
    held = tensors()
    torch.save(held, tmp_path / "a.pth")
    torch.save(held, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file({name: held[name] for name in LAYOUT}, tmp_path / "a.safetensors")
    save_file({name: held[name].double() for name in LAYOUT}, tmp_path / "double.safetensors")
    names = ("a.pth", "old.pth", "a.safetensors", "double.safetensors")
    digests = [read_weights(tmp_path / name, "net", LAYOUT).digest for name in names]
    assert len(set(digests)) == 1 and len(digests[0]) == 64
    held["fc.bias"][3] += 1e-3
    torch.save(held, tmp_path / "a.pth")
    assert read_weights(tmp_path / "a.pth", "net", LAYOUT).digest != digests[0]


def test_golden_digest(tmp_path):
    save_file(
        {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([[0.5]])}, tmp_path / "x.safetensors"
    )
    found = read_weights(tmp_path / "x.safetensors", "net", {"b": (2,), "a": (1, 1)}).digest
    written = (
        b"a[1, 1]\n" + bytes.fromhex("0000003f") + b"b[2]\n" + bytes.fromhex("0000803f00000040")
    )
    assert found == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_another_layout_is_refused_with_what_is_missing(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"

    def refused(held):
        (torch.save if suffix == ".pth" else save_file)(held, path)
        with pytest.raises(ConfigError, match="not the weights of net") as caught:
            load_weights(str(path), PublishedWeights("net", "http://127.0.0.1:9/x", "", 0), LAYOUT)
        assert str(path) in str(caught.value)
        return str(caught.value)

    held = tensors()
    del held["fc.bias"]
    assert refused(held).endswith("missing: fc.bias")
    held = {**tensors(), "fc.bias": torch.zeros(5), "aux.weight": torch.zeros(1)}
    assert "wrong: fc.bias [5] (needed [7]); unknown: aux.weight" in refused(held)
    assert "fc.bias (no tensor of floats of 16 to 64 bits)" in refused(
        {**tensors(), "fc.bias": torch.zeros(7, dtype=torch.int64)}
    )
    many = {f"layer{number:02}": torch.zeros(1) for number in range(20)}
    assert refused(many).endswith("layer04, layer05 and 14 more")


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def test_files_that_would_run_code_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({**tensors(), "fc.bias": Evil()}, path)
    with pytest.raises(ConfigError, match=r"a\.pth: cannot be read as tensors alone"):
        read_weights(path, "net", LAYOUT)
    torch.save({**tensors(), "fc.bias": Evil()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ConfigError, match=r"a\.pth: cannot be read as tensors alone"):
        read_weights(path, "net", LAYOUT)
    scripted = tmp_path / "a.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(scripted)
    with pytest.raises(ConfigError, match=r"a\.pt: a TorchScript program, which would run code"):
        read_weights(scripted, "net", LAYOUT)


def test_files_that_are_no_weights_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.pth: no such file; needed: weights of net"):
        read_weights(tmp_path / "absent.pth", "net", LAYOUT)
    for content in (b"", b"<html>not found</html>", b"PK\x03\x04 torn"):
        for name, reason in (
            ("a.pth", "as tensors alone"),
            ("a.safetensors", "not an intact safeten"),
        ):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ConfigError, match=reason):
                read_weights(tmp_path / name, "net", LAYOUT)
    torch.save([torch.zeros(2)], tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="holds a list; needed: names and tensors"):
        read_weights(tmp_path / "a.pth", "net", LAYOUT)
    torch.save({**tensors(), "fc.bias": torch.full((7,), torch.nan)}, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="holds NaN or infinity"):
        read_weights(tmp_path / "a.pth", "net", LAYOUT)


def test_published_weights_are_known_by_their_file(server, tmp_path):
    """Fetched, read from the cache, or the same file given by hand: one name in every protocol."""
    fetched = load_weights(None, server.published, LAYOUT)
    kept = load_weights(None, server.published, LAYOUT)
    assert fetched.known_as(server.published) == server.published.sha256
    assert kept.known_as(server.published) == server.published.sha256
    held = {name: value + 1 for name, value in fetched.tensors.items()}
    save_file(held, tmp_path / "other.safetensors")
    other = read_weights(tmp_path / "other.safetensors", "net", LAYOUT)
    assert other.known_as(server.published) == other.digest != server.published.sha256
