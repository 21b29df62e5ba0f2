from __future__ import annotations

import pytest

import reacgan


@pytest.fixture(scope="session")
def digits():
    """The generator that is part of the package."""
    return reacgan.load("digits-reacgan", device="cpu")
