"""One undisturbed run for all tests here, which others are held against."""

from __future__ import annotations

import pytest
from test_killed_at_operations import Undisturbed, undisturbed


@pytest.fixture(scope="session")
def top(tmp_path_factory):
    """A folder with the pictures, and the run of :func:`whole` to use."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def whole(top) -> Undisturbed:
    """What the undisturbed training leaves."""
    return undisturbed(top, "train")
