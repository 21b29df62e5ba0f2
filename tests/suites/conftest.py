"""One folder of toy runs for all tests of a process."""

from __future__ import annotations

from functools import partial

import pytest
from toy_runs import ran


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """``toy(suite)``: that suite, run and reported at toy scale, at most once in this process."""
    pytest.importorskip("matplotlib", reason="reports of suites draw figures")
    pytest.importorskip("sklearn", reason="toy trials are of scikit-learn's digits")
    return partial(ran, out=tmp_path_factory.mktemp("suites"))
