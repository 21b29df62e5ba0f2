"""Where the page is served, how it ends, and what it does not answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from reacgan.app.guard import is_plain
from reacgan.app.server import _environment, _signals, address_of, is_loopback, listening
from reacgan.config import ConfigError
from reacgan.records import sealed

pytest.importorskip("gradio")


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_any_free_port():
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0 and address_of(listener, "127.0.0.1") == f"http://127.0.0.1:{port}"


def test_the_next_free_port_where_none_is_asked_for(monkeypatch, taken):
    monkeypatch.setattr("reacgan.app.server.PORT", taken)
    with listening("127.0.0.1", None) as listener:
        assert taken < listener.getsockname()[1] < taken + 100


def test_a_taken_port_is_said(taken):
    words = f"port {taken} is taken; give another --port, or --port 0 for any free one"
    with pytest.raises(ConfigError, match=words), listening("127.0.0.1", taken):
        pass


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 65536, "port is 65536; allowed: 0 \\(any free one\\) to 65535"),
        ("127.0.0.1", -1, "port is -1"),
        ("no.such.host.invalid", 0, "host is 'no.such.host.invalid': no address of this machine"),
        ("192.0.2.1", 0, "192.0.2.1:0: .*; give another --host or --port"),
        ("a" * 70 + ".b", 0, "no address of this machine"),
    ],
)
def test_other_places_are_refused(host, port, words):
    with pytest.raises(ConfigError, match=words), listening(host, port):
        pass


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.2", "example.com", "")),
    ],
)
def test_loopback(host, alone):
    assert is_loopback(host) is alone


def test_another_host_warns_in_one_line(reacgan):
    code, _, errors = reacgan("app", "no-such-model", "--host", "0.0.0.0", "--port", 0)
    warning, error = errors.splitlines()
    assert warning == "warning: whoever reaches 0.0.0.0 can use this page; there is no password"
    assert code == 1 and error.startswith("reacgan: no-such-model: no such folder")
    assert "warning" not in reacgan("app", "no-such-model", "--port", 0)[2]


def test_without_gradio_it_is_said_how_to_get_it(reacgan, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, errors = reacgan("app", "digits-reacgan")
    assert (code, errors) == (1, "reacgan: the page needs gradio: pip install 'reacgan[app]'\n")


def test_help_loads_neither_gradio_nor_torch():
    code = """
import sys
import reacgan
from reacgan.cli import main
try:
    main(["app", "--help"])
except SystemExit as end:
    assert not end.code
assert not {"gradio", "torch", "fastapi", "uvicorn"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Usage: reacgan app" in done.stdout, done.stderr


def test_signals_wait_until_the_files_are_removed():
    with _signals() as caught:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert caught == [signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_environment_of_others_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("GRADIO_SHARE", "True")
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/page")
    with _environment("/scratch"):
        inside = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    assert inside == {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": "/scratch",
        "GRADIO_ROOT_PATH": "/page",
    }
    assert os.environ["GRADIO_SHARE"] == "True" and "GRADIO_TEMP_DIR" not in os.environ


def test_share_does_not_exist(reacgan):
    code, _, errors = reacgan("app", "digits-reacgan", "--share")
    assert code == 2 and "--share" in errors


def test_a_folder_of_training_images_is_no_place_for_data_sets(reacgan, tmp_path, styles):
    config = json.loads((styles / "config.json").read_text())
    config["experiment"]["data"]["path"] = str(tmp_path)
    changed = tmp_path / "model"
    changed.mkdir()
    (changed / "config.json").write_text(json.dumps(sealed(config)))
    (changed / "model.safetensors").write_bytes((styles / "model.safetensors").read_bytes())
    code, _, errors = reacgan("app", changed, "--port", 0, "--out", tmp_path / "sets")
    assert code == 1 and "lies inside" in errors


def answer(served, path, **options) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{served.address}{path}", **options)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=%2Fetc%2Fpasswd",
        "/gradio_api/file=http://192.0.2.1/",
        "/gradio_api/proxy=http://192.0.2.1/",
        "/gradio_api/proxy=https://someone.hf.space/",
        "/static/../../../etc/passwd",
        "/monitoring",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_file_and_no_other_host_through_the_page(served, path):
    status, body = answer(served, path)
    assert status in (400, 403, 404) and b"root:" not in body


@pytest.mark.parametrize(
    "path",
    [
        *("upload", "call/sheet", "call/v2/sheet", "run/sheet", "api/sheet", "component_server"),
        *("vibe-edit", "vibe-code", "process_recording", "run-history/connect", "stream/1"),
    ],
)
def test_what_gradio_takes_beside_the_page_is_refused(served, path):
    assert answer(served, f"/gradio_api/{path}", method="POST", data=b"{}")[0] == 404


def test_large_bodies_are_refused(served):
    status, body = answer(served, "/gradio_api/queue/join", method="POST", data=b"x" * (1 << 21))
    assert status == 413 and body == b"allowed: 1,048,576 bytes"


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b"", True),
        (b'{"data": ["a", 1, null, ["b", [2.5]], true], "event_data": {"index": 1}}', True),
        (b'{"data": [{"path": "http://192.0.2.1/x"}]}', False),
        (b'{"data": [[["deep", {}]]]}', False),
        (b'{"data": {"0": 1}}', False),
        (b"[" * 100_000, False),
        (b'{"data"', False),
        (b"[]", False),
        (b"\xff", False),
    ],
)
def test_values_of_a_call(body, plain):
    assert is_plain(body) is plain


def test_a_foreign_name_of_this_machine_is_refused(served):
    assert answer(served, "/config", headers={"Host": "evil.example"})[0] == 400
    assert answer(served, "/config")[0] == 200


@pytest.fixture(scope="module")
def sheet(served):
    """The number of the call that makes a sheet."""
    parts = json.loads(answer(served, "/config")[1])["dependencies"]
    return next(part["id"] for part in parts if part["api_name"] == "sheet")


def ask(served, sheet, data) -> dict:
    """A call as a script would make it, past the page."""
    body = json.dumps({"data": data, "fn_index": sheet, "session_hash": "hostile"}).encode()
    headers = {"Content-Type": "application/json"}
    status, said = answer(
        served, "/gradio_api/queue/join", method="POST", data=body, headers=headers
    )
    if status != 200:
        return {"status": status, "said": said}
    lines = answer(served, "/gradio_api/queue/data?session_hash=hostile")[1].splitlines()
    events = [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]
    return next(event for event in events if event["msg"] == "process_completed")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["digits-reacgan", 0, 1, ["3"], 10**9, 0], "allowed: a whole number from 1 to 25"),
        (["digits-reacgan", 0, 1, ["3"], 2, -5], "seed is -5; allowed"),
        (["digits-reacgan", float("nan"), 1, ["3"], 2, 0], "truncation is n"),
        (["<b>x</b>", 0, 1, ["3"], 2, 0], "model is &#x27;&lt;b&gt;x&lt;/b&gt;&#x27;; allowed"),
        ([{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 0, 1, [], 1, 0], ""),
        ([{"path": "http://192.0.2.1/x.png", "meta": {"_type": "gradio.FileData"}}], ""),
        ([["deep"] * 1000, 0, 1, [], 1, 0], "model is"),
    ],
)
def test_hostile_calls(served, sheet, data, words):
    event = ask(served, sheet, data)
    if "status" in event:
        assert event["status"] in (400, 422)
        return
    assert event["success"] is False
    assert words in str(event["output"].get("error", "")) and "root:" not in str(event)


def test_too_few_values(served, sheet):
    event = ask(served, sheet, ["digits-reacgan"])
    assert event.get("success") is not True
