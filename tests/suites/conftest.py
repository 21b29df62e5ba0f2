"""One folder of toy runs for all tests, and for all processes that share them."""

from __future__ import annotations

import os
from functools import partial

import pytest
from toy_runs import ran


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """``toy(suite)``: that suite, run and reported at toy scale, by one process and once."""
    pytest.importorskip("matplotlib", reason="reports of suites draw figures")
    pytest.importorskip("sklearn", reason="toy trials are of scikit-learn's digits")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder above is that of the whole session
        shared = shared.parent
    return partial(ran, out=shared / "toy-suites")
