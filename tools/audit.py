"""Ask for known vulnerabilities of everything that reacgan and its extras install: `make audit`.

    python tools/audit.py                    OSV, else PyPI
    python tools/audit.py --osv-url URL      only that OSV service

Leaves with 1 where there is one that nobody accepted. Where no service answers, it says so and leaves
with 0. pip is left out: it comes with the interpreter, not with reacgan.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dependencies import REQUIRED, installed, version_of

ACCEPTED: Mapping[str, str] = {}
"""Advisories that do not concern us, with the reason; one that has no fixed version, say."""
CANARY = ("pycrypto", "2.6.1")
"""Nothing needs it, and it has old advisories. A service that knows none of them is none: a mirror of PyPI
has no advisories, and pip-audit says of it that there are no known vulnerabilities."""
SERVICES = (("osv",), ("pypi",))
_SECONDS = 300
_ADVICE = """
Raise the lower bound in pyproject.toml where reacgan asks for the package itself, else in constraints.txt.
Where an advisory does not concern reacgan, say why in ACCEPTED of tools/audit.py."""
_BLIND = """
****************************************************************************************************
NOT AUDITED: no service for vulnerabilities answered.
{reasons}
Nothing is known about vulnerabilities of the {count} installed packages.
Run `make audit` where one of these can be reached: https://api.osv.dev, https://pypi.org.
****************************************************************************************************"""

Report = list[dict[str, Any]]


class UnansweredError(Exception):
    """No report could be had; the message says why."""


def main() -> None:
    """Audit what is installed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--osv-url", help="address of an OSV service, such as a mirror of your own")
    url = parser.parse_args().osv_url
    if find_spec("pip_audit") is None:
        sys.exit("pip-audit is not installed: pip install 'reacgan[dev]'")
    groups = installed()
    versions = {name: version_of(name) for name in groups if name != "pip"}
    sys.exit(audit(versions, groups, [("osv", "--osv-url", url)] if url else SERVICES))


def audit(
    versions: Mapping[str, str],
    groups: Mapping[str, list[str]],
    services: Sequence[Sequence[str]] = SERVICES,
) -> int:
    """Print what the first service that answers knows of the packages.

    Args:
        versions: of each package, by name.
        groups: what asks for each package: ``always`` or extras.
        services: each as pip-audit's ``--vulnerability-service`` and further options.

    Returns:
        The exit code: 1 where a vulnerability is known, else 0.
    """
    reasons = []
    for service in services:
        try:
            report = answer(versions, service)
        except UnansweredError as error:
            reasons.append(f"  {service[0]}: {error}")
        else:
            return _print(report, groups, service[0])
    print(_BLIND.format(reasons="\n".join(reasons), count=len(versions)))
    return 0


def answer(versions: Mapping[str, str], service: Sequence[str]) -> Report:
    """The report of pip-audit by a service; :class:`UnansweredError` where the service gives none."""
    name, version = CANARY
    report = _pip_audit({name: version, **versions}, service)
    canary = next(package for package in report if package["name"] == name)
    if not canary.get("vulns"):
        reason = canary.get("skip_reason", "no advisory")
        raise UnansweredError(
            f"it does not know the old vulnerabilities of {name} {version} ({reason})"
        )
    return [package for package in report if package is not canary]


def _pip_audit(versions: Mapping[str, str], service: Sequence[str]) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps"]
        command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
        command += ["--cache-dir", folder, "--timeout", "10", "--vulnerability-service", *service]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise UnansweredError(f"no answer within {_SECONDS} s") from None
    try:
        return json.loads(done.stdout)["dependencies"]
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"pip-audit left with {done.returncode}"]
        raise UnansweredError(said[-1]) from None


def _print(report: Report, groups: Mapping[str, list[str]], service: str) -> int:
    lines, accepted = [], 0
    for package in report:
        for known in package.get("vulns", []):
            names = [known["id"], *known["aliases"]]
            reason = next((ACCEPTED[name] for name in names if name in ACCEPTED), None)
            title = f"{package['name']} {package['version']}: {', '.join(names)}"
            if reason is not None:
                print(f"accepted: {title}: {reason}")
                accepted += 1
                continue
            fixed = ", ".join(known["fix_versions"]) or "no version yet"
            extras = ", ".join(groups.get(package["name"], [REQUIRED]))
            lines += [f"{title}\n    fixed in {fixed}; installed for: {extras}"]
            lines += [f"    {known['description'][:200]}"]
    for package in report:
        if "skip_reason" in package:
            print(f"NOT AUDITED: {package['name']}: {package['skip_reason']}")
    audited = sum("vulns" in package for package in report)
    if lines:
        print("\n".join([f"known vulnerabilities, by {service}:", *lines, _ADVICE]))
        return 1
    other = "other " if accepted else ""
    print(f"{audited} installed packages, no {other}known vulnerability ({service})")
    return 0


if __name__ == "__main__":
    main()
