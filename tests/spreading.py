"""Which tests a process of ``pytest -n`` gets: those of a file, as what they share costs seconds."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Files whose tests wait for each other's work if they run in two processes at a time.
TOGETHER = {"tests/suites/test_suites_results.py": "tests/suites/test_suites_toy.py"}


class ByFile(LoadScopeScheduling):
    """Files with the most tests first, so that none of them is the last to end."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)
