"""`make audit` by pip-audit itself, against a server on this machine that speaks OSV."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from fences import ROOT

pytest.importorskip("pip_audit")
sys.path.insert(0, str(ROOT / "tools"))
import audit

ADVISORY = {
    "schema_version": "1.6.0",
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2020-14343"],
    "summary": "Loading a file runs code.",
}
NOBODY = ("osv", "--osv-url", "http://127.0.0.1:9/v1/query")
FIXED = {"pyyaml": "5.4", "pycrypto": "3"}
GROUPS = {"pyyaml": ["always"], "numpy": ["always"]}


class Osv(BaseHTTPRequestHandler):
    """Knows a vulnerability of old PyYAML and one of PyCrypto, unless it forgot."""

    forgot = False

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package, version = asked["package"], asked["version"]
        fixed = FIXED.get(package["name"], "0")
        events = [{"introduced": "0"}, {"fixed": fixed}]
        affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        vulnerable = version < fixed and not self.forgot
        body = json.dumps({"vulns": [{**ADVISORY, "affected": [affected]}]} if vulnerable else {})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        """Nothing."""


@pytest.fixture
def osv(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    Thread(target=server.serve_forever, daemon=True).start()
    yield "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def test_a_known_vulnerability_fails_with_package_advisory_and_fixed_version(osv, capsys):
    services = [NOBODY, osv]
    assert audit.audit({"numpy": "2.4.0", "pyyaml": "5.3.1"}, GROUPS, services) == 1
    printed = capsys.readouterr().out
    assert "pyyaml 5.3.1: CVE-2020-14343, GHSA-aaaa-bbbb-cccc" in printed
    assert "fixed in 5.4; installed for: always" in printed
    assert ADVISORY["summary"] in printed
    assert "numpy" not in printed and "pycrypto" not in printed


def test_no_other_than_an_accepted_advisory(osv, capsys, monkeypatch):
    monkeypatch.setattr(audit, "ACCEPTED", {"GHSA-aaaa-bbbb-cccc": "only safe_load is used"})
    assert audit.audit({"numpy": "2.4.0", "pyyaml": "5.3.1"}, GROUPS, [osv]) == 0
    printed = capsys.readouterr().out
    assert "accepted: pyyaml 5.3.1" in printed and "only safe_load is used" in printed
    assert "2 installed packages, no other known vulnerability (osv)\n" in printed


def test_where_no_service_answers_it_says_so_and_passes(osv, capsys, monkeypatch):
    monkeypatch.setattr(Osv, "forgot", True)
    assert audit.audit({"pyyaml": "5.3.1"}, GROUPS, [NOBODY, osv]) == 0
    printed = capsys.readouterr().out
    assert "NOT AUDITED" in printed and "the 1 installed packages" in printed
    assert "Connection refused" in printed
    assert "does not know the old vulnerabilities of pycrypto 2.6.1 (no advisory)" in printed
    assert "known vulnerability" not in printed
